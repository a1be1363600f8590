/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The mutex of pages that processes share. For C alone: Swift has no use for it. */
#ifndef ARBITER_ROBUST_MUTEX_H
#define ARBITER_ROBUST_MUTEX_H

#include <pthread.h>

/* Makes a mutex in shared memory that the kernel marks when its holder ends. It checks for errors,
 * so that a thread that left by a jump while it held the mutex is told so the next time, instead of
 * waiting for itself. 0, or an error number. */
static inline int arb_make_robust_mutex(pthread_mutex_t *mutex) {
  pthread_mutexattr_t attributes;
  int status = pthread_mutexattr_init(&attributes);
  if (status != 0) return status;
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  status = pthread_mutex_init(mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
  return status;
}

#endif
