/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the handles of arbiter.h are, for the library's own two halves: the data path, in C here,
 * and the rest, in Swift (ArbiterC). Not installed.
 */
#ifndef ARBITER_HANDLES_H
#define ARBITER_HANDLES_H

#include "arbiter.h"

#include "CArbiter.h"
#include "CArbiterGate.h"
#include "CArbiterPersist.h"

/* A runtime: Swift keeps its own object behind `object`. */
struct arbiter_runtime {
  void *_Nonnull object;
};

/* A region. The fields from `base` on never change. */
struct arbiter_region {
  void *_Nonnull object;
  char *_Nonnull base;
  size_t byte_count;
  arbiter_granularity granularity;
  ArbPersistOps ops;
};

/* A thread's way to a region. */
struct arbiter_thread {
  ArbGate gate;
  ArbLane lane; /* lane.pool is NULL where nothing is delegated */
  const arbiter_region *_Nonnull region;
};

#endif
