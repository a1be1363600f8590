/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The layout of the tier page, and the manager's side of it. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CArbiterTier.h"

_Static_assert(sizeof(ArbTierChunk) == 32, "the layout of a chunk");
_Static_assert(sizeof(ArbTierRequest) == 32, "the layout of a request");

static uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

static uint64_t seat_stride(void) { return round_up(sizeof(ArbTierSeat), 4096); }

static uint64_t seat_offset(uint32_t seat) {
  return round_up(sizeof(ArbTierHeader), 4096) + seat * seat_stride();
}

static uint64_t slots_offset(void) { return seat_offset(ARB_TIER_SEAT_COUNT); }

static uint64_t chunks_offset(ArbTierSizes sizes, uint32_t seat) {
  uint64_t table = round_up((uint64_t)sizes.chunk_capacity * sizeof(ArbTierChunk), 4096);
  return slots_offset() + round_up(4ull * sizes.slot_count, 4096) + seat * table;
}

uint64_t arb_tier_page_bytes(uint32_t slot_count, uint32_t chunk_capacity) {
  return chunks_offset((ArbTierSizes){slot_count, chunk_capacity}, ARB_TIER_SEAT_COUNT);
}

void arb_tier_page_make(void *page, uint32_t slot_count, uint32_t chunk_capacity) {
  ArbTierHeader *header = page;
  header->version = ARB_TIER_VERSION;
  header->seat_count = ARB_TIER_SEAT_COUNT;
  header->page_bytes = arb_tier_page_bytes(slot_count, chunk_capacity);
  header->chunk_capacity = chunk_capacity;
  header->slot_count = slot_count;
  header->manager = (int32_t)getpid();
  /* Release, with the acquire of arb_tier_page_check: what carries the magic is complete. */
  __atomic_store_n(&header->magic, ARB_TIER_MAGIC, __ATOMIC_RELEASE);
}

int arb_tier_page_check(const void *page, uint64_t bytes, ArbTierSizes *sizes) {
  const ArbTierHeader *header = page;
  if (bytes < sizeof *header) return -EINVAL;
  if (__atomic_load_n(&header->magic, __ATOMIC_ACQUIRE) != ARB_TIER_MAGIC) return -EINVAL;
  if (header->version != ARB_TIER_VERSION) return -EPROTO;
  /* Each once: what is checked is what is kept. */
  uint32_t slots = __atomic_load_n(&header->slot_count, __ATOMIC_RELAXED);
  uint32_t capacity = __atomic_load_n(&header->chunk_capacity, __ATOMIC_RELAXED);
  if (header->seat_count != ARB_TIER_SEAT_COUNT || capacity == 0 || capacity > ARB_TIER_CHUNKS_MAX)
    return -EINVAL;
  uint64_t expected = arb_tier_page_bytes(slots, capacity);
  if (header->page_bytes != expected || bytes < expected) return -EINVAL;
  *sizes = (ArbTierSizes){slots, capacity};
  return 0;
}

ArbTierSeat *arb_tier_seat(void *page, uint32_t seat) {
  return (ArbTierSeat *)((char *)page + seat_offset(seat));
}

ArbTierChunk *arb_tier_chunks(void *page, ArbTierSizes sizes, uint32_t seat) {
  return (ArbTierChunk *)((char *)page + chunks_offset(sizes, seat));
}

uint32_t *arb_tier_slots(void *page) { return (uint32_t *)((char *)page + slots_offset()); }

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

int arb_tier_seat_owner(const ArbTierSeat *seat) {
  /* Acquire, with the mover's release: it held the futex before it said so. */
  if (__atomic_load_n(&seat->state, __ATOMIC_ACQUIRE) == ARB_TIER_SEAT_JOINING)
    return ARB_TIER_OWNER_NONE;
  uint32_t word = __atomic_load_n(&seat->owner, __ATOMIC_ACQUIRE);
  if ((word & FUTEX_OWNER_DIED) != 0) return ARB_TIER_OWNER_GONE;
  return (word & FUTEX_TID_MASK) != 0 ? ARB_TIER_OWNER_LIVES : ARB_TIER_OWNER_NONE;
}

int arb_tier_seat_is_left(ArbTierSeat *seat) {
  uint32_t state = __atomic_load_n(&seat->state, __ATOMIC_ACQUIRE);
  if (state == ARB_TIER_SEAT_LEFT) return 1;
  if (state != ARB_TIER_SEAT_TAKEN || arb_tier_seat_owner(seat) != ARB_TIER_OWNER_GONE) return 0;
  arb_tier_seat_leave(seat);
  return 1;
}

void arb_tier_seat_clear(void *page, ArbTierSizes sizes, uint32_t number) {
  ArbTierHeader *header = page;
  ArbTierSeat *seat = arb_tier_seat(page, number);
  uint32_t *slots = arb_tier_slots(page);
  for (uint32_t slot = 0; slot < sizes.slot_count; slot++) {
    if (__atomic_load_n(&slots[slot], __ATOMIC_RELAXED) != number + 1) continue;
    __atomic_store_n(&slots[slot], ARB_TIER_SLOT_STALE, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&header->slots_used, 1, __ATOMIC_RELAXED);
  }
  uint32_t high = __atomic_load_n(&seat->chunk_high, __ATOMIC_RELAXED);
  if (high > sizes.chunk_capacity) high = sizes.chunk_capacity;
  uint64_t fast = seat->fast_bytes, most = high * ARB_TIER_CHUNK_BYTES;
  __atomic_fetch_add(
      &header->fast_free_bytes, (int64_t)(fast < most ? fast : most), __ATOMIC_RELAXED);
  memset(arb_tier_chunks(page, sizes, number), 0, high * sizeof(ArbTierChunk));
  uint64_t generation = seat->generation;
  /* The futex too: who held it is gone. The state last, as it is what the next one looks for. */
  size_t state = offsetof(ArbTierSeat, state), rest = state + sizeof seat->state;
  memset(seat, 0, state);
  memset((char *)seat + rest, 0, sizeof *seat - rest);
  seat->generation = generation + 1;
  /* Release, with the acquire of whoever claims the seat. */
  __atomic_store_n(&seat->state, ARB_TIER_SEAT_FREE, __ATOMIC_RELEASE);
}
