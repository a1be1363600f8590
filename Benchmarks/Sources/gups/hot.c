/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is hot, and the file that says so.
 *
 * Each thread has an order of its pieces. The hot set is a run of that order; when it moves, its
 * oldest pieces leave it and the next ones of the order enter, which were never hot before.
 */
#include "gups.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

static uint32_t piece_count(const Worker *worker) {
  return (uint32_t)(worker->elements * sizeof *worker->data / worker->options->piece);
}

/* A random order where the hot set is scattered, else that of addresses, from either end. */
static void make_order(Worker *worker) {
  uint32_t count = piece_count(worker);
  worker->order = malloc(count * sizeof *worker->order);
  if (!worker->order) fail("there is no memory for the order of the pieces", "");
  for (uint32_t index = 0; index < count; index++) {
    worker->order[index] = worker->options->is_hot_last ? count - 1 - index : index;
  }
  if (worker->options->shape != SHAPE_SCATTERED) return;
  uint64_t state = worker->options->seed * 0x9E3779B97F4A7C15ull + worker->number + 1;
  for (uint32_t index = count - 1; index > 0; index--) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    uint32_t other = (uint32_t)(((unsigned __int128)state * (index + 1)) >> 64);
    uint32_t piece = worker->order[index];
    worker->order[index] = worker->order[other];
    worker->order[other] = piece;
  }
}

static HotSet *empty_hot_set(const Worker *worker) {
  const Options *options = worker->options;
  uint32_t count = (uint32_t)(options->hot / options->threads / options->piece);
  HotSet *set = calloc(1, sizeof *set + count * sizeof *set->pieces);
  if (!set) fail("there is no memory for the hot set", "");
  set->count = count;
  set->places = count * (options->piece / sizeof *worker->data);
  return set;
}

const HotSet *first_hot_set(Worker *worker) {
  make_order(worker);
  HotSet *set = empty_hot_set(worker);
  for (uint32_t index = 0; index < set->count; index++) set->pieces[index] = worker->order[index];
  worker->next = set->count;
  return set;
}

const HotSet *moved_hot_set(Worker *worker) {
  const HotSet *old = worker->hot;
  HotSet *set = empty_hot_set(worker);
  uint32_t fresh = (uint32_t)((uint64_t)old->count * worker->options->move_percent / 100);
  for (uint32_t index = 0; index < set->count; index++) {
    if (index + fresh < set->count) {
      set->pieces[index] = old->pieces[index + fresh];
    } else {
      set->pieces[index] = worker->order[worker->next++ % piece_count(worker)];
    }
  }
  return set;
}

static int compare(const void *left, const void *right) {
  uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
  return (a > b) - (a < b);
}

/* Pieces that lie side by side become one line. */
static void tell_pieces(FILE *file, const Worker *worker) {
  uint64_t piece = worker->options->piece, start = (uint64_t)(uintptr_t)worker->data;
  const HotSet *set = worker->hot;
  uint32_t *sorted = malloc((set->count + 1) * sizeof *sorted);
  if (!sorted) fail("there is no memory for the truth", "");
  for (uint32_t index = 0; index < set->count; index++) sorted[index] = set->pieces[index];
  qsort(sorted, set->count, sizeof *sorted, compare);
  for (uint32_t index = 0, last; index < set->count; index = last) {
    for (last = index + 1; last < set->count; last++) {
      if (sorted[last] != sorted[last - 1] + 1) break;
    }
    fprintf(file, "%" PRIx64 " %" PRIx64 "\n", start + sorted[index] * piece,
            (last - index) * piece);
  }
  free(sorted);
}

void tell_truth(FILE *file, const Worker *workers, unsigned count) {
  fprintf(file, "hot %d %" PRIu64 "\n", (int)getpid(), now());
  /* Addresses rise from thread to thread. */
  for (unsigned number = 0; number < count; number++) tell_pieces(file, &workers[number]);
  fprintf(file, "end\n");
  if (fflush(file) != 0) fail("the truth cannot be written", "");
}
