/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * One migration. Islands that lie side by side move together, up to some number; each such piece
 * either moves whole or stays as it was. The two directions: demote.c and promote.c. */
#define _GNU_SOURCE
#include "move.h"

#include <errno.h>
#include <sys/mman.h>

/* A mebibyte: its copy takes two to three times as long as what a piece costs besides. */
#define PIECE_ISLANDS_MAX 32u

void arb_tier_move_lock(const ArbTierMove *move) {
  if (!move->is_locked) arb_tier_mover_lock();
}

void arb_tier_move_unlock(const ArbTierMove *move) {
  if (!move->is_locked) arb_tier_mover_unlock();
}

void arb_tier_move_aim(ArbTierMove *move, uint32_t first, uint32_t count) {
  move->offset = first * ARB_TIER_ISLAND_BYTES;
  move->length = count * ARB_TIER_ISLAND_BYTES;
  move->address = arb_tier_move_chunk(move)->address + move->offset;
}

uint32_t arb_tier_piece_islands(void) {
  /* A device that can only be mapped is mapped by whole chunks. */
  int is_whole = arb_tier_state.slow_kind == ARB_TIER_SLOW_DEVICE_DAX;
  return is_whole ? ARB_TIER_CHUNK_ISLANDS : PIECE_ISLANDS_MAX;
}

static int status_of(int error) {
  switch (error) {
    case 0: return ARB_TIER_MOVED;
    case -ESTALE: return ARB_TIER_STALE;
    case -EBUSY: return ARB_TIER_BUSY;
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
    case -ENOMEM: return ARB_TIER_FULL;
    default: return ARB_TIER_FAILED;
  }
}

int arb_tier_move_check(const ArbTierMove *move, int is_slow) {
  if (arb_tier_check(move->index, move->offset, move->length, is_slow)) return 0;
  arb_tier_move_chunk(move)->held |= ARB_TIER_HELD_MIXED;
  arb_tier_remark(
      ARB_TIER_REMARK_MAPPING, "memory was mapped anew unseen: it is no longer moved", 0);
  return -ESTALE;
}

void arb_tier_move_begin(ArbTierMove *move) {
  move->faults_before = __atomic_load_n(&arb_tier_state.fault_count, __ATOMIC_RELAXED);
  move->protected_since = arb_tier_now();
}

void arb_tier_move_release(ArbTierMove *move) {
  arb_tier_drain_events();
  arb_tier_wake(move->address, move->length);
  uint64_t lasted = (uint64_t)(arb_tier_now() - move->protected_since);
  uint32_t faults = __atomic_load_n(&arb_tier_state.fault_count, __ATOMIC_RELAXED);
  uint32_t stalls = faults - move->faults_before;
  ArbTierCounts *counts = &arb_tier_state.seat->counts;
  if (lasted > move->outcome->protected_ns) move->outcome->protected_ns = lasted;
  move->outcome->stall_count += stalls;
  __atomic_fetch_add(&counts->stalls, stalls, __ATOMIC_RELAXED);
  __atomic_fetch_add(&counts->stall_ns, stalls * lasted, __ATOMIC_RELAXED);
  if (stalls != 0 && lasted > counts->stall_ns_max)
    __atomic_store_n(&counts->stall_ns_max, lasted, __ATOMIC_RELAXED);
}

int arb_tier_is_hole(uint64_t address) {
  unsigned char page;
  return arb_tier_call(SYS_mincore, (int64_t)address, 4096, (intptr_t)&page, 0, 0, 0) == -ENOMEM;
}

int arb_tier_move_map_slow(const ArbTierMove *move) {
  const ArbTierChunk *chunk = arb_tier_move_chunk(move);
  int answer = -EAGAIN;
  for (int turn = 0; turn < 3 && answer != 0; turn++) {
    answer = arb_tier_map_slot(
        move->address, move->slot, move->offset, move->length, chunk->protection, MAP_SHARED);
    if (answer != 0 && !arb_tier_is_hole(move->address)) break;
  }
  return answer;
}

void arb_tier_move_punch(const ArbTierMove *move) {
  const ArbTierLocal *local = &arb_tier_state.locals[move->index];
  if (arb_tier_move_chunk(move)->sharing != ARB_TIER_SHARED) return;
  arb_tier_call(
      SYS_fallocate, arb_tier_state.fast_files[local->fast_file].descriptor, 3,
      (int64_t)(local->fast_offset + move->offset), (int64_t)move->length, 0, 0);
}

int arb_tier_run(uint32_t index, uint64_t islands, int is_to_slow, ArbTierOutcome *outcome) {
  uint32_t slot = arb_tier_state.chunks[index].slot;
  ArbTierMove move = {.index = index, .slot = slot, .outcome = outcome};
  int error = arb_tier_slots_check();
  if (error == 0)
    error = is_to_slow ? arb_tier_demote(&move, islands) : arb_tier_promote(&move, islands);
  int status = status_of(error);
  /* Whether it is the claim of a slot or the copy that meets a full device, one line says so. */
  if (status == ARB_TIER_FULL)
    arb_tier_remark(
        arb_tier_is_full(error) ? ARB_TIER_REMARK_SLOT : ARB_TIER_REMARK_MEMORY,
        "there was no room for a migration: chunks stay where they are", -error);
  if (status == ARB_TIER_FAILED)
    arb_tier_remark(
        error == -EIO ? ARB_TIER_REMARK_DEVICE : ARB_TIER_REMARK_PROTECT,
        "a migration failed, and the chunk stays where it is", -error);
  return status;
}

int arb_tier_bring_home(uint32_t index, uint64_t islands) {
  ArbTierOutcome outcome = {0};
  ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  ArbTierMove move = {.index = index, .slot = chunk->slot, .is_locked = 1, .outcome = &outcome};
  islands &= chunk->slow_islands;
  if (islands == 0) return 0;
  if (!arb_tier_state.is_movable) return -EPERM;
  if (arb_tier_slots_check() != 0) return -EIO;
  uint64_t busy = arb_tier_state.busy_address;
  arb_tier_state.busy_address = chunk->address;
  int error = arb_tier_promote(&move, islands);
  arb_tier_state.busy_address = busy;
  if (error == 0) __atomic_fetch_add(&arb_tier_state.seat->counts.homes, 1, __ATOMIC_RELAXED);
  return error;
}
