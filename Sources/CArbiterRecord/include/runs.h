/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Accesses of a thread, one call each, merged into runs of equal accesses that lie evenly apart.
 * The run that goes on lies in the ring already, so that it survives the thread. An access that
 * continues it costs a comparison and an increment; the clock is read once in ARB_RUN_CHECK
 * accesses, so that a pause or the loss of the processor within a run ends it there.
 *
 * The span of a run is the time from its first access to the event after it, all of it the thread's
 * own, unless the thread paused in between.
 */
#ifndef ARBITER_RUNS_H
#define ARBITER_RUNS_H

#include "recorder.h"

#define ARB_RUN_CHECK 64u
#define ARB_RUN_COUNT_MAX (1u << 30)

/* A thread's run. All zero: none. `key` is compared first, so that no other field is looked at
 * while there is no run. */
typedef struct {
  uint64_t key;    /* operation << 32 | length; 0: no run goes on */
  uint64_t base;   /* address of the first access */
  int64_t stride;
  uint64_t check;  /* number of accesses at which the slow path looks */
  ArbTraceEvent *_Nullable event; /* of the run, in the ring */
  uint64_t range_start, range_bytes; /* memory in which runs of this region lie */
  uint64_t range_offset;
  uint32_t region;
} ArbRunState;

#define ARB_RUN_KEY(operation, length) \
  ((uint64_t)((uint32_t)(operation) + 1) << 32 | (uint32_t)(length))

/* Whether the access continues the run, which it then has done. */
static inline int arb_run_continue(ArbRunState *_Nonnull run, uint64_t key, uint64_t address) {
  if (run->key != key) return 0;
  uint64_t count = run->event->count;
  if (address != run->base + count * (uint64_t)run->stride || count >= run->check) return 0;
  run->event->count = (uint32_t)count + 1;
  return 1;
}

/* Begins a run, or continues one after a look at the clock. The address lies within the run's
 * range, for all its bytes. */
void arb_run_begin(ArbRunState *_Nonnull run, ArbRecorder *_Nonnull recorder, uint64_t key,
                   uint64_t address);

/* Ends the run, if one goes on. */
void arb_run_end(ArbRunState *_Nonnull run, ArbRecorder *_Nonnull recorder);

#endif
