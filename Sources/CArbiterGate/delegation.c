/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The pool: its memory, its beginning and its end, and what is known of all its workers.
 */
#define _GNU_SOURCE
#include "delegation_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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
    status = arb_worker_start(&pool->rings[index], index);
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
    if (state_of(ring) == RUNNING) arb_ring_give_up(ring);
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

