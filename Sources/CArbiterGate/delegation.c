/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
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
#define _GNU_SOURCE
#include "CArbiterGate.h"

#include "CArbiter.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A stress program pauses here, between any two steps that another thread may get between. */
#ifndef ARB_DELEGATION_PAUSE
#define ARB_DELEGATION_PAUSE() ((void)0)
#endif

#define CLOSED (1ull << 63)
#define BATCH_MAX 16        /* requests that one fence may cover */
#define SPIN_TURNS 128      /* some microseconds; a copy of a few KiB ends sooner */
#define BATCHES_PER_READING 1024 /* between two readings of a busy worker's CPU clock */
#define STACK_BYTES (128u << 10) /* on top of what the C library needs itself */
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

/* --- Sleeping --------------------------------------------------------------------------------- */

static int64_t now_nanoseconds(clockid_t clock) {
  struct timespec now = {0, 0};
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Sleeps while the word is as expected, at most so long; 0: until woken. */
static void sleep_on(uint32_t *word, uint32_t expected, int64_t nanoseconds) {
  struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, nanoseconds > 0 ? &limit : NULL, NULL, 0);
}

static void wake(uint32_t *word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Lets everybody who waits for room look again. */
static void ring_room(Ring *ring) {
  __atomic_fetch_add(&ring->room_rung, 1, __ATOMIC_SEQ_CST);
  wake(&ring->room_rung);
}

/* Wakes the worker if it sleeps; after a change that it must see. */
static void wake_worker(Ring *ring) {
  /* Sequentially consistent against park_worker, as was the change. */
  if (__atomic_load_n(&ring->is_asleep, __ATOMIC_SEQ_CST) == 0) return;
  if (__atomic_exchange_n(&ring->is_asleep, 0, __ATOMIC_SEQ_CST) != 0) wake(&ring->is_asleep);
}

/* --- The worker ------------------------------------------------------------------------------- */

static int is_filled(const Ring *ring) {
  uint64_t stamp = ring->head / ring->slot_count * 2 + 1;
  /* Acquires the request, and the buffer it names (push); sequentially consistent for parking. */
  return __atomic_load_n(&ring->slots[ring->head % ring->slot_count].stamp, __ATOMIC_SEQ_CST) ==
         stamp;
}

static uint64_t tail_of(const Ring *ring) { return __atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST); }

/* Closed, and every claimed place served. */
static int is_finished(const Ring *ring) { return tail_of(ring) == (ring->head | CLOSED); }

/* Closes the ring for good; its requests that are not complete have ended in an error. */
static void give_up(Ring *ring) {
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
        give_up(ring);
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

/* --- The life of a worker --------------------------------------------------------------------- */

static uint32_t state_of(const Ring *ring) {
  /* Acquires the worker's last completions; partners are work and give_up. */
  return __atomic_load_n(&ring->state, __ATOMIC_SEQ_CST);
}

/* Gives the ring up if its worker died. */
static void look_for_death(Ring *ring) {
  if (state_of(ring) != RUNNING) return;
  if (__atomic_load_n(&ring->is_started, __ATOMIC_ACQUIRE) == 0) return;
  int status = pthread_mutex_trylock(&ring->life);
  if (status == EOWNERDEAD) {
    pthread_mutex_consistent(&ring->life);
    give_up(ring);
  }
  if (status == 0 || status == EOWNERDEAD) pthread_mutex_unlock(&ring->life);
}

static int start_worker(Ring *ring, uint32_t index) {
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

static int make_ring(ArbDelegation *pool, Ring *ring, uint32_t slot_count) {
  pthread_mutexattr_t attributes;
  ring->pool = pool;
  ring->slot_count = slot_count;
  ring->slots = calloc(slot_count, sizeof(Slot));
  if (ring->slots == NULL) return ENOMEM;
  int status = pthread_mutexattr_init(&attributes);
  if (status != 0) return status;
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  status = pthread_mutex_init(&ring->life, &attributes);
  pthread_mutexattr_destroy(&attributes);
  return status;
}

static void *allocate_pairs(size_t count, size_t byte_count) {
  void *memory = NULL;
  if (posix_memalign(&memory, 128, count * byte_count) != 0) return NULL;
  return memset(memory, 0, count * byte_count);
}

static void free_pool(ArbDelegation *pool) {
  for (uint32_t index = 0; pool->rings != NULL && index < pool->ring_count; index++) {
    free(pool->rings[index].slots);
  }
  free(pool->rings);
  free(pool->cells);
  if (pool->is_here != MAP_FAILED) munmap(pool->is_here, sizeof *pool->is_here);
  free(pool);
}

/* --- The pool --------------------------------------------------------------------------------- */

/* Whether this is the process that started the workers. */
static int is_here(const ArbDelegation *pool) {
  return __atomic_load_n(pool->is_here, __ATOMIC_RELAXED) != 0;
}

int64_t arb_delegation_create(uint32_t ring_count, uint32_t slot_count, uint32_t lane_capacity,
                              ArbDelegation **made) {
  *made = NULL;
  if (ring_count < 1 || ring_count > ARB_RING_COUNT_MAX || slot_count < 1 ||
      slot_count > ARB_RING_SLOTS_MAX || lane_capacity < 1 || lane_capacity > ARB_LANE_COUNT_MAX) {
    return -EINVAL;
  }
  ArbDelegation *pool = calloc(1, sizeof *pool);
  if (pool == NULL) return -ENOMEM;
  int status = pthread_mutex_init(&pool->mutex, NULL);
  pool->ring_count = ring_count;
  pool->lane_capacity = lane_capacity;
  pool->rings = allocate_pairs(ring_count, sizeof(Ring));
  pool->cells = allocate_pairs(lane_capacity, sizeof(Cell));
  pool->is_here = mmap(NULL, sizeof *pool->is_here, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pool->is_here == MAP_FAILED || pool->rings == NULL || pool->cells == NULL) status = ENOMEM;
  if (status == 0 && madvise(pool->is_here, sizeof *pool->is_here, MADV_WIPEONFORK) != 0) {
    status = errno;
  }
  if (status != 0) {
    free_pool(pool);
    return -status;
  }
  *pool->is_here = 1;
  for (uint32_t lane = 0; lane < lane_capacity; lane++) pool->cells[lane].next_free = lane + 1;
  for (uint32_t index = 0; index < ring_count && status == 0; index++) {
    status = make_ring(pool, &pool->rings[index], slot_count);
  }
  for (uint32_t index = 0; index < ring_count && status == 0; index++) {
    status = start_worker(&pool->rings[index], index);
  }
  if (status != 0) {
    arb_delegation_destroy(pool);
    return -status;
  }
  *made = pool;
  return 0;
}

void arb_delegation_shutdown(ArbDelegation *pool) {
  /* In a forked child there is nobody to end, and the mutex may be another thread's for ever. */
  if (!is_here(pool)) return;
  int state;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
  __atomic_store_n(&pool->is_shut, 1, __ATOMIC_RELAXED);
  for (uint32_t index = 0; index < pool->ring_count; index++) {
    Ring *ring = &pool->rings[index];
    __atomic_fetch_or(&ring->tail, CLOSED, __ATOMIC_SEQ_CST);
    wake_worker(ring);
    /* Whoever waits for room is to see that there will be none. */
    ring_room(ring);
  }
  pthread_mutex_lock(&pool->mutex);
  for (uint32_t index = 0; index < pool->ring_count; index++) {
    Ring *ring = &pool->rings[index];
    if (!ring->has_thread) continue;
    pthread_join(ring->thread, NULL);
    ring->has_thread = 0;
    /* Whoever died without anybody having waited for it. */
    if (state_of(ring) == RUNNING) give_up(ring);
  }
  pthread_mutex_unlock(&pool->mutex);
  pthread_setcancelstate(state, NULL);
}

void arb_delegation_destroy(ArbDelegation *pool) {
  arb_delegation_shutdown(pool);
  free_pool(pool);
}

int32_t arb_delegation_is_alive(const ArbDelegation *pool) {
  return is_here(pool) && arb_load_32(&pool->is_shut) == 0;
}

uint32_t arb_delegation_dead_count(const ArbDelegation *pool) {
  uint32_t count = 0;
  for (uint32_t index = 0; index < pool->ring_count; index++) {
    count += state_of(&pool->rings[index]) == DEAD;
  }
  return count;
}

int64_t arb_delegation_cpu_nanoseconds(const ArbDelegation *pool) {
  int64_t sum = 0;
  for (uint32_t index = 0; index < pool->ring_count; index++) {
    sum += __atomic_load_n(&pool->rings[index].cpu_nanoseconds, __ATOMIC_RELAXED);
  }
  return sum;
}

void arb_delegation_add_latencies(const ArbDelegation *pool, uint64_t *cells, uint64_t *sum,
                                  uint64_t *maximum) {
  for (uint32_t index = 0; index < pool->ring_count; index++) {
    const Latencies *mine = &pool->rings[index].latencies;
    uint64_t longest = arb_load(&mine->maximum);
    if (longest > *maximum) *maximum = longest;
    *sum += arb_load(&mine->sum);
    for (uint32_t cell = 0; cell < ARB_LATENCY_CELLS; cell++) {
      cells[cell] += arb_load(&mine->cells[cell]);
    }
  }
}

/* --- Lanes ------------------------------------------------------------------------------------ */

int64_t arb_lane_open(ArbDelegation *pool, ArbLane *lane) {
  memset(lane, 0, sizeof *lane);
  if (!is_here(pool)) return -EOWNERDEAD;
  pthread_mutex_lock(&pool->mutex);
  uint32_t index = pool->first_free;
  if (index == pool->lane_capacity) {
    pthread_mutex_unlock(&pool->mutex);
    return -EUSERS;
  }
  pool->first_free = pool->cells[index].next_free;
  uint32_t best = 0;
  for (uint32_t ring = 1; ring < pool->ring_count; ring++) {
    int is_dead = state_of(&pool->rings[ring]) == DEAD;
    int is_best_dead = state_of(&pool->rings[best]) == DEAD;
    uint32_t count = pool->rings[ring].lane_count, least = pool->rings[best].lane_count;
    if (is_dead < is_best_dead || (is_dead == is_best_dead && count < least)) best = ring;
  }
  pool->rings[best].lane_count++;
  pthread_mutex_unlock(&pool->mutex);
  /* The worker reads these only after the first request of this lane. */
  arb_store(&pool->cells[index].completed, 0);
  arb_store(&pool->cells[index].awaited, 0);
  lane->pool = pool;
  lane->ring = best;
  lane->lane = index;
  return 0;
}

void arb_lane_close(ArbLane *lane) {
  ArbDelegation *pool = lane->pool;
  if (pool == NULL) return;
  arb_lane_wait(lane, lane->submitted_count);
  lane->pool = NULL;
  if (!is_here(pool)) return;
  pthread_mutex_lock(&pool->mutex);
  pool->rings[lane->ring].lane_count--;
  pool->cells[lane->lane].next_free = pool->first_free;
  pool->first_free = lane->lane;
  pthread_mutex_unlock(&pool->mutex);
}

/* Puts a request at the end. Returns 0, -EAGAIN where the ring is full, -ESHUTDOWN where closed,
 * -EOWNERDEAD in a forked child. */
static int push(Ring *ring, uint32_t lane, const ArbRequest *request) {
  /* Relaxed: the stamp orders; the tail only counts. */
  uint64_t position = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
  for (;;) {
    if (position & CLOSED) return -ESHUTDOWN;
    Slot *slot = &ring->slots[position % ring->slot_count];
    uint64_t open = position / ring->slot_count * 2;
    /* Acquires the worker's reading of the slot's previous request (execute_batch). */
    uint64_t stamp = __atomic_load_n(&slot->stamp, __ATOMIC_ACQUIRE);
    if (stamp < open) return -EAGAIN;
    if (stamp > open) {
      /* Forked in a handler: the child's copy of the tail may be older than that of the slot. */
      if (!is_here(ring->pool)) return -EOWNERDEAD;
      position = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
      continue;
    }
    if (!__atomic_compare_exchange_n(&ring->tail, &position, position + 1, 1, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED)) {
      continue;
    }
    ARB_DELEGATION_PAUSE();
    slot->lane = lane;
    slot->request = *request;
    /* Releases the request, and the buffer it names, to is_filled; then wake_worker looks. */
    __atomic_store_n(&slot->stamp, open + 1, __ATOMIC_SEQ_CST);
    ARB_DELEGATION_PAUSE();
    wake_worker(ring);
    return 0;
  }
}

/* Waits for room until the deadline. */
static int push_when_room(Ring *ring, uint32_t lane, const ArbRequest *request) {
  for (int turn = 0; turn < SPIN_TURNS; turn++) {
    arb_pause();
    int status = push(ring, lane, request);
    if (status != -EAGAIN) return status;
  }
  int64_t deadline = now_nanoseconds(CLOCK_MONOTONIC) + ARB_DELEGATION_WAIT_NANOSECONDS;
  /* Announced before the ring is tried again; partner: complete_batch. */
  __atomic_fetch_add(&ring->room_waiters, 1, __ATOMIC_SEQ_CST);
  int status;
  for (;;) {
    uint32_t heard = __atomic_load_n(&ring->room_rung, __ATOMIC_SEQ_CST);
    ARB_DELEGATION_PAUSE();
    status = is_here(ring->pool) ? push(ring, lane, request) : -EOWNERDEAD;
    if (status != -EAGAIN) break;
    int64_t left = deadline - now_nanoseconds(CLOCK_MONOTONIC);
    if (left <= 0) {
      status = -ETIMEDOUT;
      break;
    }
    ARB_DELEGATION_PAUSE();
    int64_t look = ARB_DELEGATION_LOOK_NANOSECONDS;
    sleep_on(&ring->room_rung, heard, left < look ? left : look);
    look_for_death(ring);
  }
  __atomic_fetch_sub(&ring->room_waiters, 1, __ATOMIC_SEQ_CST);
  return status;
}

int64_t arb_lane_submit(ArbLane *lane, const ArbRequest *request) {
  ArbDelegation *pool = lane->pool;
  if (pool == NULL || !is_here(pool)) return -EOWNERDEAD;
  Ring *ring = &pool->rings[lane->ring];
  int saved_errno = errno;
  int status = push(ring, lane->lane, request);
  if (status == -EAGAIN) status = push_when_room(ring, lane->lane, request);
  if (status == -ESHUTDOWN && state_of(ring) == DEAD) status = -EOWNERDEAD;
  if (status == 0) lane->submitted_count++;
  errno = saved_errno;
  return status;
}

uint64_t arb_lane_completed_count(const ArbLane *lane) {
  if (lane->pool == NULL) return 0;
  return __atomic_load_n(&lane->pool->cells[lane->lane].completed, __ATOMIC_ACQUIRE);
}

/* Sleeps until the ticket is complete or it is time to look for a death. */
static void park_lane(const ArbLane *lane, Cell *cell, const Ring *ring, uint64_t ticket) {
  arb_store(&cell->awaited, ticket);
  ARB_DELEGATION_PAUSE();
  __atomic_store_n(&cell->is_parked, 1, __ATOMIC_SEQ_CST);
  /* The announcement, and the ticket, before the next look; partner: complete_batch. */
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  ARB_DELEGATION_PAUSE();
  if (arb_lane_completed_count(lane) < ticket && state_of(ring) == RUNNING) {
    ARB_DELEGATION_PAUSE();
    sleep_on(&cell->is_parked, 1, ARB_DELEGATION_LOOK_NANOSECONDS);
  }
  __atomic_store_n(&cell->is_parked, 0, __ATOMIC_SEQ_CST);
}

int64_t arb_lane_wait(ArbLane *lane, uint64_t ticket) {
  if (ticket > lane->submitted_count) return -EINVAL;
  ArbDelegation *pool = lane->pool;
  if (ticket == 0 || arb_lane_completed_count(lane) >= ticket) return 0;
  if (pool == NULL || !is_here(pool)) return -EOWNERDEAD;
  Ring *ring = &pool->rings[lane->ring];
  Cell *cell = &pool->cells[lane->lane];
  int saved_errno = errno;
  int64_t status = 0;
  for (int turn = 0; arb_lane_completed_count(lane) < ticket; turn++) {
    if (turn < SPIN_TURNS) {
      arb_pause();
      continue;
    }
    if (!is_here(pool)) {
      /* The program has forked in a signal handler; the worker stayed in the parent. */
      status = -EOWNERDEAD;
      break;
    }
    if (state_of(ring) != RUNNING) {
      /* The worker's completions came before its end: what is not complete now never will be. */
      if (arb_lane_completed_count(lane) < ticket) status = -EOWNERDEAD;
      break;
    }
    park_lane(lane, cell, ring, ticket);
    look_for_death(ring);
  }
  errno = saved_errno;
  return status;
}
