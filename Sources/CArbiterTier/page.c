/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The layout of the tier page, and the manager's side of it. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CArbiterTier.h"

_Static_assert(sizeof(ArbTierChunk) == 32, "the layout of a chunk");
_Static_assert(sizeof(ArbTierRequest) == 32, "the layout of a request");

static uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

static uint64_t seats_offset(uint32_t slot_count) {
  return round_up(sizeof(ArbTierHeader), 4096) + round_up(4ull * slot_count, 4096);
}

static uint64_t seat_stride(void) { return round_up(sizeof(ArbTierSeat), 4096); }

uint64_t arb_tier_page_bytes(uint32_t slot_count, uint32_t chunk_capacity) {
  uint64_t table = round_up((uint64_t)chunk_capacity * sizeof(ArbTierChunk), 4096);
  return seats_offset(slot_count) + ARB_TIER_SEAT_COUNT * (seat_stride() + table);
}

void arb_tier_page_make(void *page, uint32_t slot_count, uint32_t chunk_capacity) {
  ArbTierHeader *header = page;
  header->version = ARB_TIER_VERSION;
  header->seat_count = ARB_TIER_SEAT_COUNT;
  header->page_bytes = arb_tier_page_bytes(slot_count, chunk_capacity);
  header->slots_offset = round_up(sizeof(ArbTierHeader), 4096);
  header->seats_offset = seats_offset(slot_count);
  header->seat_stride = seat_stride();
  header->chunks_offset = header->seats_offset + ARB_TIER_SEAT_COUNT * header->seat_stride;
  header->chunk_capacity = chunk_capacity;
  header->slot_count = slot_count;
  header->manager = (int32_t)getpid();
  /* Release, with the acquire of arb_tier_page_check: what carries the magic is complete. */
  __atomic_store_n(&header->magic, ARB_TIER_MAGIC, __ATOMIC_RELEASE);
}

int arb_tier_page_check(const void *page, uint64_t bytes) {
  const ArbTierHeader *header = page;
  if (bytes < sizeof *header) return -EINVAL;
  if (__atomic_load_n(&header->magic, __ATOMIC_ACQUIRE) != ARB_TIER_MAGIC) return -EINVAL;
  if (header->version != ARB_TIER_VERSION) return -EPROTO;
  if (header->seat_count != ARB_TIER_SEAT_COUNT || header->chunk_capacity == 0 ||
      header->chunk_capacity > ARB_TIER_CHUNKS_MAX)
    return -EINVAL;
  uint64_t expected = arb_tier_page_bytes(header->slot_count, header->chunk_capacity);
  if (header->page_bytes != expected || bytes < expected) return -EINVAL;
  if (header->seats_offset != seats_offset(header->slot_count) ||
      header->seat_stride != seat_stride())
    return -EINVAL;
  return 0;
}

ArbTierSeat *arb_tier_seat(void *page, uint32_t seat) {
  const ArbTierHeader *header = page;
  return (ArbTierSeat *)((char *)page + header->seats_offset + seat * header->seat_stride);
}

ArbTierChunk *arb_tier_chunks(void *page, uint32_t seat) {
  const ArbTierHeader *header = page;
  uint64_t table = round_up((uint64_t)header->chunk_capacity * sizeof(ArbTierChunk), 4096);
  return (ArbTierChunk *)((char *)page + header->chunks_offset + seat * table);
}

uint32_t *arb_tier_slots(void *page) {
  const ArbTierHeader *header = page;
  return (uint32_t *)((char *)page + header->slots_offset);
}

int arb_tier_request(ArbTierSeat *seat, const ArbTierRequest *request) {
  uint32_t tail = seat->request_tail;
  /* Acquire: the mover has read a request before it moved the head past it. */
  uint32_t head = __atomic_load_n(&seat->request_head, __ATOMIC_ACQUIRE);
  if (tail - head >= ARB_TIER_RING_COUNT) return -EAGAIN;
  seat->requests[tail % ARB_TIER_RING_COUNT] = *request;
  /* Release, with the mover's acquire of the tail. */
  __atomic_store_n(&seat->request_tail, tail + 1, __ATOMIC_RELEASE);
  return 0;
}

void arb_tier_ring_bell(ArbTierSeat *seat) {
  __atomic_fetch_add(&seat->request_bell, 1, __ATOMIC_RELEASE);
  syscall(SYS_futex, &seat->request_bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int arb_tier_take_outcome(ArbTierSeat *seat, ArbTierOutcome *outcome) {
  uint32_t head = seat->outcome_head;
  /* Acquire, with the mover's release of the tail. */
  if (head == __atomic_load_n(&seat->outcome_tail, __ATOMIC_ACQUIRE)) return 0;
  *outcome = seat->outcomes[head % ARB_TIER_RING_COUNT];
  /* Release: the outcome was read before its place is free. */
  __atomic_store_n(&seat->outcome_head, head + 1, __ATOMIC_RELEASE);
  return 1;
}

int arb_tier_seat_is_left(ArbTierSeat *seat) {
  if (seat->state == ARB_TIER_SEAT_LEFT) return 1;
  if (seat->state == ARB_TIER_SEAT_JOINING && kill(seat->process, 0) != 0 && errno == ESRCH) {
    seat->state = ARB_TIER_SEAT_LEFT;
    return 1;
  }
  /* Acquire, with the mover's release: it held the mutex before it said so. */
  if (__atomic_load_n(&seat->state, __ATOMIC_ACQUIRE) != ARB_TIER_SEAT_TAKEN) return 0;
  int answer = pthread_mutex_trylock(&seat->owner);
  if (answer != EOWNERDEAD && answer != 0) return 0;
  if (answer == EOWNERDEAD) pthread_mutex_consistent(&seat->owner);
  seat->state = ARB_TIER_SEAT_LEFT;
  pthread_mutex_unlock(&seat->owner);
  return 1;
}

void arb_tier_seat_clear(void *page, uint32_t number) {
  ArbTierHeader *header = page;
  ArbTierSeat *seat = arb_tier_seat(page, number);
  ArbTierChunk *chunks = arb_tier_chunks(page, number);
  uint32_t *slots = arb_tier_slots(page);
  for (uint32_t slot = 0; slot < header->slot_count; slot++) {
    if (__atomic_load_n(&slots[slot], __ATOMIC_RELAXED) != number + 1) continue;
    __atomic_store_n(&slots[slot], ARB_TIER_SLOT_STALE, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&header->slots_used, 1, __ATOMIC_RELAXED);
  }
  __atomic_fetch_add(&header->fast_free_bytes, (int64_t)seat->fast_bytes, __ATOMIC_RELAXED);
  uint32_t high = seat->chunk_high;
  if (high > header->chunk_capacity) high = header->chunk_capacity;
  memset(chunks, 0, high * sizeof *chunks);
  uint64_t generation = seat->generation;
  size_t start = offsetof(ArbTierSeat, process);
  memset((char *)seat + start, 0, sizeof *seat - start);
  seat->generation = generation + 1;
}
