/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Memory that knows what it should hold, for tests that move it about.
 *
 * tiered_words work MIB HOT_MIB SECONDS [THREADS]
 *   Fills so much anonymous memory, prints `ready PID ADDRESS BYTES HOT_ADDRESS HOT_BYTES`, and
 *   adds to random words for so long or until SIGTERM: nine of ten in the hot part, which is the
 *   end. Every word holds its own number and how often it was added to: a word that was misplaced
 *   or an addition that got lost is seen. Ends with `passed ADDITIONS` or `FAILED ...` and 1.
 *
 * tiered_words serve
 *   Obeys lines and answers each with one:
 *     map BYTES private|shared     maps and fills chunks with a guard around them: ADDRESS
 *     unmap ADDRESS BYTES          gives them back
 *     fill ADDRESS BYTES           writes to each page
 *     read ADDRESS BYTES           reads each page
 *     check ADDRESS BYTES          holds each page against what `fill` wrote: how many are wrong
 *     churn ADDRESS BYTES          writes to it from now on, in a thread
 *     fork                         forks a process that sleeps: PID
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, THREADS_MAX = 16 };
#define CHUNK ((size_t)2 << 20)
#define COUNT_BITS 24

static volatile sig_atomic_t is_ended;
static void end(int number) { (void)number, is_ended = 1; }

/* Maps whole chunks with memory that cannot be reached on both sides, so that the kernel makes no
 * one mapping of them and of what lies beside. */
static void *map_chunks(size_t bytes, int is_shared) {
  char *room = mmap(
      NULL, bytes + 2 * CHUNK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return NULL;
  char *place = (char *)(((uintptr_t)room + CHUNK) & ~(CHUNK - 1));
  void *memory = mmap(
      place, bytes, PROT_READ | PROT_WRITE,
      (is_shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

/* --- work ------------------------------------------------------------------------------------- */

static uint64_t *words;
static size_t word_count, hot_count;
static double deadline;

typedef struct {
  pthread_t thread;
  uint64_t random, additions, wrong;
} Worker;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t next(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static void *work(void *argument) {
  Worker *worker = argument;
  while (!is_ended && now() < deadline) {
    for (int turn = 0; turn < 4096; turn++) {
      uint64_t draw = next(&worker->random);
      size_t count = draw % 10 != 0 ? hot_count : word_count;
      size_t index = word_count - 1 - (draw >> 8) % count;
      /* Relaxed: each word is by itself. */
      uint64_t before = __atomic_fetch_add(&words[index], 1, __ATOMIC_RELAXED);
      worker->wrong += before >> COUNT_BITS != index;
      worker->additions++;
    }
  }
  return NULL;
}

static int run(size_t bytes, size_t hot_bytes, double seconds, int thread_count) {
  static Worker workers[THREADS_MAX];
  uint64_t additions = 0, wrong = 0, counted = 0, mask = (1u << COUNT_BITS) - 1;
  word_count = bytes / sizeof *words;
  hot_count = hot_bytes / sizeof *words;
  words = map_chunks(bytes, 0);
  if (words == NULL) return perror("mmap"), 1;
  for (size_t index = 0; index < word_count; index++) words[index] = (uint64_t)index << COUNT_BITS;
  printf("ready %d 0x%" PRIxPTR " %zu 0x%" PRIxPTR " %zu\n", (int)getpid(), (uintptr_t)words, bytes,
         (uintptr_t)(words + (word_count - hot_count)), hot_bytes);
  fflush(stdout);
  deadline = now() + seconds;
  for (int index = 0; index < thread_count; index++) {
    workers[index].random = 88172645463325252u + (uint64_t)index * 7919;
    if (pthread_create(&workers[index].thread, NULL, work, &workers[index]) != 0) return 1;
  }
  for (int index = 0; index < thread_count; index++) {
    pthread_join(workers[index].thread, NULL);
    additions += workers[index].additions;
    wrong += workers[index].wrong;
  }
  /* A count that ran over would carry into the number, and be seen as wrong. */
  for (size_t index = 0; index < word_count; index++) {
    wrong += words[index] >> COUNT_BITS != index;
    counted += words[index] & mask;
  }
  if (wrong != 0 || counted != additions) {
    printf("FAILED %" PRIu64 " wrong, %" PRIu64 " of %" PRIu64 " counted\n", wrong, counted,
           additions);
    return 1;
  }
  printf("passed %" PRIu64 "\n", additions);
  return 0;
}

/* --- serve ------------------------------------------------------------------------------------ */

static volatile char *churned;
static size_t churned_bytes;

static void *churn(void *argument) {
  struct timespec rest = {0, 2000000};
  (void)argument;
  while (nanosleep(&rest, NULL) == 0)
    for (size_t page = 0; page < churned_bytes; page += PAGE) churned[page + 8]++;
  return NULL;
}

static char stamp(uintptr_t address) { return (char)(address / PAGE * 37 + 11); }

static void obey(const char *verb, char *memory, size_t bytes) {
  size_t wrong = 0;
  volatile char sink;
  for (size_t page = 0; page < bytes; page += PAGE) {
    uintptr_t address = (uintptr_t)memory + page;
    if (strcmp(verb, "fill") == 0) memory[page] = stamp(address);
    if (strcmp(verb, "read") == 0) sink = *(volatile char *)(memory + page), (void)sink;
    if (strcmp(verb, "check") == 0) wrong += memory[page] != stamp(address);
  }
  if (strcmp(verb, "unmap") == 0) wrong = (size_t)munmap(memory, bytes);
  if (strcmp(verb, "churn") == 0) {
    pthread_t thread;
    churned = memory, churned_bytes = bytes;
    wrong = (size_t)pthread_create(&thread, NULL, churn, NULL);
  }
  printf("%zu\n", wrong);
}

static int serve(void) {
  char line[256], word[32];
  uintptr_t address;
  size_t bytes;
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (sscanf(line, "map %zu %31s", &bytes, word) == 2) {
      char *memory = map_chunks(bytes, strcmp(word, "shared") == 0);
      for (size_t page = 0; memory != NULL && page < bytes; page += PAGE)
        memory[page] = stamp((uintptr_t)memory + page);
      printf("%" PRIuPTR "\n", (uintptr_t)memory);
    } else if (strcmp(line, "fork\n") == 0) {
      fflush(stdout);
      pid_t child = fork();
      if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) pause();
      }
      printf("%d\n", (int)child);
    } else if (sscanf(line, "%31s %" SCNuPTR " %zu", word, &address, &bytes) == 3) {
      obey(word, (char *)address, bytes);
    } else {
      return 64;
    }
  }
  return 0;
}

int main(int count, char **arguments) {
  signal(SIGTERM, end);
  if (count == 2 && strcmp(arguments[1], "serve") == 0) return serve();
  if (count < 5 || strcmp(arguments[1], "work") != 0) return 64;
  size_t bytes = strtoull(arguments[2], NULL, 10) << 20;
  size_t hot_bytes = strtoull(arguments[3], NULL, 10) << 20;
  int thread_count = count > 5 ? atoi(arguments[5]) : 1;
  if (hot_bytes == 0 || hot_bytes > bytes || thread_count < 1 || thread_count > THREADS_MAX)
    return 64;
  return run(bytes, hot_bytes, strtod(arguments[4], NULL), thread_count);
}
