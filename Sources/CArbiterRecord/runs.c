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

/* The look at the clock that ends runs. */
typedef struct {
  int64_t before; /* own time at the look before */
  int64_t now;
  int has_paused; /* since then */
} Look;

static Look look_at_clock(ArbRecorder *recorder) {
  int64_t ticks = recorder->last_ticks;
  Look look = {.before = ticks - recorder->removed_ticks};
  look.now = arb_recorder_now(recorder);
  look.has_paused = recorder->last_ticks - ticks > recorder->gap_ticks;
  return look;
}

/* Hands over the runs that wait, spread evenly over the time since the first of them began. After a
 * pause that is the time until the clock was read last, before it. */
static void hand_over(ArbRunState *run, ArbRecorder *recorder, const Look *look) {
  uint64_t count = run->next - recorder->head;
  int64_t end = look->has_paused ? look->before : look->now;
  int64_t step = end > run->first_start ? (end - run->first_start) / (int64_t)count : 0;
  int64_t start = run->first_start;
  for (uint64_t index = recorder->head; index != run->next; index++, start += step) {
    ArbTraceEvent *event = &recorder->ring[index & recorder->ring_mask];
    event->start = (uint64_t)start;
    event->span = arb_trace_span(start, start + step);
  }
  int64_t quick = (int64_t)(ARB_RUN_QUICK_NANOSECONDS * recorder->ticks_per_nanosecond);
  run->runs_left = !look->has_paused && step < quick ? ARB_RUN_BATCH - 1 : 0;
  run->key = 0;
  uint64_t quarter = recorder->ring_mask >> 2;
  int rings = (recorder->head ^ run->next) > quarter;
  recorder->head = run->next;
  /* Releases the events to the reader (arb_trace_reader_drain). */
  __atomic_store_n(&recorder->lane->head, recorder->head, __ATOMIC_RELEASE);
  if (rings) arb_recorder_ring_bell(recorder);
}

/* Begins a run at the next place, for which there is room. */
static void open_run(ArbRunState *run, ArbRecorder *recorder, uint64_t key, uint64_t address) {
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

void arb_run_begin(ArbRunState *run, ArbRecorder *recorder, uint64_t key, uint64_t address) {
  if (sets_stride(run, key, address)) return;
  int is_continued = run->key != 0 && is_next(run, key, address);
  if (!is_continued && run->runs_left > 0 && run->next != recorder->room_until &&
      run->next > recorder->head) {
    run->runs_left--;
    open_run(run, recorder, key, address);
    return;
  }
  Look look = look_at_clock(recorder);
  if (is_continued && !look.has_paused) {
    run->event->count++;
    plan_check(run, run->event->count, (uint32_t)key);
    return;
  }
  if (run->next > recorder->head) hand_over(run, recorder, &look);
  if (arb_recorder_place(recorder) == NULL) return;
  run->next = recorder->head;
  /* Room may have been waited for. */
  run->first_start = recorder->last_ticks - recorder->removed_ticks;
  open_run(run, recorder, key, address);
}

void arb_run_enter_range(ArbRunState *run, uint64_t start, uint64_t byte_count, uint64_t offset,
                         uint32_t region) {
  run->key = 0;
  run->range_start = start;
  run->range_bytes = byte_count;
  run->range_offset = offset;
  run->region = region;
}

void arb_run_end(ArbRunState *run, ArbRecorder *recorder) {
  run->key = 0;
  if (run->next <= recorder->head) return;
  Look look = look_at_clock(recorder);
  hand_over(run, recorder, &look);
}
