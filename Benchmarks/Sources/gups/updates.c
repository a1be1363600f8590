/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the threads do.
 *
 * An update adds a drawn number to an element, and the number times the element's odd weight to
 * the thread's sum. Whatever the order, the weighted elements must add up to that sum: a lost
 * update, a page that reads as zero or as it was before, and two pages in each other's place are
 * all seen.
 */
#include "gups.h"

static uint64_t mixed(uint64_t number) {
  number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9ull;
  number = (number ^ (number >> 27)) * 0x94D049BB133111EBull;
  return number ^ (number >> 31);
}

static inline uint64_t weight(uint64_t index) { return 2 * index + 1; }

static inline uint64_t high_product(uint64_t left, uint64_t right) {
  return (uint64_t)(((unsigned __int128)left * right) >> 64);
}

void fill(Worker *worker) {
  uint64_t base = mixed(worker->options->seed + worker->number + 1), sum = 0;
  worker->state = base | 1;
  for (uint64_t index = 0; index < worker->elements; index++) {
    uint64_t content = mixed(base + index);
    worker->data[index] = content;
    sum += content * weight(index);
  }
  worker->sum = sum;
}

void update(Worker *worker, const int *is_over) {
  const Options *options = worker->options;
  uint64_t *const data = worker->data;
  uint64_t state = worker->state, sum = worker->sum, done = 0;
  /* The low half of a draw says whether it is a hot one, the high half where. */
  uint64_t hot_below = ((uint64_t)options->hot_percent << 32) / 100;
  unsigned shift = (unsigned)__builtin_ctzll(options->piece / sizeof *data);
  uint64_t mask = options->piece / sizeof *data - 1;
  while (!__atomic_load_n(is_over, __ATOMIC_RELAXED)) {
    if (options->updates > 0 && done >= options->updates) break;
    /* Acquire: with the release of who replaces it. */
    const HotSet *hot = __atomic_load_n(&worker->hot, __ATOMIC_ACQUIRE);
    for (int step = 0; step < BATCH; step++) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      uint64_t index;
      if ((state & 0xFFFFFFFF) < hot_below) {
        uint64_t place = high_product(state, hot->places);
        index = ((uint64_t)hot->pieces[place >> shift] << shift) | (place & mask);
      } else {
        index = high_product(state, worker->elements);
      }
      data[index] += state;
      sum += state * weight(index);
    }
    done += BATCH;
    __atomic_store_n(&worker->done, done, __ATOMIC_RELAXED);
  }
  worker->state = state;
  worker->sum = sum;
}

void verify(Worker *worker) {
  uint64_t sum = 0;
  for (uint64_t index = 0; index < worker->elements; index++) {
    sum += worker->data[index] * weight(index);
  }
  worker->is_right = sum == worker->sum;
}
