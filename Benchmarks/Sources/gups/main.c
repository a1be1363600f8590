/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * GUPS, as the HeMem paper runs it: threads that each have a part of the memory and add to random
 * elements of 8 bytes in it, nine times of ten to elements that are hot. `gups --help` tells how.
 *
 * At the start each thread fills its part, so that all memory is there; then the clock starts. The
 * hot set may move once to elements that were never hot. Each second the updates of all threads
 * are printed. In the end all memory is read and compared with what it must add up to.
 */
#define _GNU_SOURCE
#include "gups.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static Options options;
static Worker workers[THREADS_MAX];
static pthread_barrier_t gate;
static int is_over;

static void *work(void *argument) {
  Worker *worker = argument;
  fill(worker);
  pthread_barrier_wait(&gate);
  pthread_barrier_wait(&gate);
  update(worker, &is_over);
  pthread_barrier_wait(&gate);
  verify(worker);
  return NULL;
}

static void *memory(uint64_t bytes) {
  if (options.memory == MEMORY_MALLOC) {
    void *block = malloc(bytes + options.piece);
    if (!block) fail("there is not so much memory", "--footprint");
    uint64_t past = (uint64_t)(uintptr_t)block % options.piece;
    return (char *)block + (past > 0 ? options.piece - past : 0);
  }
  int sharing = options.memory == MEMORY_SHARED ? MAP_SHARED : MAP_PRIVATE;
  void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) fail("there is not so much memory", "--footprint");
  return map;
}

static uint64_t updates_done(void) {
  uint64_t sum = 0;
  for (unsigned number = 0; number < options.threads; number++) {
    sum += __atomic_load_n(&workers[number].done, __ATOMIC_RELAXED);
  }
  return sum;
}

static void move_hot_sets(FILE *truth) {
  for (unsigned number = 0; number < options.threads; number++) {
    Worker *worker = &workers[number];
    /* Release: a thread that sees it sees what is in it. */
    __atomic_store_n(&worker->hot, moved_hot_set(worker), __ATOMIC_RELEASE);
  }
  if (truth) tell_truth(truth, workers, options.threads);
  printf("moved %u %% of the hot set\n", options.move_percent);
}

static void sleep_until(uint64_t time) {
  struct timespec until = {(time_t)(time / 1000000000u), (long)(time % 1000000000u)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) continue;
}

/* Whether all threads have made the updates that were asked for. */
static int is_done(void) {
  for (unsigned number = 0; number < options.threads; number++) {
    uint64_t done = __atomic_load_n(&workers[number].done, __ATOMIC_RELAXED);
    if (options.updates == 0 || done < options.updates) return 0;
  }
  return 1;
}

/* Prints what each second brought, and moves the hot set when it is time. */
static void tick(uint64_t began, FILE *truth) {
  uint64_t second = 1000000000u, last = 0, last_time = began, printed = 1;
  int has_moved = options.move_at <= 0 || options.shape == SHAPE_UNIFORM;
  uint64_t end = options.updates > 0 ? UINT64_MAX : began + (uint64_t)(options.seconds * 1e9);
  uint64_t move = began + (uint64_t)(options.move_at * 1e9);
  for (uint64_t time = began; time < end && !is_done();) {
    uint64_t next = began + printed * second;
    if (!has_moved && move < next) next = move;
    if (options.updates > 0 && time + 5000000 < next) next = time + 5000000;
    sleep_until(next < end ? next : end);
    time = now();
    if (!has_moved && time >= move) {
      move_hot_sets(truth);
      has_moved = 1;
    }
    if (time < began + printed * second) continue;
    uint64_t done = updates_done();
    printf("second %" PRIu64 " updates %.0f\n", printed,
           (double)(done - last) * 1e9 / (double)(time - last_time));
    fflush(stdout);
    printed = (time - began) / second + 1;
    last = done;
    last_time = time;
  }
}

static void start(pthread_t *threads) {
  uint64_t part = options.footprint / options.threads;
  char *base = memory(options.footprint);
  for (unsigned number = 0; number < options.threads; number++) {
    Worker *worker = &workers[number];
    *worker = (Worker){.data = (uint64_t *)(void *)(base + number * part),
                       .elements = part / sizeof *worker->data, .options = &options,
                       .number = number};
    worker->hot = first_hot_set(worker);
    if (pthread_create(&threads[number], NULL, work, worker) != 0) {
      fail("a thread cannot be started", "");
    }
  }
}

int main(int count, char **words) {
  static pthread_t threads[THREADS_MAX];
  if (count > 1 && strcmp(words[1], "watch") == 0) return watch(count - 1, words + 1);
  read_options(&options, count, words);
  FILE *truth = options.truth ? fopen(options.truth, "we") : NULL;
  if (options.truth && !truth) fail("cannot be written", options.truth);
  uint64_t filling = now();
  pthread_barrier_init(&gate, NULL, options.threads + 1);
  start(threads);
  pthread_barrier_wait(&gate);
  printf("filled %.2f s\n", (double)(now() - filling) / 1e9);
  fflush(stdout);
  if (truth) tell_truth(truth, workers, options.threads);
  uint64_t began = now();
  pthread_barrier_wait(&gate);
  tick(began, truth);
  if (truth) {
    fputs("over\n", truth);
    fclose(truth);
  }
  __atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
  pthread_barrier_wait(&gate);
  double seconds = (double)(now() - began) / 1e9;
  int is_right = 1;
  for (unsigned number = 0; number < options.threads; number++) {
    pthread_join(threads[number], NULL);
    is_right &= workers[number].is_right;
  }
  uint64_t done = updates_done();
  printf("total %" PRIu64 " updates %.3f s %.0f updates/s, memory %s\n", done, seconds,
         (double)done / seconds, is_right ? "right" : "WRONG");
  return is_right ? 0 : 1;
}
