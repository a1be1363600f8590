/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Accesses of a thread, one call each, merged into runs of equal accesses that lie evenly apart.
 * The run that goes on lies in the ring already, so that it survives the thread. An access that
 * continues it costs a comparison and an increment.
 *
 * The clock is read when a run begins, and once in ARB_RUN_CHECK accesses of a long one, so that a
 * pause or the loss of the processor ends it there. While runs follow each other within less than
 * ARB_RUN_QUICK_NANOSECONDS it is read for one run in ARB_RUN_BATCH: they are handed over together,
 * spread evenly over the time that they took.
 *
 * The span of a run is the time from its first access to the event after it, all of it the thread's
 * own, unless the thread paused in between.
 */
#ifndef ARBITER_RUNS_H
#define ARBITER_RUNS_H

#include "recorder.h"

#define ARB_RUN_CHECK 64u
#define ARB_RUN_BATCH 16u
#define ARB_RUN_QUICK_NANOSECONDS 500.0
#define ARB_RUN_COUNT_MAX (1u << 30)

/* A thread's runs. All zero: none. */
typedef struct {
  uint64_t key;    /* operation and length; 0: the next access begins a run */
  uint64_t base;   /* address of the first access */
  int64_t stride;
  uint64_t check;  /* number of accesses at which the slow path looks */
  ArbTraceEvent *_Nullable event; /* of the run, in the ring */
  uint64_t next;        /* behind the place of the run; from the lane's head on, runs wait there */
  int64_t first_start;  /* of the first of them, in the thread's own time */
  uint32_t runs_left;   /* that may begin without a look at the clock */
  uint32_t region;
  uint64_t range_start, range_bytes; /* memory in which runs of this region lie */
  uint64_t range_offset;
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

/* Sets the number of accesses at which the slow path looks again: after some, and where the next
 * one would leave the range. */
static inline void arb_run_plan_check(ArbRunState *_Nonnull run, uint64_t count, uint64_t length) {
  uint64_t check = count + ARB_RUN_CHECK;
  uint64_t first = run->base - run->range_start;
  uint64_t step = (uint64_t)(run->stride < 0 ? -run->stride : run->stride);
  uint64_t reach = check * step;
  uint64_t room = run->stride < 0 ? first : run->range_bytes - first - length;
  if (reach > room) check = step == 0 ? check : room / step + 1;
  run->check = check < ARB_RUN_COUNT_MAX ? check : ARB_RUN_COUNT_MAX;
}

/* Whether the access is the one that the run expects, within its range. */
static inline int arb_run_is_next(const ArbRunState *_Nonnull run, uint64_t key, uint64_t address) {
  uint64_t count = run->event->count;
  uint64_t offset = address - run->range_start;
  return run->key == key && count < ARB_RUN_COUNT_MAX &&
         address == run->base + count * (uint64_t)run->stride && offset < run->range_bytes;
}

/* Whether a second access makes a run of the first, which it then has done; any stride that fits
 * does. The clock is not read: should there be a pause between the two, the next look finds it. */
static inline int arb_run_set_stride(ArbRunState *_Nonnull run, uint64_t key, uint64_t address) {
  int64_t stride = (int64_t)(address - run->base);
  if (run->key != key || run->event->count != 1 || stride > INT32_MAX || stride < -INT32_MAX ||
      address - run->range_start >= run->range_bytes) {
    return 0;
  }
  run->stride = stride;
  run->event->stride = (int32_t)stride;
  run->event->count = 2;
  arb_run_plan_check(run, 2, (uint32_t)key);
  return 1;
}

/* Begins a run at the next place, for which there is room. */
static inline void arb_run_open(ArbRunState *_Nonnull run, ArbRecorder *_Nonnull recorder,
                                uint64_t key, uint64_t address) {
  ArbTraceEvent *event = &recorder->ring[run->next & recorder->ring_mask];
  *event = (ArbTraceEvent){
      .start = (uint64_t)run->first_start,
      .offset = (run->range_offset + (address - run->range_start)) & ARB_TRACE_OFFSET_MAX,
      .region = (uint8_t)run->region,
      .operation = (uint8_t)((key >> 32) - 1),
      .length = (uint32_t)key,
      .count = 1,
  };
  arb_recorder_prefetch(recorder);
  run->base = address;
  run->stride = 0;
  run->event = event;
  run->check = 1;
  run->key = key;
  run->next++;
  /* Releases the event to a reader that finds the thread gone. */
  __atomic_store_n(&recorder->lane->reach, run->next, __ATOMIC_RELEASE);
}

/* Begins a run or sets the stride of one where that needs no look at the clock. Returns 0 where it
 * does. */
static inline int arb_run_begin_quickly(ArbRunState *_Nonnull run, ArbRecorder *_Nonnull recorder,
                                        uint64_t key, uint64_t address) {
  if (run->key == key) {
    if (arb_run_set_stride(run, key, address)) return 1;
    if (arb_run_is_next(run, key, address)) return 0;
  }
  if (run->runs_left == 0 || run->next == recorder->room_until || run->next <= recorder->head) {
    return 0;
  }
  run->runs_left--;
  arb_run_open(run, recorder, key, address);
  return 1;
}

/* Begins a run, or continues one after a look at the clock. The address lies within the run's
 * range, for all its bytes. */
void arb_run_begin(ArbRunState *_Nonnull run, ArbRecorder *_Nonnull recorder, uint64_t key,
                   uint64_t address);

/* Gives the runs that follow another range, in which accesses of a region lie. */
void arb_run_enter_range(ArbRunState *_Nonnull run, uint64_t start, uint64_t byte_count,
                         uint64_t offset, uint32_t region);

/* Hands over all runs. */
void arb_run_end(ArbRunState *_Nonnull run, ArbRecorder *_Nonnull recorder);

#endif
