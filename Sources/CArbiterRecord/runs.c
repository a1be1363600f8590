/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "CArbiterRecord.h"

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

void arb_run_begin(ArbRunState *run, ArbRecorder *recorder, uint64_t key, uint64_t address) {
  if (arb_run_begin_quickly(run, recorder, key, address)) return;
  int is_continued = run->key != 0 && arb_run_is_next(run, key, address);
  Look look = look_at_clock(recorder);
  if (is_continued && !look.has_paused) {
    run->event->count++;
    arb_run_plan_check(run, run->event->count, (uint32_t)key);
    return;
  }
  if (run->next > recorder->head) hand_over(run, recorder, &look);
  if (arb_recorder_place(recorder) == NULL) return;
  run->next = recorder->head;
  /* Room may have been waited for. */
  run->first_start = recorder->last_ticks - recorder->removed_ticks;
  arb_run_open(run, recorder, key, address);
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
