/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What makes processes and threads.
 *
 * fork runs the handlers of pthread_atfork. Ours take the lock of the tiers, and another thread may
 * wait for that lock inside an allocator whose own handler waits for that thread: so ours have to
 * run last before the fork, which is to be registered first, and the first registration by anybody
 * registers ours before its own. vfork and posix_spawn share the memory until the child starts its
 * program: there is nothing to do. */
#define _GNU_SOURCE
#include "preload.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

static uint64_t signals_before; /* of the forking thread, which holds the lock */
static uint32_t is_forking;

void arb_before_fork(void) {
  if (!arb_is_on()) return;
  ArbVisit visit = arb_enter();
  arb_tier_fork_prepare();
  arb_ranges_lock();
  signals_before = visit.signals;
  is_forking = 1;
  errno = visit.error;
}

static void after_in_parent(void) {
  if (!is_forking) return;
  is_forking = 0;
  ArbVisit visit = {signals_before, errno};
  arb_ranges_unlock();
  arb_tier_fork_parent();
  arb_leave(visit);
}

static void after_in_child(void) {
  if (!is_forking) return;
  is_forking = 0;
  ArbVisit visit = {signals_before, errno};
  arb_ranges_reset();
  arb_tier_fork_child();
  __atomic_store_n(&arb_mode, ARB_TIER_FORKED, __ATOMIC_RELEASE);
  arb_leave(visit);
}

void arb_after_fork(long answer) {
  if (answer == 0) after_in_child();
  else after_in_parent();
}

typedef int (*RegisterFunction)(void (*)(void), void (*)(void), void (*)(void), void *);
static RegisterFunction real_register(void) {
  static void *cache;
  return (RegisterFunction)arb_next(&cache, "__register_atfork");
}

static void register_ours(void) {
  static uint32_t is_registered;
  uint32_t expected = 0;
  if (!__atomic_compare_exchange_n(&is_registered, &expected, 1, 0, __ATOMIC_RELAXED,
                                   __ATOMIC_RELAXED))
    return;
  RegisterFunction function = real_register();
  if (function != NULL) function(arb_before_fork, after_in_parent, after_in_child, NULL);
}

ARB_EXPORT int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                                 void *object) {
  register_ours();
  RegisterFunction function = real_register();
  return function == NULL ? ENOMEM : function(prepare, parent, child, object);
}

__attribute__((constructor)) static void start(void) { register_ours(); }

/* Runs no handlers. */
ARB_EXPORT pid_t _Fork(void) {
  static void *cache;
  pid_t (*function)(void) = (pid_t(*)(void))arb_next(&cache, "_Fork");
  arb_before_fork();
  pid_t answer = function();
  arb_after_fork(answer);
  return answer;
}

typedef struct {
  int (*function)(void *);
  void *argument;
} CloneStart;

static int start_clone(void *argument) {
  /* On the child's own copy of the parent's stack. */
  CloneStart begin = *(CloneStart *)argument;
  after_in_child();
  return begin.function(begin.argument);
}

ARB_EXPORT int clone(int (*function)(void *), void *stack, int flags, void *argument, ...) {
  static void *cache;
  va_list rest;
  va_start(rest, argument);
  pid_t *parent = va_arg(rest, pid_t *);
  void *storage = va_arg(rest, void *);
  pid_t *child = va_arg(rest, pid_t *);
  va_end(rest);
  typedef int (*CloneFunction)(int (*)(void *), void *, int, void *, ...);
  CloneFunction real = (CloneFunction)arb_next(&cache, "clone");
  if ((flags & CLONE_VM) != 0 || !arb_is_on()) {
    /* Its size is unknown: the chunk that it begins in. */
    if (stack != NULL) arb_hold((uint64_t)stack - 1, 1, ARB_TIER_HELD_THREAD);
    return real(function, stack, flags, argument, parent, storage, child);
  }
  CloneStart begin = {function, argument};
  arb_before_fork();
  int answer = real(start_clone, stack, flags, &begin, parent, storage, child);
  after_in_parent();
  return answer;
}

/* The kernel wakes whoever joins a thread by an address in its stack, which names the mapping. */
ARB_EXPORT int pthread_attr_setstack(pthread_attr_t *attributes, void *stack, size_t size) {
  static void *cache;
  int (*function)(pthread_attr_t *, void *, size_t) =
      (int (*)(pthread_attr_t *, void *, size_t))arb_next(&cache, "pthread_attr_setstack");
  int answer = function(attributes, stack, size);
  if (answer == 0) arb_hold((uint64_t)stack, size, ARB_TIER_HELD_THREAD);
  return answer;
}

ARB_EXPORT int sigaltstack(const stack_t *new, stack_t *old) {
  if (new != NULL && (new->ss_flags & SS_DISABLE) == 0)
    arb_hold((uint64_t)new->ss_sp, new->ss_size, ARB_TIER_HELD_THREAD);
  return (int)arb_answer(arb_raw(SYS_sigaltstack, (long)new, (long)old, 0, 0, 0, 0));
}
