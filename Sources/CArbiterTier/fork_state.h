/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What fork.c and lend.c share. */
#ifndef ARBITER_TIER_FORK_STATE_H
#define ARBITER_TIER_FORK_STATE_H

#include "tier_state.h"

/* Of a chunk, by index; only meaningful where the generation is the chunk's. */
typedef struct {
  uint64_t generation;
  uint64_t lent;   /* islands that are empty here, and come home when they are touched */
  uint64_t for_good; /* 1: slow islands are mapped privately here too, and stay so */
  uint64_t placed; /* islands under the placeholder: lent ones, and those that came home since */
} ArbTierForkChunk;

/* Islands side by side that a child has to map. */
typedef struct {
  uint64_t address;
  uint64_t length;
  uint64_t staging; /* where the slot is mapped privately, for the child to move */
  uint32_t index;
  int32_t protection;
  uint32_t is_lent; /* to an older fork */
} ArbTierForkRun;

/* A slot's byte. */
#define ARB_TIER_LENT 1u  /* forks may map it */
#define ARB_TIER_LEFT 2u  /* the chunk has done with it: freed when no fork is left */

typedef struct {
  uint32_t lock;       /* futex: 0 free, 1 held, 2 held and waited for */
  uint32_t is_ready;   /* the tables below are there */
  uint32_t is_pending; /* a fork has been, and was not yet folded back */
  uint32_t is_prepared;
  int64_t looked_ns;   /* when forks were last asked for */
  ArbTierForkChunk *chunks;
  uint8_t *slots;
  uint64_t chunks_bytes, slots_bytes;
  ArbTierForkRun *runs;
  uint64_t runs_bytes;
  uint32_t run_count;
  uint64_t staging, staging_bytes;
  uint64_t sentinel, sentinel_bytes; /* mapping; 0 where none could be made */
} ArbTierFork;

extern ArbTierFork arb_tier_fork;

/* Guards lent islands against the thread that brings them home. Held for short work without
 * remaps, which would wait for that thread. */
void arb_tier_fork_lock(void);
void arb_tier_fork_unlock(void);

/* The state of a chunk; cleared where it was another chunk's. NULL before the first fork. */
ArbTierForkChunk *arb_tier_fork_chunk(uint32_t index);

/* 1 if a fork of the process that has, or had, the seat lives; asked of a descriptor of the slow
 * file. */
int arb_tier_is_locked(int64_t file, uint32_t seat);
/* Maps the sentinel that children inherit; 1 if they will be seen. */
int arb_tier_make_sentinel(void);

/* Brings lent islands of a chunk home; with the fork lock. 0 or a negative errno. */
int arb_tier_lent_home(uint32_t index, uint64_t islands);

/* Takes all of a chunk home and its slot away; under the process's lock, on the mover. */
int arb_tier_lent_settle(uint32_t index);

/* No fork is left: what was lent is mapped shared again. Under the process's lock, on the mover. */
void arb_tier_fold_back(void);

#endif
