/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the program does with ranges of its memory, for the chunks in them. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t end_of(uint64_t start, uint64_t length) {
  return start + length < start ? UINT64_MAX : start + length;
}

static int is_inside(uint64_t address, uint64_t start, uint64_t end) {
  return address >= start && address + ARB_TIER_CHUNK_BYTES <= end;
}

/* --- Coming home --- */

typedef struct {
  uint64_t start, end;
  int error;
} Range;

/* Out of management with all its memory plain; or, where a fork may still read the slot, as it is
 * mapped, and the slot stays taken for as long as the process lives. */
static int bring_out(uint32_t index) {
  ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  int is_forked = (chunk->held & ARB_TIER_HELD_FORKED) != 0;
  if (chunk->slow_islands != 0 && !is_forked) {
    int error = arb_tier_bring_home(index, UINT64_MAX);
    if (error != 0) return error;
  }
  arb_tier_forget(index, is_forked);
  return 0;
}

static int64_t bring_range_out(void *argument) {
  Range *range = argument;
  uint64_t at = range->start;
  for (uint32_t index; (index = arb_tier_next(&at, range->end)) != ARB_TIER_NONE;) {
    range->error = bring_out(index);
    if (range->error != 0) {
      arb_tier_remark(
          ARB_TIER_REMARK_MEMORY, "slow memory could not be brought home", -range->error);
      return range->error;
    }
  }
  return 0;
}

int arb_tier_home(uint64_t start, uint64_t length) {
  if (!arb_tier_overlaps(start, length)) return 0;
  Range range = {start, end_of(start, length), 0};
  arb_tier_lock_quiet(start, length);
  arb_tier_fork_settle(start, range.end);
  int answer = (int)arb_tier_on_mover(bring_range_out, &range);
  arb_tier_unlock();
  return answer;
}

/* --- Unmapping --- */

static int64_t begin_release(void *argument) {
  Range *range = argument;
  uint64_t at = range->start;
  for (uint32_t index; (index = arb_tier_next(&at, range->end)) != ARB_TIER_NONE;) {
    if (is_inside(at - ARB_TIER_CHUNK_BYTES, range->start, range->end)) {
      arb_tier_state.locals[index].leaving = 1;
      continue;
    }
    /* Cut in two. What cannot come home stays mapped to its slot, which nobody else gets. */
    if (bring_out(index) != 0) arb_tier_forget(index, 1);
  }
  return 0;
}

static int is_cut(uint64_t start, uint64_t end) {
  const uint64_t mask = ~(ARB_TIER_CHUNK_BYTES - 1);
  return ((start & ~mask) != 0 && arb_tier_find(start & mask) != ARB_TIER_NONE) ||
         ((end & ~mask) != 0 && arb_tier_find(end & mask) != ARB_TIER_NONE);
}

int arb_tier_release_begin(uint64_t start, uint64_t length) {
  Range range = {start, end_of(start, length), 0};
  arb_tier_lock_quiet(start, length);
  /* Only what is cut needs the mover. */
  if (is_cut(range.start, range.end)) {
    arb_tier_fork_settle(range.start, range.start + 1);
    arb_tier_fork_settle(range.end - 1, range.end);
    arb_tier_on_mover(begin_release, &range);
  } else {
    begin_release(&range);
  }
  arb_tier_state.leaving_start = start;
  arb_tier_state.leaving_length = range.end - start;
  return 0;
}

/* Frees slots that lie side by side in one call. */
static int64_t end_release(void *argument) {
  Range *range = argument;
  ArbTierState *state = &arb_tier_state;
  uint64_t at = range->start;
  uint32_t first = ARB_TIER_NO_SLOT, count = 0;
  for (uint32_t index; (index = arb_tier_next(&at, range->end)) != ARB_TIER_NONE;) {
    if (state->locals[index].leaving == 0) continue;
    uint32_t slot = state->chunks[index].slot;
    int is_forked = (state->chunks[index].held & ARB_TIER_HELD_FORKED) != 0;
    if (slot != ARB_TIER_NO_SLOT && is_forked)
      arb_tier_fork_slot_left(slot);
    arb_tier_forget(index, 1);
    if (slot == ARB_TIER_NO_SLOT || is_forked) continue;
    if (count != 0 && slot == first + count) {
      count++;
      continue;
    }
    if (count != 0) arb_tier_slot_free(first, count);
    first = slot;
    count = 1;
  }
  if (count != 0) arb_tier_slot_free(first, count);
  return 0;
}

void arb_tier_release_end(int is_gone) {
  ArbTierState *state = &arb_tier_state;
  Range range = {state->leaving_start, state->leaving_start + state->leaving_length, 0};
  state->leaving_start = state->leaving_length = 0;
  int needs_mover = 0, is_any = 0;
  uint64_t at = range.start;
  for (uint32_t index; (index = arb_tier_next(&at, range.end)) != ARB_TIER_NONE;) {
    if (!is_gone) state->locals[index].leaving = 0;
    if (state->chunks[index].slot != ARB_TIER_NO_SLOT) needs_mover = 1;
    is_any = 1;
  }
  if (!is_gone || !is_any) return;
  if (needs_mover) arb_tier_on_mover(end_release, &range);
  else end_release(&range);
}

void arb_tier_release_failed(void) { arb_tier_release_end(0); }

/* --- Advice, protection, holds --- */

/* Zeroes what the range covers of a chunk's slow islands. */
static int discard_chunk(uint32_t index, uint64_t start, uint64_t end) {
  ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  int is_device = arb_tier_state.slow_kind == ARB_TIER_SLOW_DEVICE_DAX;
  for (uint32_t island = 0; island < 64; island++) {
    if ((chunk->slow_islands >> island & 1) == 0) continue;
    uint64_t from = chunk->address + island * ARB_TIER_ISLAND_BYTES;
    /* Islands side by side go in one call. */
    while (island < 63 && (chunk->slow_islands >> (island + 1) & 1) != 0) island++;
    uint64_t to = chunk->address + (island + 1) * ARB_TIER_ISLAND_BYTES;
    if (from < start) from = start;
    if (to > end) to = end;
    if (from >= to) continue;
    int error = is_device || (chunk->held & ARB_TIER_HELD_FORKED) == 0
                    ? arb_tier_slot_zero(chunk->slot, from - chunk->address, to - from)
                    : -EBUSY;
    if (error != 0) return error;
  }
  return 0;
}

static int64_t discard(void *argument) {
  Range *range = argument;
  uint64_t at = range->start;
  for (uint32_t index; (index = arb_tier_next(&at, range->end)) != ARB_TIER_NONE;) {
    if (arb_tier_state.chunks[index].slow_islands == 0) continue;
    range->error = discard_chunk(index, range->start, range->end);
    if (range->error != 0) return range->error;
  }
  return 0;
}

int arb_tier_discard(uint64_t start, uint64_t length) {
  if (!arb_tier_overlaps(start, length)) return 0;
  Range range = {start, end_of(start, length), 0};
  arb_tier_lock_quiet(start, length);
  arb_tier_fork_settle(start, range.end);
  uint64_t at = start;
  int is_any_slow = 0;
  for (uint32_t index; (index = arb_tier_next(&at, range.end)) != ARB_TIER_NONE;)
    is_any_slow |= arb_tier_state.chunks[index].slow_islands != 0;
  int answer = is_any_slow ? (int)arb_tier_on_mover(discard, &range) : 0;
  arb_tier_unlock();
  return answer;
}

int arb_tier_protect(uint64_t start, uint64_t length, int protection) {
  uint64_t end = end_of(start, length), at = start;
  arb_tier_lock_quiet(start, length);
  arb_tier_fork_settle(start, end);
  int64_t answer = arb_tier_call(
      SYS_mprotect, (int64_t)start, (int64_t)length, protection, 0, 0, 0);
  for (uint32_t index; (index = arb_tier_next(&at, end)) != ARB_TIER_NONE;) {
    ArbTierChunk *chunk = &arb_tier_state.chunks[index];
    /* A call that failed may have changed a part. */
    if (answer < 0 || !is_inside(chunk->address, start, end)) chunk->held |= ARB_TIER_HELD_MIXED;
    else chunk->protection = (uint8_t)protection;
    if (answer == 0 && is_inside(chunk->address, start, end))
      chunk->held &= (uint8_t)~ARB_TIER_HELD_MIXED;
    arb_tier_show(index);
  }
  arb_tier_unlock();
  return (int)answer;
}

void arb_tier_hold(uint64_t start, uint64_t length, uint8_t why, int is_held) {
  uint64_t end = end_of(start, length), at = start;
  if (!arb_tier_overlaps(start, length)) return;
  arb_tier_lock_quiet(start, length);
  for (uint32_t index; (index = arb_tier_next(&at, end)) != ARB_TIER_NONE;) {
    ArbTierChunk *chunk = &arb_tier_state.chunks[index];
    if (is_held) chunk->held |= why;
    else chunk->held &= (uint8_t)~why;
    arb_tier_show(index);
  }
  arb_tier_unlock();
}

void arb_tier_freeze(const char *why) {
  if (!arb_tier_is_joined()) return;
  /* Not before the migration under way has ended: what was opened is used only after this. */
  arb_tier_lock_quiet(0, UINT64_MAX);
  __atomic_store_n(&arb_tier_state.is_frozen, 1, __ATOMIC_RELEASE);
  __atomic_store_n(&arb_tier_state.seat->is_frozen, 1, __ATOMIC_RELEASE);
  arb_tier_remark(ARB_TIER_REMARK_FREEZE, why, 0);
  arb_tier_unlock();
}
