/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "CArbiterRecord.h"

/* Sets the number of accesses at which the slow path looks again: after some, and where the next
 * one would leave the range. */
static void plan_check(ArbRunState *run, uint64_t count, uint64_t length) {
  uint64_t check = count < 2 ? 2 : count + ARB_RUN_CHECK;
  uint64_t first = run->base - run->range_start;
  if (run->stride > 0) {
    uint64_t whole = (run->range_bytes - first - length) / (uint64_t)run->stride + 1;
    if (check > whole) check = whole;
  } else if (run->stride < 0) {
    uint64_t whole = first / (uint64_t)-run->stride + 1;
    if (check > whole) check = whole;
  }
  run->check = check < ARB_RUN_COUNT_MAX ? check : ARB_RUN_COUNT_MAX;
}

static void close_run(ArbRunState *run, ArbRecorder *recorder, int64_t end) {
  run->event->span = arb_trace_span((int64_t)run->event->start, end);
  run->key = 0;
  __atomic_store_n(&recorder->lane->is_open, 0, __ATOMIC_RELAXED);
  arb_recorder_publish(recorder);
}

/* Whether the access is the one that the run expects, within its range. */
static int is_next(const ArbRunState *run, uint64_t key, uint64_t address) {
  uint64_t count = run->event->count;
  uint64_t offset = address - run->range_start;
  return run->key == key && count < ARB_RUN_COUNT_MAX &&
         address == run->base + count * (uint64_t)run->stride && offset < run->range_bytes;
}

/* Whether a second access makes a run of the first; any stride that fits does. */
static int sets_stride(ArbRunState *run, uint64_t key, uint64_t address) {
  int64_t stride = (int64_t)(address - run->base);
  if (run->key != key || run->event->count != 1 || stride == 0 || stride > INT32_MAX ||
      stride < -INT32_MAX) {
    return 0;
  }
  run->stride = stride;
  run->event->stride = (int32_t)stride;
  return address - run->range_start < run->range_bytes;
}

void arb_run_begin(ArbRunState *run, ArbRecorder *recorder, uint64_t key, uint64_t address) {
  int64_t removed = recorder->removed_ticks;
  int64_t before = recorder->last_ticks;
  int64_t now = arb_recorder_now(recorder);
  int has_paused = recorder->last_ticks - before > recorder->gap_ticks;
  uint64_t length = (uint32_t)key;
  if (run->key != 0) {
    if (!has_paused && (is_next(run, key, address) || sets_stride(run, key, address))) {
      run->event->count++;
      plan_check(run, run->event->count, length);
      return;
    }
    /* After a pause the run ends where the clock was read last: within ARB_RUN_CHECK accesses. */
    close_run(run, recorder, has_paused ? before - removed : now);
  }
  ArbTraceEvent *place = arb_recorder_place(recorder);
  if (place == NULL) return;
  *place = (ArbTraceEvent){
      .start = (uint64_t)(recorder->last_ticks - recorder->removed_ticks),
      .offset = (run->range_offset + (address - run->range_start)) & ARB_TRACE_OFFSET_MAX,
      .region = (uint8_t)run->region,
      .operation = (uint8_t)((key >> 32) - 1),
      .length = (uint32_t)length,
      .count = 1,
  };
  run->base = address;
  run->stride = 0;
  run->event = place;
  run->check = 1;
  run->key = key;
  /* For the reader, should the thread die; it looks only once the thread is gone. */
  __atomic_store_n(&recorder->lane->is_open, 1, __ATOMIC_RELEASE);
}

void arb_run_end(ArbRunState *run, ArbRecorder *recorder) {
  if (run->key == 0) return;
  int64_t before = recorder->last_ticks - recorder->removed_ticks;
  int64_t previous = recorder->last_ticks;
  int64_t now = arb_recorder_now(recorder);
  close_run(run, recorder, recorder->last_ticks - previous > recorder->gap_ticks ? before : now);
}
