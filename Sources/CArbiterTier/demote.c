/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Islands on their way to slow memory: they can be read while they are copied, and whoever stores
 * to them waits until the slot is mapped in their place. They go in pieces, as who waits shall wait
 * for the copy of one piece and not of a chunk. */
#define _GNU_SOURCE
#include "move.h"

#include <errno.h>
#include <sys/mman.h>

/* Pages that were moved out of the piece go back there; where something else was mapped since,
 * those that can. */
static void give_back(const ArbTierMove *move, uint64_t room, uint64_t moved, int is_stale) {
  for (uint64_t at = 0; at < moved && is_stale; at += 4096)
    arb_tier_move_pages(move->address + at, room + at, 4096);
  uint64_t back = is_stale ? moved : arb_tier_move_pages(move->address, room, moved);
  if (back >= moved) return;
  arb_tier_call(
      SYS_mremap, (int64_t)(room + back), (int64_t)(moved - back), (int64_t)(moved - back),
      MREMAP_MAYMOVE | MREMAP_FIXED, (int64_t)(move->address + back), 0);
}

/* Copies the piece to its slot and maps that there; its pages go to room, where there is any, and
 * *moved says how much of it. On failure all is as before. */
static int replace_by_slot(ArbTierMove *move, uint64_t piece, uint64_t room, uint64_t *moved) {
  ArbTierLocal *local = &arb_tier_state.locals[move->index];
  uint64_t bytes = 0;
  int error = arb_tier_copy_present(
      move->index, move->slot, move->offset, move->length, (local->stale_islands & piece) != 0,
      &bytes);
  arb_tier_move_lock(move);
  local->stale_islands |= piece;
  if (error != 0) return error;
  if (room != 0 && bytes == move->length)
    *moved = arb_tier_move_pages(room, move->address, move->length);
  /* Right before the slot is mapped there. */
  error = arb_tier_move_check(move, 0);
  if (error == 0) error = arb_tier_move_map_slow(move);
  if (error != 0) give_back(move, room, *moved, error == -ESTALE);
  else move->outcome->bytes_copied += bytes;
  return error;
}

/* *moved says how many bytes from its start went to room, if there is any. */
static int demote_piece(ArbTierMove *move, uint64_t piece, uint64_t room, uint64_t *moved) {
  int error = arb_tier_move_check(move, 0);
  if (error != 0) return error;
  arb_tier_move_unlock(move);
  arb_tier_move_begin(move);
  error = arb_tier_protect_begin(move->address, move->length);
  if (error != 0) {
    arb_tier_move_lock(move);
    return error;
  }
  error = replace_by_slot(move, piece, room, moved);
  if (error == 0) {
    ArbTierChunk *chunk = arb_tier_move_chunk(move);
    __atomic_store_n(&chunk->slot, move->slot, __ATOMIC_RELAXED);
    arb_tier_note_islands(move->index, chunk->slow_islands | piece);
  } else {
    arb_tier_protect_undo(move->address, move->length);
  }
  arb_tier_move_release(move);
  if (error == 0) arb_tier_move_punch(move);
  return error;
}

/* The pages go to the pool, if all of them can. */
static int demote_pieces(ArbTierMove *move, uint64_t islands) {
  uint64_t bytes = (uint64_t)__builtin_popcountll(islands) * ARB_TIER_ISLAND_BYTES, kept = 0;
  uint64_t room = arb_tier_pool_room(move->index, bytes);
  int error = 0, is_full = 1;
  while (islands != 0 && error == 0) {
    uint32_t first, count;
    uint64_t piece = arb_tier_next_piece(&islands, arb_tier_piece_islands(), &first, &count);
    uint64_t moved = 0;
    arb_tier_move_aim(move, first, count);
    error = demote_piece(move, piece, room == 0 ? 0 : room + kept, &moved);
    is_full &= moved == move->length;
    kept += move->length;
  }
  arb_tier_pool_keep(room, bytes, error == 0 && is_full);
  return error;
}

/* The slot behind that of the chunk before, so that the two mappings become one. */
static uint32_t wished_slot(const ArbTierMove *move) {
  uint32_t before = arb_tier_find(arb_tier_move_chunk(move)->address - ARB_TIER_CHUNK_BYTES);
  if (before == ARB_TIER_NONE) return ARB_TIER_NO_SLOT;
  uint32_t slot = arb_tier_state.chunks[before].slot;
  return slot == ARB_TIER_NO_SLOT ? slot : slot + 1;
}

int arb_tier_demote(ArbTierMove *move, uint64_t islands) {
  ArbTierChunk *chunk = arb_tier_move_chunk(move);
  if ((chunk->protection & PROT_READ) == 0) return -EBUSY;
  if (chunk->sharing == ARB_TIER_SHARED && (arb_tier_state.features & (1 << 12)) == 0) {
    arb_tier_remark(ARB_TIER_REMARK_SHARED, "shared memory is moved from Linux 5.19 on", 0);
    return -EBUSY;
  }
  int error = 0;
  if (chunk->slot == ARB_TIER_NO_SLOT) {
    uint32_t wish = wished_slot(move);
    arb_tier_move_unlock(move);
    int is_stale = 0;
    move->slot = arb_tier_slot_claim(wish, &error, &is_stale);
    arb_tier_move_lock(move);
    if (move->slot == ARB_TIER_NO_SLOT) return error;
    arb_tier_state.locals[move->index].stale_islands = is_stale ? UINT64_MAX : 0;
  }
  error = demote_pieces(move, islands);
  if (chunk->slow_islands == 0) {
    arb_tier_move_unlock(move);
    arb_tier_slot_free(move->slot, 1);
    arb_tier_move_lock(move);
  }
  return error;
}

