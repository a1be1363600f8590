/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Delegation: the workers of this process store for its threads. The pool starts with the first
 * store, in each process of its own; a thread opens its lane with its first store and gives it back
 * when it ends. Whatever goes wrong, the caller stores itself.
 *
 * A program whose threads all end without a call of exit stays alive while workers do.
 */
#define _GNU_SOURCE
#include "preload.h"

#include "CArbiter.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define LANE_COUNT ARB_SLOT_COUNT_MAX

enum { POOL_NONE, POOL_STARTING, POOL_READY, POOL_FAILED };

static uint32_t pool_state;
static ArbDelegation *pool;
static pthread_key_t end_of_thread;

/* Runs when a thread ends that has had a lane, which may be back already. */
static void give_lane_back(void *lane) { arb_lane_close(lane); }

/* How long threads wait for the one that starts the workers: 20,000 times 50 microseconds. */
#define START_TURNS 20000
#define START_NAP_NANOSECONDS 50000

static void start_pool(void) {
  uint32_t state = POOL_NONE;
  if (!__atomic_compare_exchange_n(&pool_state, &state, POOL_STARTING, 0, __ATOMIC_ACQUIRE,
                                   __ATOMIC_RELAXED)) {
    return;
  }
  static int has_key;
  int64_t status = has_key ? 0 : -pthread_key_create(&end_of_thread, give_lane_back);
  if (status == 0) {
    has_key = 1;
    status = arb_delegation_create(arb_preload_page->ring_count, arb_preload_page->ring_slots,
                                   LANE_COUNT, &pool);
  }
  if (status != 0) {
    arb_say_later((const char *[]){"the program's threads store for themselves: no worker: ",
                                   strerrordesc_np((int)-status), NULL});
  }
  /* Releases the pool and the key to whoever acquires the state. */
  __atomic_store_n(&pool_state, status == 0 ? POOL_READY : POOL_FAILED, __ATOMIC_RELEASE);
}

void arb_delegation_forget(void) {
  /* The workers stayed in the parent, and so did whoever was starting them. */
  pool = NULL;
  __atomic_store_n(&pool_state, POOL_NONE, __ATOMIC_RELAXED);
}

/* Whether there is a pool; starts it, or waits until whoever starts it has done so. */
static int has_pool(void) {
  if (__atomic_load_n(&pool_state, __ATOMIC_RELAXED) == POOL_NONE) start_pool();
  for (int turn = 0; turn < START_TURNS; turn++) {
    /* Acquires what start_pool released. */
    uint32_t state = __atomic_load_n(&pool_state, __ATOMIC_ACQUIRE);
    if (state != POOL_STARTING) return state == POOL_READY;
    struct timespec nap = {0, START_NAP_NANOSECONDS};
    nanosleep(&nap, NULL);
  }
  return 0;
}

static int try_lane(ArbThread *thread) {
  if (!has_pool()) return 0;
  memset(&thread->lane, 0, sizeof thread->lane);
  if (arb_lane_open(pool, &thread->lane) != 0) {
    thread->lane.pool = NULL;
    return 0;
  }
  if (pthread_setspecific(end_of_thread, &thread->lane) != 0) {
    give_lane_back(&thread->lane);
    return 0;
  }
  return 1;
}

static int open_lane(ArbThread *thread) {
  sigset_t all, before;
  int state;
  /* A handler that jumps would leave the pool half started. As in arb_thread_find_gate. */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
  int is_open = try_lane(thread);
  pthread_setcancelstate(state, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return is_open;
}

/* On a worker: `source` is the call, which stays with the thread until the request has ended. */
static void store_for_caller(void *target, const void *source, size_t byte_count, int32_t value,
                             uint32_t flags) {
  (void)target;
  (void)value;
  (void)flags;
  /* A worker makes no calls of the program, for all its life. */
  arb_thread.guard = ARB_GUARD_UP;
  /* Without a drain: the worker fences for itself. */
  arb_store_issue((ArbStore *)(uintptr_t)source, 0, byte_count, 0);
}

int arb_store_delegate(ArbThread *thread, ArbStore *store) {
  /* The kernel writes pages back on whatever thread. */
  if (store->kind == ARB_STORE_CHECKED) return 0;
  int saved_errno = errno;
  int is_done = 0;
  /* Of a call that the thread left by a jump, a worker may still read what it is to do. */
  if (arb_lane_wait(&thread->lane, thread->lane.submitted_count) != 0) {
    give_lane_back(&thread->lane);
  }
  if (thread->lane.pool != NULL || open_lane(thread)) {
    thread->delegated = *store;
    ArbRequest request = {.target = store->target, .source = &thread->delegated,
                          .byte_count = store->byte_count, .store = store_for_caller};
    is_done = arb_lane_submit(&thread->lane, &request) == 0 &&
              arb_lane_wait(&thread->lane, thread->lane.submitted_count) == 0;
    /* Its worker may be dead; the next store looks for another. */
    if (!is_done) give_lane_back(&thread->lane);
  }
  /* The drain of the call itself, for what the thread stored before. */
  if (is_done && arb_store_drains(store)) arb_fence_store();
  errno = saved_errno;
  return is_done;
}
