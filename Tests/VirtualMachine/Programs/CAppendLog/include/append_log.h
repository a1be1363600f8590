/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The layout of an append-only log in persistent memory, and the check that decides whether what
 * a power cut left is right. The program in the guest and the replay on the host share both.
 *
 * A log is a count, alone in its cache line, and slots that are used in a circle. Record number n
 * (from 1) is in slot (n - 1) mod slots. A count of n promises that the last slots - 1 of the
 * records 1...n are whole: one slot may be under construction.
 */
#ifndef ARBITER_VM_APPEND_LOG_H
#define ARBITER_VM_APPEND_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../../../plugin/events.h"

#ifndef __clang__
#define _Nonnull /* what only Swift's importer needs */
#endif

#define ARB_RECORD_WORDS 24
#define ARB_RECORD_BYTES (8 * ARB_RECORD_WORDS)
#define ARB_RECORDS_OFFSET 4096

/* A record: its number, what it carries, and a checksum of both. Three cache lines. */
struct arb_record {
  uint64_t number;
  uint64_t payload[ARB_RECORD_WORDS - 2];
  uint64_t checksum;
};

/* Slots of a log of so many bytes. */
static inline uint64_t arb_log_slots(size_t byte_count) {
  return (byte_count - ARB_RECORDS_OFFSET) / ARB_RECORD_BYTES;
}

/* Offset of record `number` in a log of so many bytes. */
static inline size_t arb_log_offset(uint64_t number, size_t byte_count) {
  return ARB_RECORDS_OFFSET + (size_t)((number - 1) % arb_log_slots(byte_count)) * ARB_RECORD_BYTES;
}

/* One round of SplitMix64 (public domain, S. Vigna), here as a mixing function. */
static inline uint64_t arb_mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

static inline uint64_t arb_record_checksum(const struct arb_record *_Nonnull record) {
  uint64_t sum = arb_mix(record->number);
  for (size_t at = 0; at < ARB_RECORD_WORDS - 2; at++) sum = arb_mix(sum ^ record->payload[at]);
  return sum;
}

/* Makes record `number`; what it carries follows from the number and the log that it is for. */
static inline void arb_record_fill(
    struct arb_record *_Nonnull record, uint64_t number, uint64_t log) {
  record->number = number;
  for (size_t at = 0; at < ARB_RECORD_WORDS - 2; at++) {
    record->payload[at] = arb_mix(number * 1000003 + log * 31 + at);
  }
  record->checksum = arb_record_checksum(record);
}

/* Whether these bytes are record `number` of a log, whole and right. */
static inline int arb_record_is_whole(
    const void *_Nonnull bytes, uint64_t number, uint64_t log) {
  struct arb_record found;
  memcpy(&found, bytes, sizeof found);
  return found.number == number && found.checksum == arb_record_checksum(&found) &&
         found.payload[0] == arb_mix(number * 1000003 + log * 31);
}

/* The count of a log. */
static inline uint64_t arb_log_count(const void *_Nonnull start) {
  return __atomic_load_n((const uint64_t *)start, __ATOMIC_ACQUIRE);
}

/* Publishes a count by one 8-byte store. Release keeps the compiler from moving record stores
 * below it; what reaches the medium when is for flushes and fences. */
static inline void arb_log_publish(void *_Nonnull start, uint64_t count) {
  __atomic_store_n((uint64_t *)start, count, __ATOMIC_RELEASE);
}

/* The first record that the count promises and that is not whole; 0 where all are. */
static inline uint64_t arb_log_first_broken(
    const void *_Nonnull start, size_t byte_count, uint64_t log) {
  uint64_t count = arb_log_count(start), slots = arb_log_slots(byte_count);
  uint64_t first = count >= slots ? count - slots + 2 : 1;
  for (uint64_t number = first; number <= count; number++) {
    const char *record = (const char *)start + arb_log_offset(number, byte_count);
    if (!arb_record_is_whole(record, number, log)) return number;
  }
  return 0;
}

/* Tells the plug-in that watches the guest, if one does. */
static inline void arb_mark_start(void) {
  __asm__ volatile("nopl %c0(%%rax)" ::"i"(ARB_MARK_START) : "memory");
}
static inline void arb_mark_area(const void *_Nonnull start) {
  __asm__ volatile("nopl %c0(%%rax)" ::"i"(ARB_MARK_AREA), "a"(start) : "memory");
}
static inline void arb_mark_acknowledged(uint64_t log, uint64_t count) {
  __asm__ volatile(
      "nopl %c0(%%rax)" ::"i"(ARB_MARK_ACKNOWLEDGED), "a"(log << 32 | count) : "memory");
}
static inline void arb_mark_stop(void) {
  __asm__ volatile("nopl %c0(%%rax)" ::"i"(ARB_MARK_STOP) : "memory");
}

#endif
