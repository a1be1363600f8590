/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Memory that knows what it should hold, for tests that move it about.
 *
 * tiered_words work MIB HOT_MIB SECONDS [THREADS [moving]]
 *   Fills so much anonymous memory, prints `ready PID ADDRESS BYTES`, and adds to random words for
 *   so long or until SIGTERM: nine of ten in the hot part, which is the end of the memory or, if it
 *   moves, its beginning after half of the time. Every word holds its own number and how often it was added to: a word that was misplaced
 *   or an addition that got lost is seen. Ends with `passed ADDITIONS`, or `FAILED ...` and 1, after
 *   `placed HOT_FAST HOT OTHERS_FAST OTHERS`: pages of the hot part and of the rest, and how many of
 *   them lie on node 0; left out where the kernel does not tell.
 *
 * tiered_words serve
 *   Obeys lines and answers each with one:
 *     map BYTES small|huge|shared  maps and fills chunks with a guard around them, private ones of
 *                                  small or huge pages where the kernel lets them choose: ADDRESS
 *     unmap ADDRESS BYTES          gives them back
 *     drop ADDRESS BYTES           forgets what it holds (MADV_DONTNEED)
 *     fill ADDRESS BYTES           writes to each page
 *     read ADDRESS BYTES           reads each page
 *     check ADDRESS BYTES          holds each page against what `fill` wrote: how many are wrong
 *     churn ADDRESS BYTES          writes to it from now on, in a thread
 *     pin ADDRESS BYTES            keeps references to up to 256 pages in a pipe: pages missed
 *     fork                         forks a process that sleeps: PID
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
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
      NULL, bytes + 3 * CHUNK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return NULL;
  /* At least a chunk below it: a small guard would be that of a stack. */
  char *place = (char *)(((uintptr_t)room + 2 * CHUNK - 1) & ~(CHUNK - 1));
  void *memory = mmap(
      place, bytes, PROT_READ | PROT_WRITE,
      (is_shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

/* --- work ------------------------------------------------------------------------------------- */

static uint64_t *words;
static size_t word_count, hot_count;
static double deadline, turning;

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

/* The first word of the hot part. */
static size_t hot_place(void) { return now() < turning ? word_count - hot_count : 0; }

__attribute__((noinline)) static uint64_t *choose(uint64_t *random, size_t hot_start) {
  uint64_t draw = next(random);
  if (draw % 10 == 0) return &words[(draw >> 8) % word_count];
  return &words[hot_start + (draw >> 8) % hot_count];
}

/* Most of an addition's time passes here, where the word is touched first. QEMU takes a timer's
 * interrupts only where the next jump leads to: to the addition below, so that samples fall on an
 * instruction that names the word. Relaxed, both: each word is by itself. */
__attribute__((noinline)) static uint64_t look(const uint64_t *word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void *work(void *argument) {
  Worker *worker = argument;
  while (!is_ended && now() < deadline) {
    size_t hot_start = hot_place();
    for (int turn = 0; turn < 4096; turn++) {
      uint64_t *word = choose(&worker->random, hot_start);
      uint64_t before = look(word);
      __atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
      worker->wrong += before >> COUNT_BITS != (uint64_t)(word - words);
      worker->additions++;
    }
  }
  return NULL;
}

/* How many pages of so many words lie on node 0; -1 where the kernel does not tell. */
static long near(const uint64_t *start, size_t count) {
  long found = 0;
  const size_t words_per_page = PAGE / sizeof *start;
  for (size_t place = 0; place < count; place += words_per_page) {
    const void *page = start + place;
    int node = -1;
    if (syscall(SYS_move_pages, 0, 1ul, &page, NULL, &node, 0) != 0) return -1;
    found += node == 0;
  }
  return found;
}

static void tell_places(void) {
  size_t others = word_count - hot_count, per_page = PAGE / sizeof *words, place = hot_place();
  long hot_near = near(words + place, hot_count);
  long others_near = near(words + (place == 0 ? hot_count : 0), others);
  if (hot_near >= 0 && others_near >= 0)
    printf("placed %ld %zu %ld %zu\n", hot_near, hot_count / per_page, others_near,
           others / per_page);
}

static int run(
    size_t bytes, size_t hot_bytes, double seconds, int thread_count, int is_moving) {
  static Worker workers[THREADS_MAX];
  uint64_t additions = 0, wrong = 0, counted = 0, mask = (1u << COUNT_BITS) - 1;
  word_count = bytes / sizeof *words;
  hot_count = hot_bytes / sizeof *words;
  words = map_chunks(bytes, 0);
  if (words == NULL) return perror("mmap"), 1;
  for (size_t index = 0; index < word_count; index++) words[index] = (uint64_t)index << COUNT_BITS;
  printf("ready %d %" PRIxPTR " %zu\n", (int)getpid(), (uintptr_t)words, bytes);
  fflush(stdout);
  deadline = now() + seconds;
  turning = is_moving ? deadline - seconds / 2 : deadline + 1e9;
  for (int index = 0; index < thread_count; index++) {
    workers[index].random = 88172645463325252u + (uint64_t)index * 7919;
    if (pthread_create(&workers[index].thread, NULL, work, &workers[index]) != 0) return 1;
  }
  for (int index = 0; index < thread_count; index++) {
    pthread_join(workers[index].thread, NULL);
    additions += workers[index].additions;
    wrong += workers[index].wrong;
  }
  tell_places();
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

/* Puts the pages themselves into a pipe that nobody reads, so that the kernel cannot move them. */
static size_t pin(char *memory, size_t bytes) {
  int ends[2];
  struct iovec range = {memory, bytes};
  if (pipe(ends) != 0 || fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) < 0) return bytes / PAGE;
  ssize_t taken = vmsplice(ends[1], &range, 1, SPLICE_F_NONBLOCK);
  return (bytes - (taken > 0 ? (size_t)taken : 0)) / PAGE;
}

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
  if (strcmp(verb, "drop") == 0) wrong = (size_t)madvise(memory, bytes, MADV_DONTNEED);
  if (strcmp(verb, "pin") == 0) wrong = pin(memory, bytes);
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
      if (memory != NULL && word[1] != 'h' /* shared */)
        madvise(memory, bytes, word[0] == 'h' ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
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
  return run(bytes, hot_bytes, strtod(arguments[4], NULL), thread_count, count > 6);
}
