/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The chunk table, and the index from addresses to its entries: a tree of two levels, whose leaves
 * cover 8 GiB each, so that long ranges without managed memory are passed over quickly. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <string.h>
#include <sys/mman.h>

#define LEAF_COUNT 4096u
#define ROOT_COUNT 16384u /* 128 TiB: all addresses that programs get */
#define LEAF_BYTES ((uint64_t)LEAF_COUNT * ARB_TIER_CHUNK_BYTES)

/* Index of the table's entry plus one, by chunk number; leaves stay once they are made. */
static uint32_t *root[ROOT_COUNT];

static uint32_t *leaf_of(uint64_t address) {
  uint64_t place = address / LEAF_BYTES;
  /* Acquire, with the release in arb_tier_add: a leaf is zero when it is seen. */
  return place < ROOT_COUNT ? __atomic_load_n(&root[place], __ATOMIC_ACQUIRE) : NULL;
}

static uint32_t *cell_of(uint64_t address) {
  uint32_t *leaf = leaf_of(address);
  return leaf == NULL ? NULL : &leaf[address / ARB_TIER_CHUNK_BYTES % LEAF_COUNT];
}

uint32_t arb_tier_find(uint64_t address) {
  uint32_t *cell = cell_of(address);
  uint32_t value = cell == NULL ? 0 : __atomic_load_n(cell, __ATOMIC_RELAXED);
  return value == 0 ? ARB_TIER_NONE : value - 1;
}

uint32_t arb_tier_next(uint64_t *address, uint64_t end) {
  /* Relaxed: bounds only grow, and only before the memory they stand for is handed out. */
  uint64_t low = __atomic_load_n(&arb_tier_state.low, __ATOMIC_RELAXED);
  uint64_t high = __atomic_load_n(&arb_tier_state.high, __ATOMIC_RELAXED);
  uint64_t at = *address & ~(ARB_TIER_CHUNK_BYTES - 1);
  if (at < low) at = low;
  if (end > high) end = high;
  while (at < end) {
    uint32_t *leaf = leaf_of(at);
    if (leaf == NULL) {
      at = (at / LEAF_BYTES + 1) * LEAF_BYTES;
      continue;
    }
    uint32_t value =
        __atomic_load_n(&leaf[at / ARB_TIER_CHUNK_BYTES % LEAF_COUNT], __ATOMIC_RELAXED);
    at += ARB_TIER_CHUNK_BYTES;
    if (value == 0) continue;
    *address = at;
    return value - 1;
  }
  return ARB_TIER_NONE;
}

int arb_tier_overlaps(uint64_t start, uint64_t length) {
  uint64_t end = start + length < start ? UINT64_MAX : start + length;
  if (end <= __atomic_load_n(&arb_tier_state.low, __ATOMIC_RELAXED)) return 0;
  if (start >= __atomic_load_n(&arb_tier_state.high, __ATOMIC_RELAXED)) return 0;
  if (!arb_tier_is_joined()) return 0;
  return arb_tier_next(&start, end) != ARB_TIER_NONE;
}

static int make_leaf(uint64_t address) {
  uint64_t place = address / LEAF_BYTES;
  if (place >= ROOT_COUNT) return -1;
  if (root[place] != NULL) return 0;
  int64_t leaf = arb_tier_call(
      SYS_mmap, 0, LEAF_COUNT * sizeof(uint32_t), PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (leaf < 0) return -1;
  /* Release, with the acquire in leaf_of. */
  __atomic_store_n(&root[place], (uint32_t *)leaf, __ATOMIC_RELEASE);
  return 0;
}

uint32_t arb_tier_add(uint64_t address) {
  ArbTierState *state = &arb_tier_state;
  uint32_t capacity = state->chunk_capacity;
  if (make_leaf(address) != 0) return ARB_TIER_NONE;
  uint32_t high = arb_tier_high(), index = state->free_hint;
  while (index < high && state->chunks[index].address != 0) index++;
  if (index >= capacity) return ARB_TIER_NONE;
  state->free_hint = index + 1;
  ArbTierChunk *chunk = &state->chunks[index];
  memset(&state->locals[index], 0, sizeof(ArbTierLocal));
  chunk->slow_islands = UINT64_MAX; /* takes nothing of the budget before it is placed */
  chunk->slot = ARB_TIER_NO_SLOT;
  chunk->protection = chunk->sharing = chunk->held = chunk->busy = 0;
  chunk->generation = state->next_generation++;
  chunk->address = address;
  if (index >= high) {
    __atomic_store_n(&state->chunk_high, index + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&state->seat->chunk_high, index + 1, __ATOMIC_RELEASE);
  }
  __atomic_store_n(cell_of(address), index + 1, __ATOMIC_RELEASE);
  if (address < state->low) __atomic_store_n(&state->low, address, __ATOMIC_RELEASE);
  if (address + ARB_TIER_CHUNK_BYTES > state->high)
    __atomic_store_n(&state->high, address + ARB_TIER_CHUNK_BYTES, __ATOMIC_RELEASE);
  return index;
}

void arb_tier_show(uint32_t index) {
  const ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  ArbTierChunk *shown = &arb_tier_state.shown[index];
  /* An entry that stands for something else now has no address until all else is there: release,
   * with the manager's reading. */
  if (shown->generation != chunk->generation)
    __atomic_store_n(&shown->address, 0, __ATOMIC_RELEASE);
  __atomic_store_n(&shown->slow_islands, chunk->slow_islands, __ATOMIC_RELAXED);
  __atomic_store_n(&shown->slot, chunk->slot, __ATOMIC_RELAXED);
  __atomic_store_n(&shown->protection, chunk->protection, __ATOMIC_RELAXED);
  __atomic_store_n(&shown->sharing, chunk->sharing, __ATOMIC_RELAXED);
  __atomic_store_n(&shown->held, chunk->held, __ATOMIC_RELAXED);
  __atomic_store_n(&shown->busy, chunk->busy, __ATOMIC_RELAXED);
  __atomic_store_n(&shown->generation, chunk->generation, __ATOMIC_RELEASE);
  __atomic_store_n(&shown->address, chunk->address, __ATOMIC_RELEASE);
}

static int64_t close_fast_file(void *argument) {
  ArbTierFastFile *file = argument;
  arb_tier_call(SYS_close, file->descriptor, 0, 0, 0, 0, 0);
  return 0;
}

static int64_t free_slot(void *argument) {
  arb_tier_slot_free(*(uint32_t *)argument, 1);
  return 0;
}

void arb_tier_forget(uint32_t index, int keeps_slot) {
  ArbTierState *state = &arb_tier_state;
  ArbTierChunk *chunk = &state->chunks[index];
  ArbTierLocal *local = &state->locals[index];
  if (chunk->address == 0) return;
  uint32_t *cell = cell_of(chunk->address);
  if (cell != NULL) __atomic_store_n(cell, 0, __ATOMIC_RELEASE);
  /* Gone memory takes nothing of the budget: as if all of it were slow. */
  arb_tier_note_islands(index, UINT64_MAX);
  uint32_t slot = chunk->slot;
  chunk->address = 0;
  chunk->slot = ARB_TIER_NO_SLOT;
  arb_tier_show(index);
  if (chunk->sharing == ARB_TIER_SHARED) {
    ArbTierFastFile *file = &state->fast_files[local->fast_file];
    if (--file->chunk_count == 0) arb_tier_on_mover(close_fast_file, file);
  }
  if (index < state->free_hint) state->free_hint = index;
  if (slot != ARB_TIER_NO_SLOT && !keeps_slot) arb_tier_on_mover(free_slot, &slot);
}

void arb_tier_note_islands(uint32_t index, uint64_t slow_islands) {
  ArbTierState *state = &arb_tier_state;
  ArbTierChunk *chunk = &state->chunks[index];
  int64_t grown = (int64_t)__builtin_popcountll(chunk->slow_islands) -
                  (int64_t)__builtin_popcountll(slow_islands);
  int64_t bytes = grown * (int64_t)ARB_TIER_ISLAND_BYTES;
  __atomic_store_n(&chunk->slow_islands, slow_islands, __ATOMIC_RELAXED);
  arb_tier_show(index);
  __atomic_fetch_add(&state->seat->fast_bytes, (uint64_t)bytes, __ATOMIC_RELAXED);
  __atomic_fetch_sub(&state->header->fast_free_bytes, bytes, __ATOMIC_RELAXED);
}

void arb_tier_index_clear(void) {
  for (uint32_t place = 0; place < ROOT_COUNT; place++) {
    if (root[place] == NULL) continue;
    arb_tier_call(
        SYS_munmap, (intptr_t)root[place], LEAF_COUNT * sizeof(uint32_t), 0, 0, 0, 0);
    root[place] = NULL;
  }
}
