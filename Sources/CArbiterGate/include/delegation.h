/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The delegation scheme inside one process: few workers store for all threads.
 *
 * I1  Requests of one lane are served in the order in which they were submitted.
 * I2  A request is complete when a worker has executed it and a store fence after it. The caller's
 *     own drain still fences: it covers the stores that the caller did itself.
 * I3  Every submitted request ends, in success or in an error: also when its worker dies and when
 *     the pool shuts down. A request that ended in an error may have been executed in part; to
 *     execute it again in the caller is always right, since the bytes are the same.
 * I4  A process that was forked has no workers; arb_delegation_is_alive says so, and submitting
 *     fails at once.
 */
#ifndef ARBITER_DELEGATION_H
#define ARBITER_DELEGATION_H

#include <stddef.h>
#include <stdint.h>

/* How a request is executed: `source` is NULL where `value` is to be set. Runs on a worker; must
 * not fence, must not fail, must not call back into the pool. */
typedef void (*ArbStoreFunction)(void *_Nonnull target, const void *_Nullable source,
                                 size_t byte_count, int32_t value, uint32_t flags);

/* A store that somebody else is to do. */
typedef struct {
  void *_Nonnull target;
  const void *_Nullable source; /* stays as it is until the request has ended */
  size_t byte_count;
  int32_t value;
  uint32_t flags;
  ArbStoreFunction _Nonnull store;
  int64_t start_ticks; /* 0, or when the caller asked; a worker records the latency from it */
} ArbRequest;

typedef struct ArbDelegation ArbDelegation;

/* One thread's way into a pool. */
typedef struct {
  ArbDelegation *_Nullable pool;
  uint32_t ring;
  uint32_t lane;
  uint64_t submitted_count;
} ArbLane;

#endif
