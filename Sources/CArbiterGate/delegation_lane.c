/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a program's threads do: they open lanes, put requests into rings and wait for them.
 */
#define _GNU_SOURCE
#include "delegation_ring.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* Takes the pool's mutex. No signal comes while a thread holds it: a handler that jumps would leave
 * it held for ever, and the next store of the thread would wait for itself. */
static void lock_pool(ArbDelegation *pool, sigset_t *before) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, before);
  pthread_mutex_lock(&pool->mutex);
}

static void unlock_pool(ArbDelegation *pool, const sigset_t *before) {
  pthread_mutex_unlock(&pool->mutex);
  pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int has_worker(const ArbDelegation *pool) {
  return arb_delegation_dead_count(pool) < pool->ring_count;
}

int64_t arb_lane_open(ArbDelegation *pool, ArbLane *lane) {
  memset(lane, 0, sizeof *lane);
  if (!is_here(pool) || !has_worker(pool)) return -EOWNERDEAD;
  sigset_t before;
  lock_pool(pool, &before);
  uint32_t index = pool->first_free;
  if (index == pool->lane_capacity) {
    unlock_pool(pool, &before);
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
  /* The worker reads these only after the first request of this lane. */
  arb_store(&pool->cells[index].completed, 0);
  arb_store(&pool->cells[index].awaited, 0);
  lane->pool = pool;
  lane->ring = best;
  lane->lane = index;
  unlock_pool(pool, &before);
  return 0;
}

void arb_lane_close(ArbLane *lane) {
  ArbDelegation *pool = lane->pool;
  if (pool == NULL) return;
  arb_lane_wait(lane, lane->submitted_count);
  if (!is_here(pool)) {
    lane->pool = NULL;
    return;
  }
  sigset_t before;
  lock_pool(pool, &before);
  lane->pool = NULL;
  pool->rings[lane->ring].lane_count--;
  pool->cells[lane->lane].next_free = pool->first_free;
  pool->first_free = lane->lane;
  unlock_pool(pool, &before);
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
    arb_ring_look_for_death(ring);
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
    arb_ring_look_for_death(ring);
  }
  errno = saved_errno;
  return status;
}
