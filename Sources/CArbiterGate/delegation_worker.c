/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a worker does: it takes requests off its ring, stores, fences, completes.
 */
#define _GNU_SOURCE
#include "delegation_ring.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define BATCH_MAX 16             /* requests that one fence may cover */
#define BATCHES_PER_READING 1024 /* between two readings of a busy worker's CPU clock */
#define STACK_BYTES (128u << 10) /* on top of what the C library needs itself */

static int is_filled(const Ring *ring) {
  uint64_t stamp = ring->head / ring->slot_count * 2 + 1;
  /* Acquires the request, and the buffer it names (push); sequentially consistent for parking. */
  return __atomic_load_n(&ring->slots[ring->head % ring->slot_count].stamp, __ATOMIC_SEQ_CST) ==
         stamp;
}

/* Closed, and every claimed place served. */
static int is_finished(const Ring *ring) { return tail_of(ring) == (ring->head | CLOSED); }

void arb_ring_give_up(Ring *ring) {
  __atomic_fetch_or(&ring->tail, CLOSED, __ATOMIC_SEQ_CST);
  /* Releases to state_of: nobody touches a request after this. */
  __atomic_store_n(&ring->state, DEAD, __ATOMIC_SEQ_CST);
  ring_room(ring);
  for (uint32_t lane = 0; lane < ring->pool->lane_capacity; lane++) {
    uint32_t *is_parked = &ring->pool->cells[lane].is_parked;
    /* Partner: park_lane. Lanes of other rings just look once more. */
    if (__atomic_exchange_n(is_parked, 0, __ATOMIC_SEQ_CST) != 0) wake(is_parked);
  }
}

static void park_worker(Ring *ring) {
  arb_store_signed(&ring->cpu_nanoseconds, now_nanoseconds(CLOCK_THREAD_CPUTIME_ID));
  ARB_DELEGATION_PAUSE();
  __atomic_store_n(&ring->is_asleep, 1, __ATOMIC_SEQ_CST);
  ARB_DELEGATION_PAUSE();
  if (!is_filled(ring) && !is_finished(ring)) {
    ARB_DELEGATION_PAUSE();
    /* A place that was claimed and not filled is about to be, or never will. */
    int is_claimed = (tail_of(ring) & ~CLOSED) != ring->head;
    sleep_on(&ring->is_asleep, 1, is_claimed ? ARB_DELEGATION_LOOK_NANOSECONDS : 0);
  }
  __atomic_store_n(&ring->is_asleep, 0, __ATOMIC_SEQ_CST);
}

/* Waits until there is a request; 0 where there will be none. */
static int await_request(Ring *ring) {
  int64_t claimed_since = 0;
  for (;;) {
    for (int turn = 0; turn < SPIN_TURNS; turn++) {
      if (is_filled(ring)) return 1;
      arb_pause();
    }
    if (is_finished(ring)) return 0;
    if ((tail_of(ring) & ~CLOSED) == ring->head) {
      claimed_since = 0;
    } else {
      int64_t now = now_nanoseconds(CLOCK_MONOTONIC);
      if (claimed_since == 0) claimed_since = now;
      if (now - claimed_since > ARB_DELEGATION_FILL_NANOSECONDS) {
        arb_ring_give_up(ring);
        return 0;
      }
    }
    park_worker(ring);
  }
}

static void record_latency(Latencies *latencies, int64_t ticks) {
  uint64_t value = ticks > 0 ? (uint64_t)ticks : 0;
  uint64_t *cell = &latencies->cells[arb_latency_cell(value)];
  /* One writer, so that a load and a store make an addition. */
  arb_store(cell, arb_load(cell) + 1);
  arb_store(&latencies->sum, arb_load(&latencies->sum) + value);
  if (value > arb_load(&latencies->maximum)) arb_store(&latencies->maximum, value);
}

/* Executes up to BATCH_MAX requests; notes their lanes and starts. */
static uint32_t execute_batch(Ring *ring, uint32_t *lanes, int64_t *starts) {
  uint32_t count = 0;
  while (count < BATCH_MAX && is_filled(ring)) {
    Slot *slot = &ring->slots[ring->head % ring->slot_count];
    ArbRequest request = slot->request;
    lanes[count] = slot->lane;
    starts[count] = request.start_ticks;
    uint64_t next_lap = (ring->head / ring->slot_count + 1) * 2;
    ring->head++;
    /* Releases the reading of the slot to its next producer (push). */
    __atomic_store_n(&slot->stamp, next_lap, __ATOMIC_RELEASE);
    request.store(request.target, request.source, request.byte_count, request.value,
                  request.flags);
    count++;
  }
  return count;
}

static void complete_batch(Ring *ring, uint32_t count, const uint32_t *lanes,
                           const int64_t *starts) {
  Cell *cells = ring->pool->cells;
  /* I2: nothing is complete before the stores of the whole batch are ordered. */
  arb_fence_store();
  int64_t now = arb_read_tsc_ordered();
  for (uint32_t place = 0; place < count; place++) {
    if (starts[place] != 0) record_latency(&ring->latencies, now - starts[place]);
    uint64_t *completed = &cells[lanes[place]].completed;
    /* Releases the stores, and the source buffer, to arb_lane_completed_count. */
    __atomic_store_n(completed, arb_load(completed) + 1, __ATOMIC_RELEASE);
  }
  ARB_DELEGATION_PAUSE();
  /* Orders completions and freed slots before the looks at announcements; partners: park_lane,
   * push_when_room. */
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  for (uint32_t place = 0; place < count; place++) {
    Cell *cell = &cells[lanes[place]];
    if (__atomic_load_n(&cell->is_parked, __ATOMIC_SEQ_CST) == 0) continue;
    if (arb_load(&cell->completed) < arb_load(&cell->awaited)) continue;
    if (__atomic_exchange_n(&cell->is_parked, 0, __ATOMIC_SEQ_CST) != 0) wake(&cell->is_parked);
  }
  if (__atomic_load_n(&ring->room_waiters, __ATOMIC_SEQ_CST) != 0) ring_room(ring);
}

static void *work(void *argument) {
  Ring *ring = argument;
  uint32_t lanes[BATCH_MAX];
  int64_t starts[BATCH_MAX];
  pthread_mutex_lock(&ring->life);
  /* Releases the owned mutex to is_dead. */
  __atomic_store_n(&ring->is_started, 1, __ATOMIC_RELEASE);
  for (uint64_t batch = 1; await_request(ring); batch++) {
    uint32_t count = execute_batch(ring, lanes, starts);
    complete_batch(ring, count, lanes, starts);
    if (batch % BATCHES_PER_READING == 0) {
      arb_store_signed(&ring->cpu_nanoseconds, now_nanoseconds(CLOCK_THREAD_CPUTIME_ID));
    }
  }
  arb_store_signed(&ring->cpu_nanoseconds, now_nanoseconds(CLOCK_THREAD_CPUTIME_ID));
  uint32_t running = RUNNING;
  __atomic_compare_exchange_n(&ring->state, &running, ENDED, 0, __ATOMIC_SEQ_CST,
                              __ATOMIC_SEQ_CST);
  pthread_mutex_unlock(&ring->life);
  return NULL;
}

void arb_ring_look_for_death(Ring *ring) {
  if (state_of(ring) != RUNNING) return;
  if (__atomic_load_n(&ring->is_started, __ATOMIC_ACQUIRE) == 0) return;
  int status = pthread_mutex_trylock(&ring->life);
  if (status == EOWNERDEAD) {
    pthread_mutex_consistent(&ring->life);
    arb_ring_give_up(ring);
  }
  if (status == 0 || status == EOWNERDEAD) pthread_mutex_unlock(&ring->life);
}

int arb_worker_start(Ring *ring, uint32_t index) {
  pthread_attr_t attributes;
  int status = pthread_attr_init(&attributes);
  if (status != 0) return status;
  long least = sysconf(_SC_THREAD_STACK_MIN);
  pthread_attr_setstacksize(&attributes, STACK_BYTES + (least > 0 ? (size_t)least : 0));
  /* The worker inherits the mask: no signal of the program is ever delivered to it. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  status = pthread_create(&ring->thread, &attributes, work, ring);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  if (status != 0) return status;
  ring->has_thread = 1;
  char name[16];
  snprintf(name, sizeof name, "arb-store-%u", index);
  pthread_setname_np(ring->thread, name);
  return 0;
}
