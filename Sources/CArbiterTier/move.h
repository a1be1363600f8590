/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the two directions of a migration share. */
#ifndef ARBITER_TIER_MOVE_H
#define ARBITER_TIER_MOVE_H

#include "tier_state.h"

/* A migration, or a homecoming, while it goes on. */
typedef struct {
  uint32_t index;
  uint32_t slot;
  int is_locked; /* the caller keeps the lock all the while */
  ArbTierOutcome *outcome;
  uint64_t offset, length; /* of the islands at hand, in the chunk */
  uint64_t address;        /* of them */
  int64_t protected_since;
  uint32_t faults_before;
} ArbTierMove;

static inline ArbTierChunk *arb_tier_move_chunk(const ArbTierMove *move) {
  return &arb_tier_state.chunks[move->index];
}

#define ARB_TIER_CHUNK_ISLANDS ((uint32_t)(ARB_TIER_CHUNK_BYTES / ARB_TIER_ISLAND_BYTES))

/* Islands side by side that move together, at most: whoever needs one waits for all of them. */
uint32_t arb_tier_piece_islands(void);

void arb_tier_move_lock(const ArbTierMove *move);
void arb_tier_move_unlock(const ArbTierMove *move);

/* The islands at hand are these from now on. */
void arb_tier_move_aim(ArbTierMove *move, uint32_t first, uint32_t count);

/* -ESTALE where memory is not mapped as the table says; it is let alone from now on. */
int arb_tier_move_check(const ArbTierMove *move, int is_slow);

/* From here on somebody may wait; and from there on nobody: counts who did, and lets all go on. */
void arb_tier_move_begin(ArbTierMove *move);
void arb_tier_move_release(ArbTierMove *move);

/* 1 if nothing is mapped there: a remap that failed after it had made room. */
int arb_tier_is_hole(uint64_t address);

/* Maps the slot over the islands at hand; tries again where the failure left a hole. */
int arb_tier_move_map_slow(const ArbTierMove *move);

/* Shared memory: the memfd lets go of what the islands at hand had there. */
void arb_tier_move_punch(const ArbTierMove *move);

/* Both with the lock held, which they let go of meanwhile; islands are not where they shall be. */
int arb_tier_demote(ArbTierMove *move, uint64_t islands);
int arb_tier_promote(ArbTierMove *move, uint64_t islands);

#endif
