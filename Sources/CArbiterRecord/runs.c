/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "CArbiterRecord.h"

/* Sets the number of accesses at which the slow path looks again: after some, and where the next
 * one would leave the range. */
static void plan_check(ArbRunState *run, uint64_t count, uint64_t length) {
  uint64_t check = count + ARB_RUN_CHECK;
  uint64_t first = run->base - run->range_start;
  uint64_t step = (uint64_t)(run->stride < 0 ? -run->stride : run->stride);
  uint64_t reach = check * step;
  uint64_t room = run->stride < 0 ? first : run->range_bytes - first - length;
  if (reach > room) check = step == 0 ? check : room / step + 1;
  run->check = check < ARB_RUN_COUNT_MAX ? check : ARB_RUN_COUNT_MAX;
}

/* Whether the access is the one that the run expects, within its range. */
static int is_next(const ArbRunState *run, uint64_t key, uint64_t address) {
  uint64_t count = run->event->count;
  uint64_t offset = address - run->range_start;
  return run->key == key && count < ARB_RUN_COUNT_MAX &&
         address == run->base + count * (uint64_t)run->stride && offset < run->range_bytes;
}

/* Whether a second access makes a run of the first, which it then has done; any stride that fits
 * does. The clock is not read: should there be a pause between the two, the next look finds it. */
static int sets_stride(ArbRunState *run, uint64_t key, uint64_t address) {
  int64_t stride = (int64_t)(address - run->base);
  if (run->key != key || run->event->count != 1 || stride > INT32_MAX || stride < -INT32_MAX ||
      address - run->range_start >= run->range_bytes) {
    return 0;
  }
  run->stride = stride;
  run->event->stride = (int32_t)stride;
  run->event->count = 2;
  plan_check(run, 2, (uint32_t)key);
  return 1;
}

/* Hands over the run that goes on. */
static void close_run(ArbRunState *run, ArbRecorder *recorder) {
  run->key = 0;
  __atomic_store_n(&recorder->lane->is_open, 0, __ATOMIC_RELAXED);
  arb_recorder_publish(recorder);
}

void arb_run_begin(ArbRunState *run, ArbRecorder *recorder, uint64_t key, uint64_t address) {
  if (sets_stride(run, key, address)) return;
  int64_t before_ticks = recorder->last_ticks;
  int64_t before = before_ticks - recorder->removed_ticks;
  int64_t now = arb_recorder_now(recorder);
  int has_paused = recorder->last_ticks - before_ticks > recorder->gap_ticks;
  ArbTraceEvent *place = NULL;
  if (run->key != 0) {
    if (!has_paused && is_next(run, key, address)) {
      run->event->count++;
      plan_check(run, run->event->count, (uint32_t)key);
      return;
    }
    /* After a pause the run ends where the clock was read last: within ARB_RUN_CHECK accesses. */
    run->event->span = arb_trace_span((int64_t)run->event->start, has_paused ? before : now);
    if (recorder->head + 1 != recorder->room_until) {
      place = &recorder->ring[(recorder->head + 1) & recorder->ring_mask];
    } else {
      close_run(run, recorder);
    }
  }
  int is_behind = place != NULL;
  if (!is_behind) place = arb_recorder_place(recorder);
  if (place == NULL) return;
  *place = (ArbTraceEvent){
      /* Room may have been waited for. */
      .start = (uint64_t)(recorder->last_ticks - recorder->removed_ticks),
      .offset = (run->range_offset + (address - run->range_start)) & ARB_TRACE_OFFSET_MAX,
      .region = (uint8_t)run->region,
      .operation = (uint8_t)((key >> 32) - 1),
      .length = (uint32_t)key,
      .count = 1,
  };
  run->base = address;
  run->stride = 0;
  run->event = place;
  run->check = 1;
  run->key = key;
  if (is_behind) {
    /* Only now, so that the place behind the last published event always holds a run. */
    arb_recorder_publish(recorder);
  } else {
    /* For the reader, should the thread die; it looks only once the thread is gone. */
    __atomic_store_n(&recorder->lane->is_open, 1, __ATOMIC_RELEASE);
  }
}

void arb_run_end(ArbRunState *run, ArbRecorder *recorder) {
  if (run->key == 0) return;
  int64_t before_ticks = recorder->last_ticks;
  int64_t before = before_ticks - recorder->removed_ticks;
  int64_t now = arb_recorder_now(recorder);
  int has_paused = recorder->last_ticks - before_ticks > recorder->gap_ticks;
  run->event->span = arb_trace_span((int64_t)run->event->start, has_paused ? before : now);
  close_run(run, recorder);
}
