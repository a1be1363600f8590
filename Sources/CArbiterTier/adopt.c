/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * How memory comes under management: at its mapping, while it is still empty. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

typedef struct {
  uint64_t first, end; /* whole chunks */
  int protection;
  ArbTierSharing sharing;
  uint32_t fast_file;
  int64_t slow_count;
} Adoption;

static int has_room(void) {
  /* A slot that was mapped now would be shared with the child. */
  if (arb_tier_state.forking != 0) return 1;
  return __atomic_load_n(&arb_tier_state.header->fast_free_bytes, __ATOMIC_RELAXED) >=
         (int64_t)ARB_TIER_CHUNK_BYTES;
}

/* 1 if the chunk begins in slow memory from now on. */
static int place_slow(uint32_t index, uint32_t near) {
  ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  int why = 0;
  uint32_t slot = arb_tier_slot_claim(near, &why, NULL);
  if (slot == ARB_TIER_NO_SLOT) return 0;
  int answer = arb_tier_map_slot(
      chunk->address, slot, 0, ARB_TIER_CHUNK_BYTES, chunk->protection, MAP_SHARED);
  if (answer != 0) {
    arb_tier_remark(ARB_TIER_REMARK_DEVICE, "the slow file cannot be mapped", -answer);
    arb_tier_slot_free(slot, 1);
    return 0;
  }
  __atomic_store_n(&chunk->slot, slot, __ATOMIC_RELAXED);
  __atomic_fetch_add(&arb_tier_state.seat->counts.placed_slow, 1, __ATOMIC_RELAXED);
  return 1;
}

static int64_t place(void *argument) {
  Adoption *adoption = argument;
  ArbTierState *state = &arb_tier_state;
  uint32_t near = ARB_TIER_NO_SLOT;
  for (uint64_t at = adoption->first; at < adoption->end; at += ARB_TIER_CHUNK_BYTES) {
    uint32_t old = arb_tier_find(at);
    if (old != ARB_TIER_NONE) arb_tier_forget(old, 0);
    uint32_t index = arb_tier_add(at);
    if (index == ARB_TIER_NONE) {
      arb_tier_remark(ARB_TIER_REMARK_TABLE, "more memory than the table holds is not managed", 0);
      break;
    }
    ArbTierChunk *chunk = &state->chunks[index];
    chunk->protection = (uint8_t)adoption->protection;
    chunk->sharing = (uint8_t)adoption->sharing;
    if (adoption->sharing == ARB_TIER_SHARED) {
      state->locals[index].fast_file = adoption->fast_file;
      state->locals[index].fast_offset = at - adoption->first;
      state->fast_files[adoption->fast_file].chunk_count++;
    }
    int is_slow = !has_room() && place_slow(index, near);
    arb_tier_note_islands(index, is_slow ? UINT64_MAX : 0);
    if (!is_slow) continue;
    near = chunk->slot + 1;
    adoption->slow_count++;
  }
  return 0;
}

/* Puts a memfd in the place of anonymous memory that nobody has touched or inherited yet. */
static int64_t share(void *argument) {
  Adoption *adoption = argument;
  ArbTierState *state = &arb_tier_state;
  uint32_t number = 0;
  while (number < ARB_TIER_FAST_FILES && state->fast_files[number].chunk_count != 0) number++;
  if (number == ARB_TIER_FAST_FILES) return -EMFILE;
  int64_t length = (int64_t)(adoption->end - adoption->first);
  int64_t file = arb_tier_call(
      SYS_memfd_create, (intptr_t) "arbiter-tier-shared", MFD_CLOEXEC, 0, 0, 0, 0);
  if (file < 0) return file;
  int64_t answer = arb_tier_call(SYS_ftruncate, file, length, 0, 0, 0, 0);
  if (answer >= 0)
    answer = arb_tier_call(
        SYS_mmap, (int64_t)adoption->first, length, adoption->protection, MAP_SHARED | MAP_FIXED,
        file, 0);
  if (answer < 0) {
    arb_tier_call(SYS_close, file, 0, 0, 0, 0, 0);
    return answer;
  }
  state->fast_files[number].descriptor = (int32_t)file;
  adoption->fast_file = number;
  place(adoption);
  if (state->fast_files[number].chunk_count == 0) arb_tier_call(SYS_close, file, 0, 0, 0, 0, 0);
  return 0;
}

int64_t arb_tier_adopt(
    uint64_t start, uint64_t length, int protection, ArbTierSharing sharing) {
  const uint64_t unit = ARB_TIER_CHUNK_BYTES;
  Adoption adoption = {.protection = protection, .sharing = sharing};
  adoption.first = (start + unit - 1) / unit * unit;
  adoption.end = (start + length) / unit * unit;
  if (start + length < start || adoption.first < start) return -EINVAL;
  if (!arb_tier_is_joined()) return -ENOTCONN;
  if (adoption.end <= adoption.first) return 0;
  arb_tier_lock_quiet(adoption.first, adoption.end - adoption.first);
  ArbTierState *state = &arb_tier_state;
  int64_t bytes = (int64_t)(adoption.end - adoption.first), answer;
  if (sharing == ARB_TIER_SHARED) {
    answer = arb_tier_on_mover(share, &adoption);
  } else {
    if ((state->header->options & ARB_TIER_HUGE) != 0)
      arb_tier_call(SYS_madvise, (int64_t)adoption.first, bytes, MADV_HUGEPAGE, 0, 0, 0);
    int64_t room = __atomic_load_n(&state->header->fast_free_bytes, __ATOMIC_RELAXED);
    /* Only what goes to the slow file needs the mover. */
    answer = room >= bytes ? place(&adoption) : arb_tier_on_mover(place, &adoption);
  }
  arb_tier_unlock();
  return answer < 0 ? answer : adoption.slow_count;
}
