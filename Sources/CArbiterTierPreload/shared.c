/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Locks that may be shared between processes. Who waits for one is known to the kernel by the
 * mapping that the lock lies in, and would not be found in another: so chunks with such a lock stay
 * where they are. Locks of one process are known by their address alone. */
#define _GNU_SOURCE
#include "preload.h"

#include <pthread.h>
#include <semaphore.h>

static void hold_if(int is_made, int is_shared, const void *object, size_t bytes) {
  if (is_made && is_shared) arb_hold((uint64_t)object, bytes, ARB_TIER_HELD_THREAD);
}

/* NAME, type of the object, type of the attributes, question. */
#define INIT(NAME, OBJECT, ATTRIBUTES, ASK)                                                  \
  ARB_EXPORT int NAME(OBJECT *object, const ATTRIBUTES *attributes) {                        \
    static void *cache;                                                                      \
    int (*real)(OBJECT *, const ATTRIBUTES *) =                                              \
        (int (*)(OBJECT *, const ATTRIBUTES *))arb_next(&cache, #NAME);                      \
    int answer = real(object, attributes), is_shared = PTHREAD_PROCESS_PRIVATE;              \
    if (attributes != NULL) ASK(attributes, &is_shared);                                     \
    hold_if(answer == 0, is_shared == PTHREAD_PROCESS_SHARED, object, sizeof *object);       \
    return answer;                                                                           \
  }

INIT(pthread_mutex_init, pthread_mutex_t, pthread_mutexattr_t, pthread_mutexattr_getpshared)
INIT(pthread_cond_init, pthread_cond_t, pthread_condattr_t, pthread_condattr_getpshared)
INIT(pthread_rwlock_init, pthread_rwlock_t, pthread_rwlockattr_t, pthread_rwlockattr_getpshared)

ARB_EXPORT int pthread_barrier_init(pthread_barrier_t *barrier,
                                    const pthread_barrierattr_t *attributes, unsigned count) {
  static void *cache;
  typedef int (*Function)(pthread_barrier_t *, const pthread_barrierattr_t *, unsigned);
  int answer = ((Function)arb_next(&cache, "pthread_barrier_init"))(barrier, attributes, count);
  int is_shared = PTHREAD_PROCESS_PRIVATE;
  if (attributes != NULL) pthread_barrierattr_getpshared(attributes, &is_shared);
  hold_if(answer == 0, is_shared == PTHREAD_PROCESS_SHARED, barrier, sizeof *barrier);
  return answer;
}

ARB_EXPORT int sem_init(sem_t *semaphore, int is_shared, unsigned value) {
  static void *cache;
  typedef int (*Function)(sem_t *, int, unsigned);
  int answer = ((Function)arb_next(&cache, "sem_init"))(semaphore, is_shared, value);
  hold_if(answer == 0, is_shared, semaphore, sizeof *semaphore);
  return answer;
}
