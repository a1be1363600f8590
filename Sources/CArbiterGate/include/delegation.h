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
 *
 * A worker holds a robust mutex for its life. The kernel marks the mutex of a thread that ended
 * without giving it back, however it ended; whoever waits for a worker tries the mutex every
 * ARB_DELEGATION_LOOK_NANOSECONDS and, where the worker is dead, closes its ring.
 */
#ifndef ARBITER_DELEGATION_H
#define ARBITER_DELEGATION_H

#include <stddef.h>
#include <stdint.h>

/* How often whoever waits looks whether the worker still lives. */
#ifndef ARB_DELEGATION_LOOK_NANOSECONDS
#define ARB_DELEGATION_LOOK_NANOSECONDS 20000000
#endif

/* How long submitting waits for a place in a full ring: longer than any copy. */
#ifndef ARB_DELEGATION_WAIT_NANOSECONDS
#define ARB_DELEGATION_WAIT_NANOSECONDS 10000000000
#endif

/* How long a worker waits for a thread that claimed a place and does not fill it, because it was
 * ended or jumped out of a signal handler in between. Then the worker gives its ring up. */
#ifndef ARB_DELEGATION_FILL_NANOSECONDS
#define ARB_DELEGATION_FILL_NANOSECONDS 1000000000
#endif

#define ARB_RING_COUNT_MAX 256u
#define ARB_RING_SLOTS_MAX (1u << 20)
#define ARB_LANE_COUNT_MAX (1u << 20)

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

/* Latencies of requests in ticks: each power of two is cut into 32 equal parts, so that a latency
 * is known to 1/32; the layout is that of ArbiterMetrics' Histogram. */
#define ARB_LATENCY_PART_BITS 5u
#define ARB_LATENCY_CELLS 1568u /* 49 powers */

/* The cell of a latency. */
static inline uint32_t arb_latency_cell(uint64_t ticks) {
  if (ticks < (1u << ARB_LATENCY_PART_BITS)) return (uint32_t)ticks;
  uint32_t shift = 63 - (uint32_t)__builtin_clzll(ticks) - ARB_LATENCY_PART_BITS;
  uint32_t cell = (shift << ARB_LATENCY_PART_BITS) + (uint32_t)(ticks >> shift);
  return cell < ARB_LATENCY_CELLS ? cell : ARB_LATENCY_CELLS - 1;
}

/* Starts `ring_count` workers, each with a ring of `slot_count` places, for at most
 * `lane_capacity` lanes at a time. Returns 0 or -errno; then nothing is left behind. */
int64_t arb_delegation_create(uint32_t ring_count, uint32_t slot_count, uint32_t lane_capacity,
                              ArbDelegation *_Nullable *_Nonnull pool);

/* Serves what was accepted, refuses everything new, ends the workers and waits for their end. May
 * be called more than once and from any thread but a worker. */
void arb_delegation_shutdown(ArbDelegation *_Nonnull pool);

/* Shuts down and frees; no lane may be used any more. */
void arb_delegation_destroy(ArbDelegation *_Nonnull pool);

/* 1 while the pool takes requests in this process: not in a forked child, not after shutdown. */
int32_t arb_delegation_is_alive(const ArbDelegation *_Nonnull pool);

/* Workers that ended by themselves, as far as anybody has noticed. */
uint32_t arb_delegation_dead_count(const ArbDelegation *_Nonnull pool);

/* CPU time of all workers; up to date after shutdown and while they sleep. */
int64_t arb_delegation_cpu_nanoseconds(const ArbDelegation *_Nonnull pool);

/* Adds the latencies that were recorded so far to ARB_LATENCY_CELLS counts and a sum; raises the
 * maximum. Exact after shutdown; before, the figures may be of slightly different moments. */
void arb_delegation_add_latencies(const ArbDelegation *_Nonnull pool, uint64_t *_Nonnull cells,
                                  uint64_t *_Nonnull sum, uint64_t *_Nonnull maximum);

/* Opens a lane for the calling thread, to the living ring with the fewest lanes. Returns 0, -EUSERS
 * where all lanes are open, -EOWNERDEAD in a forked child and where all workers are dead. */
int64_t arb_lane_open(ArbDelegation *_Nonnull pool, ArbLane *_Nonnull lane);

/* Waits until all requests of the lane have ended, and gives it back. */
void arb_lane_close(ArbLane *_Nonnull lane);

/* Hands in a request; waits while the ring is full. The request's ticket is the lane's
 * `submitted_count` afterwards. Returns 0, or, and then nothing will be executed: -ESHUTDOWN,
 * -EOWNERDEAD where the worker is dead, -ETIMEDOUT after ARB_DELEGATION_WAIT_NANOSECONDS. */
int64_t arb_lane_submit(ArbLane *_Nonnull lane, const ArbRequest *_Nonnull request);

/* Waits until the lane's requests up to the ticket have ended. Returns 0 where all are complete,
 * -EOWNERDEAD where one ended because the worker died, -EINVAL for a ticket not handed out. */
int64_t arb_lane_wait(ArbLane *_Nonnull lane, uint64_t ticket);

/* Requests of the lane that are complete. Acquires what the worker wrote for them. */
uint64_t arb_lane_completed_count(const ArbLane *_Nonnull lane);

#endif
