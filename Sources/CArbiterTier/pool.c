/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fast memory that a demotion leaves behind, for the next promotions: pages that need not be made,
 * zeroed and freed again, which costs more than to copy them. The kernel moves them out of the
 * program's chunk (Linux 6.8), but for pages that somebody else still holds, a device or a fork.
 *
 * The pool is the part of the budget that is free just now, so that it adds nothing to what fast
 * memory may take, and it is given back when nothing has moved for a while. Old bytes in it are out
 * of the program's reach: whoever takes a piece writes all of it before it is mapped in.
 *
 * It lies in an arena of its own that is mapped at the start and stays: what came and went among
 * the program's mappings could lie where the program has unmapped something and maps it again. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <fcntl.h>
#include <sys/mman.h>

/* Smaller runs are made as quickly as they are moved. */
#define PIECE_BYTES_MIN (256ull << 10)
#define ARENA_BYTES (ARB_TIER_POOL_PLACES * ARB_TIER_CHUNK_BYTES)
#define IDLE_NS 2000000000ll

static void unmap(uint64_t address, uint64_t length) {
  if (length != 0) arb_tier_call(SYS_munmap, (int64_t)address, (int64_t)length, 0, 0, 0, 0);
}

static void empty(uint64_t address, uint64_t length) {
  if (length != 0)
    arb_tier_call(SYS_madvise, (int64_t)address, (int64_t)length, MADV_DONTNEED, 0, 0, 0);
}

static uint64_t place_address(uint32_t place) {
  return arb_tier_state.pool.arena + place * ARB_TIER_CHUNK_BYTES;
}

static int is_ours(uint64_t address) {
  uint64_t arena = arb_tier_state.pool.arena;
  return arena != 0 && address - arena < ARENA_BYTES;
}

/* Bytes that this process may keep: its part of what is free, and at least a chunk. */
static uint64_t limit(void) {
  ArbTierState *state = &arb_tier_state;
  int64_t free_bytes = __atomic_load_n(&state->header->fast_free_bytes, __ATOMIC_RELAXED);
  uint32_t seats = __atomic_load_n(&state->header->seat_high, __ATOMIC_RELAXED), taken = 0;
  for (uint32_t each = 0; each < seats && each < ARB_TIER_SEAT_COUNT; each++) {
    const ArbTierSeat *seat = arb_tier_seat(state->page, each);
    taken += __atomic_load_n(&seat->state, __ATOMIC_RELAXED) == ARB_TIER_SEAT_TAKEN;
  }
  uint64_t share = free_bytes < 0 ? 0 : (uint64_t)free_bytes / (taken == 0 ? 1 : taken);
  return share < ARB_TIER_CHUNK_BYTES ? ARB_TIER_CHUNK_BYTES : share;
}

static uint64_t held_bytes(void) {
  uint64_t sum = 0;
  for (uint32_t place = 0; place < ARB_TIER_POOL_PLACES; place++)
    sum += arb_tier_state.pool.bytes[place];
  return sum;
}

/* Gives pieces back until there are at most so many bytes. */
static void trim(uint64_t bytes_max) {
  ArbTierPool *pool = &arb_tier_state.pool;
  uint64_t held = held_bytes();
  for (uint32_t place = 0; place < ARB_TIER_POOL_PLACES && held > bytes_max; place++) {
    empty(place_address(place), pool->bytes[place]);
    held -= pool->bytes[place];
    pool->bytes[place] = 0;
  }
}

void arb_tier_pool_drop(void) { trim(0); }

void arb_tier_pool_tend(void) {
  ArbTierPool *pool = &arb_tier_state.pool;
  if (pool->arena == 0 || held_bytes() == 0) return;
  trim(arb_tier_now() - pool->used_ns < IDLE_NS ? limit() : 0);
}

uint64_t arb_tier_map_aligned(uint64_t length) {
  const uint64_t unit = ARB_TIER_CHUNK_BYTES;
  const int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
  int64_t first = arb_tier_call(SYS_mmap, 0, (int64_t)length, protection, flags, -1, 0);
  if (first < 0) return 0;
  if (length < unit || (uint64_t)first % unit == 0) return (uint64_t)first;
  unmap((uint64_t)first, length);
  first = arb_tier_call(SYS_mmap, 0, (int64_t)(length + unit), protection, flags, -1, 0);
  if (first < 0) return 0;
  uint64_t start = (uint64_t)first, aligned = (start + unit - 1) / unit * unit;
  unmap(start, aligned - start);
  unmap(aligned + length, start + unit - aligned);
  return aligned;
}

/* 1 if fresh memory comes as huge pages: they are made quickly, and pieces of small pages shall not
 * take their place. */
int arb_tier_is_huge(void) {
  static int is_always = -1;
  if ((arb_tier_state.header->options & ARB_TIER_HUGE) != 0) return 1;
  if (is_always < 0) {
    char text[8] = "";
    int64_t file = arb_tier_call(
        SYS_openat, AT_FDCWD, (intptr_t) "/sys/kernel/mm/transparent_hugepage/enabled",
        O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (file >= 0) {
      arb_tier_call(SYS_read, file, (intptr_t)text, sizeof text, 0, 0, 0);
      arb_tier_call(SYS_close, file, 0, 0, 0, 0, 0);
    }
    is_always = text[0] == '[';
  }
  return is_always;
}

void arb_tier_pool_begin(void) {
  if (arb_tier_can_move_pages() && !arb_tier_is_huge())
    arb_tier_state.pool.arena = arb_tier_map_aligned(ARENA_BYTES);
}

uint64_t arb_tier_pool_room(uint32_t index, uint64_t length) {
  const ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  ArbTierPool *pool = &arb_tier_state.pool;
  if (pool->arena == 0 || length < PIECE_BYTES_MIN || chunk->sharing != ARB_TIER_PRIVATE ||
      chunk->protection != (PROT_READ | PROT_WRITE))
    return 0;
  uint32_t place = 0;
  while (place < ARB_TIER_POOL_PLACES && pool->bytes[place] != 0) place++;
  if (place == ARB_TIER_POOL_PLACES) return 0;
  uint64_t room = place_address(place);
  return arb_tier_register_missing(room, length) == 0 ? room : 0;
}

void arb_tier_pool_keep(uint64_t room, uint64_t length, int is_full) {
  ArbTierPool *pool = &arb_tier_state.pool;
  if (room == 0) return;
  uint64_t most = is_full && arb_tier_unregister(room, length) == 0 ? limit() : 0;
  if (length > most) {
    empty(room, length);
    return;
  }
  trim(most - length);
  pool->bytes[(room - pool->arena) / ARB_TIER_CHUNK_BYTES] = length;
  pool->used_ns = arb_tier_now();
}

uint64_t arb_tier_pool_take(uint32_t index, uint64_t length) {
  const ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  ArbTierPool *pool = &arb_tier_state.pool;
  if (chunk->sharing != ARB_TIER_PRIVATE || chunk->protection != (PROT_READ | PROT_WRITE))
    return 0;
  uint32_t best = ARB_TIER_POOL_PLACES;
  for (uint32_t place = 0; place < ARB_TIER_POOL_PLACES; place++) {
    if (pool->bytes[place] < length) continue;
    if (best == ARB_TIER_POOL_PLACES || pool->bytes[place] < pool->bytes[best]) best = place;
  }
  if (best == ARB_TIER_POOL_PLACES) return 0;
  /* From the end: what is left begins where it began. */
  pool->bytes[best] -= length;
  pool->used_ns = arb_tier_now();
  return place_address(best) + pool->bytes[best];
}

int arb_tier_fresh_put(uint64_t fresh, uint64_t length, uint64_t address) {
  /* The arena stays whole. */
  int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (is_ours(fresh) ? MREMAP_DONTUNMAP : 0);
  int64_t answer = arb_tier_call(
      SYS_mremap, (int64_t)fresh, (int64_t)length, (int64_t)length, flags, (int64_t)address, 0);
  return answer < 0 ? (int)answer : 0;
}

void arb_tier_fresh_drop(uint64_t fresh, uint64_t length) {
  if (is_ours(fresh)) empty(fresh, length);
  else unmap(fresh, length);
}
