/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The side of a recorded thread. The normal path (a stamp, a copy of 32 bytes, one release) makes
 * no system call, takes no lock and allocates nothing.
 *
 * A recording keeps each thread's own time, so that 26 threads that shared two processors replay as
 * on 26. Where a thread did nothing recorded for longer than ARB_TRACE_GAP_NANOSECONDS it asks the
 * kernel how long it had no processor, or, where it gave its own up meanwhile, how long it was
 * ready to run and did not (/proc/thread-self/schedstat), and that is taken out of its time. Waits
 * of its own choice (sleep, locks, input and output) stay, without the wait for a processor that
 * follows them. What the recorder itself takes for the question, for finding regions and for
 * waiting for room is taken out as well.
 */
#ifndef ARBITER_RECORDER_H
#define ARBITER_RECORDER_H

#include "CArbiter.h"

#include "trace_session.h"

#define ARB_TRACE_GAP_NANOSECONDS 20000.0

/* What a recorded thread knows. All zero: not attached. Owned by its thread. */
typedef struct {
  ArbTraceSession *_Nullable session;
  ArbTraceLane *_Nullable lane; /* NULL: refused, or not asked yet */
  ArbTraceEvent *_Nullable ring;
  uint64_t ring_mask;
  uint64_t head;       /* as in the lane */
  uint64_t room_until; /* events up to this one have room for certain */
  int64_t last_ticks;  /* time-stamp counter when it was last read */
  int64_t gap_ticks;
  int64_t removed_ticks; /* all that was taken out of the thread's time */
  double ticks_per_nanosecond;
  uint32_t has_given_up; /* a wait for room was in vain: no other until there is room */
  uint32_t has_run_delay; /* the kernel says how long the thread waited for a processor */
  int64_t run_delay;      /* nanoseconds, at the last look */
  int64_t cpu_nanoseconds;
  int64_t cpu_ticks; /* when cpu_nanoseconds was read */
  int64_t forced_switches, own_switches;
} ArbRecorder;

/* Takes a lane for the calling thread. Returns 0, or -EUSERS where all are taken. Keeps errno. */
int64_t arb_recorder_attach(ArbRecorder *_Nonnull recorder, ArbTraceSession *_Nonnull session,
                            ArbTraceSource source);

/* Gives the lane back; what was published stays for the reader. A thread that ends without it is
 * noticed too. */
void arb_recorder_detach(ArbRecorder *_Nonnull recorder);

/* The slow part of arb_recorder_now. Keeps errno. */
void arb_recorder_account(ArbRecorder *_Nonnull recorder, int64_t now);

/* Waits for room in the ring. Returns 1, or 0 where the event has to be dropped (and is counted).
 * Keeps errno. */
int arb_recorder_wait_for_room(ArbRecorder *_Nonnull recorder);

/* Wakes the reader if it sleeps. Keeps errno. */
void arb_recorder_ring_bell(ArbRecorder *_Nonnull recorder);

/* Counts events that cannot be recorded. */
static inline void arb_recorder_count_lost(ArbRecorder *_Nonnull recorder, uint64_t count) {
  ArbTraceLane *lane = recorder->lane;
  if (lane == NULL) return;
  uint64_t lost = __atomic_load_n(&lane->lost_count, __ATOMIC_RELAXED);
  __atomic_store_n(&lane->lost_count, lost + count, __ATOMIC_RELAXED);
}

/* The thread's own time in ticks: the time-stamp counter without what was taken out. Never runs
 * backwards. */
static inline int64_t arb_recorder_now(ArbRecorder *_Nonnull recorder) {
  int64_t now = arb_read_tsc();
  if (__builtin_expect(now - recorder->last_ticks > recorder->gap_ticks, 0)) {
    arb_recorder_account(recorder, now);
  } else if (now > recorder->last_ticks) {
    recorder->last_ticks = now;
  }
  return recorder->last_ticks - recorder->removed_ticks;
}

/* Takes what has passed since the last look at the clock out of the thread's time: the recorder's
 * own work. */
static inline void arb_recorder_exclude(ArbRecorder *_Nonnull recorder) {
  int64_t now = arb_read_tsc();
  if (now <= recorder->last_ticks) return;
  recorder->removed_ticks += now - recorder->last_ticks;
  if (recorder->lane != NULL) {
    int64_t waited = __atomic_load_n(&recorder->lane->waited_ticks, __ATOMIC_RELAXED);
    __atomic_store_n(&recorder->lane->waited_ticks, waited + now - recorder->last_ticks,
                     __ATOMIC_RELAXED);
  }
  recorder->last_ticks = now;
}

/* Asks for the place a few events ahead, which lies in the reader's cache: a fence of the program
 * would wait for it. A hint, which processors without the instruction ignore. */
static inline void arb_recorder_prefetch(const ArbRecorder *_Nonnull recorder) {
  const ArbTraceEvent *ahead = &recorder->ring[(recorder->head + 8) & recorder->ring_mask];
  __asm__ volatile("prefetchw %0" ::"m"(*ahead));
}

/* The place of the next event; NULL where there is none and the event is lost. */
static inline ArbTraceEvent *_Nullable arb_recorder_place(ArbRecorder *_Nonnull recorder) {
  if (__builtin_expect(recorder->head == recorder->room_until, 0) &&
      !arb_recorder_wait_for_room(recorder)) {
    return NULL;
  }
  return &recorder->ring[recorder->head & recorder->ring_mask];
}

/* Hands over the event at the place. */
static inline void arb_recorder_publish(ArbRecorder *_Nonnull recorder) {
  arb_recorder_prefetch(recorder);
  recorder->head++;
  /* Releases the event to the reader (arb_trace_reader_drain). */
  __atomic_store_n(&recorder->lane->head, recorder->head, __ATOMIC_RELEASE);
  /* At each quarter of the ring, so that a reader that sleeps comes in time. */
  if (__builtin_expect((recorder->head & (recorder->ring_mask >> 2)) == 0, 0)) {
    arb_recorder_ring_bell(recorder);
  }
}

/* Records an event; `start` and `span` are of arb_recorder_now. */
static inline void arb_recorder_append(ArbRecorder *_Nonnull recorder,
                                       const ArbTraceEvent *_Nonnull event) {
  ArbTraceEvent *place = arb_recorder_place(recorder);
  if (place == NULL) return;
  *place = *event;
  arb_recorder_publish(recorder);
}

/* The length of a span in the unit of its ends, cut off where it does not fit. */
static inline uint32_t arb_trace_span(int64_t start, int64_t end) {
  if (end <= start) return 0;
  return end - start >= (int64_t)UINT32_MAX ? UINT32_MAX : (uint32_t)(end - start);
}

#endif
