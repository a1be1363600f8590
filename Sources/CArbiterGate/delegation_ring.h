/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The workers of the delegation scheme, private to this module. delegation.c makes and ends a pool,
 * delegation_worker.c is what a worker does, delegation_lane.c is what a program's threads do.
 *
 * A ring is a bounded queue for many producers and one consumer (after Vyukov's bounded queue).
 * Position p uses slot p mod count in lap p / count; the slot's stamp says what it is ready for:
 *
 *   stamp == 2 * lap       free for the producer of that lap
 *   stamp == 2 * lap + 1   filled, for the worker
 *
 * Laps instead of positions make a ring of one slot work. The highest bit of `tail` closes the
 * ring: producers claim places by compare-and-swap on `tail`, so that whoever claimed before the
 * closing is served and whoever comes after fails.
 *
 * Whoever sleeps follows one pattern: it announces the sleep, looks again, sleeps. Whoever changes
 * what it waits for changes it, then looks for the announcement. All four are sequentially
 * consistent, so that at least one of the two sees the other.
 */
#ifndef ARBITER_DELEGATION_RING_H
#define ARBITER_DELEGATION_RING_H

#include "CArbiterGate.h"

#include "CArbiter.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A stress program pauses here, between any two steps that another thread may get between. */
#ifndef ARB_DELEGATION_PAUSE
#define ARB_DELEGATION_PAUSE() ((void)0)
#endif

#define CLOSED (1ull << 63) /* of a tail */
#define SPIN_TURNS 128 /* some microseconds; a copy of a few KiB ends sooner */
#define PAIR __attribute__((aligned(128))) /* two lines, which the prefetcher treats as one */

typedef struct {
  uint64_t sum;
  uint64_t maximum;
  uint64_t cells[ARB_LATENCY_CELLS];
} Latencies;

enum RingState { RUNNING = 0, ENDED = 1, DEAD = 2 };

typedef struct {
  uint64_t stamp;
  uint32_t lane;
  ArbRequest request;
} Slot;

typedef struct {
  PAIR uint64_t tail; /* changed by producers */

  PAIR uint64_t head; /* the worker's own */
  ArbDelegation *pool;
  Slot *slots;
  uint32_t slot_count;
  uint32_t lane_count; /* open lanes; guarded by the pool's mutex */
  pthread_t thread;
  int has_thread;

  PAIR uint32_t is_asleep; /* futex: the worker's announcement */
  uint32_t state;          /* RingState */
  PAIR uint32_t room_waiters;
  uint32_t room_rung; /* futex: counts the moments at which there was room */

  PAIR pthread_mutex_t life; /* robust; held by the worker while it runs */
  uint32_t is_started;       /* the worker holds it, or has held it */

  PAIR int64_t cpu_nanoseconds; /* this and the rest: written by the worker alone */
  Latencies latencies;
} Ring;

typedef struct {
  PAIR uint64_t completed; /* written by the worker of the lane's ring */
  uint64_t awaited;        /* the ticket for which the lane's thread sleeps */
  uint32_t is_parked;      /* futex: the lane's announcement */
  uint32_t next_free;
} Cell;

struct ArbDelegation {
  pthread_mutex_t mutex; /* guards the free lanes, lane counts and the joining of workers */
  uint32_t ring_count;
  uint32_t lane_capacity;
  uint32_t first_free; /* a lane, or lane_capacity */
  uint32_t is_shut;
  uint32_t *is_here; /* 1; a page of its own that the kernel clears in forked children */
  Ring *rings;
  Cell *cells;
};

/* Starts a ring's worker; `index` names it. Returns 0 or an error number. */
int arb_worker_start(Ring *ring, uint32_t index);

/* Closes the ring for good; its requests that are not complete have ended in an error. */
void arb_ring_give_up(Ring *ring);

/* Gives the ring up if its worker died. */
void arb_ring_look_for_death(Ring *ring);

/* --- Sleeping --------------------------------------------------------------------------------- */

static inline int64_t now_nanoseconds(clockid_t clock) {
  struct timespec now = {0, 0};
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Sleeps while the word is as expected, at most so long; 0: until woken. */
static inline void sleep_on(uint32_t *word, uint32_t expected, int64_t nanoseconds) {
  struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, nanoseconds > 0 ? &limit : NULL, NULL, 0);
}

static inline void wake(uint32_t *word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Lets everybody who waits for room look again. */
static inline void ring_room(Ring *ring) {
  __atomic_fetch_add(&ring->room_rung, 1, __ATOMIC_SEQ_CST);
  wake(&ring->room_rung);
}

/* Wakes the worker if it sleeps; after a change that it must see. */
static inline void wake_worker(Ring *ring) {
  /* Sequentially consistent against park_worker, as was the change. */
  if (__atomic_load_n(&ring->is_asleep, __ATOMIC_SEQ_CST) == 0) return;
  if (__atomic_exchange_n(&ring->is_asleep, 0, __ATOMIC_SEQ_CST) != 0) wake(&ring->is_asleep);
}

/* --- What is asked of a ring ------------------------------------------------------------------ */

static inline uint64_t tail_of(const Ring *ring) {
  return __atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST);
}

static inline uint32_t state_of(const Ring *ring) {
  /* Acquires the worker's last completions; partners are work and arb_ring_give_up. */
  return __atomic_load_n(&ring->state, __ATOMIC_SEQ_CST);
}

/* Whether this is the process that started the workers. */
static inline int is_here(const ArbDelegation *pool) {
  return __atomic_load_n(pool->is_here, __ATOMIC_RELAXED) != 0;
}

#endif
