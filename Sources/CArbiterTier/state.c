/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The lock, and what is done on the mover's thread for others. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <time.h>

ArbTierState arb_tier_state = {.slow_fd = -1, .uffd = -1, .pagemap_fd = -1, .maps_fd = -1};

/* The kernel's set of signals has 64 bits. */
#define KERNEL_SIGNAL_BYTES 8

int32_t arb_tier_thread_number(void) {
  return (int32_t)arb_tier_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

int64_t arb_tier_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

uint64_t arb_tier_thread_cpu(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

void arb_tier_sleep(uint32_t *word, uint32_t value, int64_t nanoseconds) {
  struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  arb_tier_call(SYS_futex, (intptr_t)word, FUTEX_WAIT, value, (intptr_t)&limit, 0, 0);
}

void arb_tier_wake_all(uint32_t *word) {
  arb_tier_call(SYS_futex, (intptr_t)word, FUTEX_WAKE, INT_MAX, 0, 0, 0);
}

int arb_tier_is_joined(void) {
  return (int)__atomic_load_n(&arb_tier_state.is_joined, __ATOMIC_ACQUIRE);
}

/* --- The lock --- */

static int try_lock(void) {
  uint32_t expected = 0;
  /* Acquire, with the release of whoever had the lock. */
  return __atomic_compare_exchange_n(
      &arb_tier_state.lock, &expected, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void drop_lock(void) {
  if (__atomic_exchange_n(&arb_tier_state.lock, 0, __ATOMIC_RELEASE) == 2)
    arb_tier_wake_all(&arb_tier_state.lock);
}

void arb_tier_lock(void) {
  sigset_t all, before;
  memset(&all, 0xff, sizeof all);
  memset(&before, 0, sizeof before);
  arb_tier_call(
      SYS_rt_sigprocmask, SIG_BLOCK, (intptr_t)&all, (intptr_t)&before, KERNEL_SIGNAL_BYTES, 0, 0);
  if (!try_lock()) {
    while (__atomic_exchange_n(&arb_tier_state.lock, 2, __ATOMIC_ACQUIRE) != 0)
      arb_tier_sleep(&arb_tier_state.lock, 2, 10000000);
  }
  arb_tier_state.lock_mask = before;
}

void arb_tier_unlock(void) {
  if (arb_tier_state.leaving_length != 0) arb_tier_release_end(1);
  sigset_t before = arb_tier_state.lock_mask;
  drop_lock();
  arb_tier_call(
      SYS_rt_sigprocmask, SIG_SETMASK, (intptr_t)&before, 0, KERNEL_SIGNAL_BYTES, 0, 0);
}

void arb_tier_lock_quiet(uint64_t start, uint64_t length) {
  for (;;) {
    arb_tier_lock();
    uint64_t busy = arb_tier_state.busy_address;
    uint64_t end = start + length < start ? UINT64_MAX : start + length;
    if (busy == 0 || busy >= end || busy + ARB_TIER_CHUNK_BYTES <= start) return;
    uint32_t quiet = __atomic_load_n(&arb_tier_state.quiet, __ATOMIC_ACQUIRE);
    arb_tier_unlock();
    arb_tier_sleep(&arb_tier_state.quiet, quiet, 10000000);
  }
}

void arb_tier_mover_lock(void) {
  if (try_lock()) return;
  for (;;) {
    arb_tier_serve();
    if (__atomic_exchange_n(&arb_tier_state.lock, 2, __ATOMIC_ACQUIRE) == 0) return;
    if (__atomic_load_n(&arb_tier_state.service_state, __ATOMIC_ACQUIRE) == 1) continue;
    arb_tier_sleep(&arb_tier_state.lock, 2, 200000);
  }
}

void arb_tier_mover_unlock(void) { drop_lock(); }

/* --- Services --- */

int64_t arb_tier_on_mover(int64_t (*body)(void *), void *argument) {
  ArbTierState *state = &arb_tier_state;
  if (__atomic_load_n(&state->is_started, __ATOMIC_ACQUIRE) == 0 ||
      arb_tier_thread_number() == state->mover_thread)
    return body(argument);
  state->service = body;
  state->service_argument = argument;
  /* Release, with the mover's acquire in arb_tier_serve. */
  __atomic_store_n(&state->service_state, 1, __ATOMIC_RELEASE);
  arb_tier_ring();
  while (__atomic_load_n(&state->service_state, __ATOMIC_ACQUIRE) != 2) {
    /* The mover may have gone to sleep for the lock, which this thread holds. */
    arb_tier_wake_all(&state->lock);
    arb_tier_sleep(&state->service_state, 1, 1000000);
  }
  __atomic_store_n(&state->service_state, 0, __ATOMIC_RELAXED);
  return state->service_answer;
}

void arb_tier_serve(void) {
  ArbTierState *state = &arb_tier_state;
  if (__atomic_load_n(&state->service_state, __ATOMIC_ACQUIRE) != 1) return;
  uint64_t began = arb_tier_thread_cpu();
  state->service_answer = state->service(state->service_argument);
  /* As the program's own page faults and system calls would have taken it, were it not managed. */
  uint64_t took = arb_tier_thread_cpu() - began;
  state->placing_ns += took;
  state->cpu_counted[0] += took;
  __atomic_fetch_add(&state->seat->counts.placing_ns, took, __ATOMIC_RELAXED);
  /* Release: the answer is there before it is said to be. */
  __atomic_store_n(&state->service_state, 2, __ATOMIC_RELEASE);
  arb_tier_wake_all(&state->service_state);
}

void arb_tier_ring(void) {
  ArbTierSeat *seat = arb_tier_state.seat;
  __atomic_fetch_add(&seat->request_bell, 1, __ATOMIC_RELEASE);
  arb_tier_wake_all(&seat->request_bell);
}
