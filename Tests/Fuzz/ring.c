/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer target: any bytes as the contents of a ring, which the reader takes apart and whose
 * samples the resolver then reads, as ones of code of this process. The ring, its room and the room
 * for samples end where the sanitizer notices.
 *
 * Of an input, the first two bytes choose the size of the ring and how far it is turned, so that
 * records wrap around anywhere; the third how many samples there is room for, the fourth flags. The
 * events of the reader have the numbers 1 to 4. Tests/Scripts/fuzz builds and runs it.
 */
#define _GNU_SOURCE
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "CArbiterDecode.h"
#include "CArbiterSampling.h"

#define IDENTITIES 16

static void require(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "ring: %s\n", what);
  abort();
}

static void *zeros(size_t size) {
  void *memory = calloc(1, size);
  require(memory != NULL, "no memory");
  return memory;
}

static void set_up(ArbReader *reader, int is_late) {
  reader->identities = zeros(IDENTITIES * sizeof(ArbIdentity));
  reader->identity_capacity = IDENTITIES;
  reader->scratch = zeros(ARB_RECORD_BYTES_MAX);
  reader->late = zeros(2 * sizeof(ArbLateThread));
  reader->late[0].thread = 7;
  reader->late[1].thread = 9;
  reader->late_count = is_late ? 2 : 0;
  const uint32_t kinds[] = {ARB_EVENT_CLOCK, ARB_EVENT_PAGE_FAULTS, ARB_EVENT_PRECISE};
  for (uint32_t index = 0; index < 3; index++) {
    const ArbSampledEvent event = {.kind = kinds[index], .period = 1000};
    reader->formats[index] = arb_event_format(&event);
    require(arb_format_is_readable(&reader->formats[index]), "a format of our own");
  }
  reader->formats[3] = reader->formats[2];
  reader->formats[3].sample_type |= PERF_SAMPLE_PERIOD;
  reader->format_count = ARB_FORMAT_MAX;
  for (uint32_t index = 0; index < ARB_FORMAT_MAX; index++) {
    require(
        arb_identity_enter(reader, (ArbIdentity){.id = index + 1, .event = index, .owner = 7}),
        "no room for an event");
  }
}

static void tear_down(const ArbReader *reader) {
  free(reader->identities);
  free(reader->scratch);
  free(reader->late);
}

static uint64_t sum_of(const ArbRingCounts *counts) {
  return counts->samples + counts->duplicates + counts->throttles + counts->unthrottles +
         counts->skipped + counts->truncated + counts->unknown + counts->broken + counts->overrun;
}

/* Strings of all kinds, a store, a load, a scatter: each followed by others. It is never run. */
static const uint8_t code[] = {0xf3, 0x48, 0xab, 0xf3, 0xa4, 0x67, 0xf3, 0xa5, 0xf2, 0xae,
                               0x48, 0x89, 0x07, 0x8b, 0x46, 0x08, 0xf3, 0xa6, 0x48, 0xa5,
                               0x62, 0xf2, 0x7d, 0x49, 0xa2, 0x04, 0x8f, 0xff, 0x30, 0xc3};

static uint64_t code_address(void) {
  const int access = PROT_READ | PROT_WRITE | PROT_EXEC;
  uint8_t *memory = mmap(NULL, 4096, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(memory != MAP_FAILED, "no memory for code");
  memcpy(memory, code, sizeof code);
  return (uint64_t)(uintptr_t)memory;
}

/* Other processes are left alone: what they map would be another input each time. */
static void resolve(ArbResolver *resolver, ArbSample *sample, uint64_t address) {
  sample->process = getpid();
  sample->ip = address + sample->ip % sizeof code;
  ArbAccess accesses[ARB_ACCESS_MAX];
  uint32_t reason = ARB_REASON_COUNT;
  const int count = arb_resolve(resolver, sample, 0, accesses, &reason);
  require(count >= 0 && count <= ARB_ACCESS_MAX, "too many accesses");
  require((count > 0) == (reason == ARB_REASON_NONE), "the reason contradicts the count");
  for (int index = 0; index < count; index++) {
    require(accesses[index].byte_count > 0, "an access of nothing");
  }
}

/* Fills the ring with the input, over and over, from where it is turned to. */
static void fill(uint8_t *ring, uint64_t size, uint64_t tail, const uint8_t *data, size_t count) {
  for (uint64_t at = 0; at < size; at++) {
    ring[(tail + at) & (size - 1)] = at < count ? data[at] : 0;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static ArbResolver *resolver;
  static uint64_t address;
  if (resolver == NULL) {
    const ArbDecodeNames names = {"libZydis.so.4.0", NULL};
    ArbDecoder *decoder = arb_decoder_make(&names);
    require(decoder != NULL, "Debian's package libzydis4.0 is missing");
    resolver = arb_resolver_make(decoder);
    require(resolver != NULL, "no memory for a resolver");
    address = code_address();
  }
  if (size < 5) return 0;
  const uint64_t ring_size = UINT64_C(64) << (data[0] % 7);
  /* Near the end of all numbers too: head and tail count for ever and wrap around. */
  const uint64_t tail = (data[3] & 1 ? UINT64_MAX - 4095 : 0) + (uint64_t)data[1] * 8;
  const uint64_t capacity = 1 + data[2] % 8;
  const size_t count = size - 4;
  struct perf_event_mmap_page *page = zeros(sizeof *page);
  uint8_t *bytes = zeros(ring_size);
  ArbSample *samples = zeros(capacity * sizeof *samples);
  ArbTask *task = zeros(sizeof *task);
  ArbReader reader = {.identities = NULL};
  set_up(&reader, data[3] & 2);
  fill(bytes, ring_size, tail, data + 4, count);
  page->data_tail = tail;
  page->data_head = tail + (data[3] & 4 ? count : (count < ring_size ? count & ~7ull : ring_size));
  const ArbRing ring = {page, bytes, ring_size};
  int answer = ARB_DRAIN_TASK;
  for (uint64_t call = 0; answer != ARB_DRAIN_EMPTY; call++) {
    require(call <= ring_size / 8 + 1, "draining does not end");
    uint64_t taken = 0;
    const uint64_t before = sum_of(&reader.counts);
    answer = arb_ring_drain(&reader, &ring, samples, capacity, &taken, task);
    require(taken <= capacity, "more samples than there is room for");
    require(sum_of(&reader.counts) - before >= taken, "samples that were not counted");
    require(arb_ring_pending(&ring) <= ring_size, "the tail ran away");
    require(reader.counts.lost <= ARB_LOST_MAX, "more was lost than can be");
    for (uint64_t index = 0; index < taken; index++) {
      require(samples[index].event < ARB_FORMAT_MAX, "a sample of no event");
      require(samples[index].time_nanoseconds >= 0, "a time before the first");
      resolve(resolver, &samples[index], address);
    }
    if (answer == ARB_DRAIN_TASK) {
      require(task->name_count < ARB_TASK_NAME_BYTES, "a name without an end");
      require(task->kind >= ARB_TASK_FORK && task->kind <= ARB_TASK_MAP, "an unknown change");
      if (task->kind == ARB_TASK_EXEC) arb_resolver_forget(resolver, getpid());
    }
  }
  require(page->data_tail == page->data_head, "something was left");
  tear_down(&reader);
  free(page);
  free(bytes);
  free(samples);
  free(task);
  return 0;
}
