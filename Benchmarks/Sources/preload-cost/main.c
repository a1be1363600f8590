/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the preload library adds to a call of libpmem under the baseline scheme, which only counts.
 *
 *   preload-cost [--smoke] path/of/libarbiter-preload.so
 *
 * The program makes a control page and runs itself again under the library. Then it times pairs of
 * the same loop in one process: calls of a libpmem in a name space of its own, which the library
 * does not reach, and calls of the function that every program now gets. The order within a pair
 * alternates, so that a drift of the machine weighs on both alike. The figure is the median over
 * the pairs of the difference per call, with its distribution-free 95 % interval.
 *
 *   met        the whole interval lies at or below the limit
 *   missed     the whole interval lies above it
 *   undecided  the limit lies within the interval
 *
 * The verdict is that of the worst function. Afterwards the page must have counted the calls.
 */
#define _GNU_SOURCE
#include <CArbiterGate.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_NANOSECONDS 40.0
#define PAIRS_MAX 501
#define WINDOW ((size_t)16 << 10)

typedef void *(*Copy)(void *, const void *, size_t);
typedef void (*Range)(const void *, size_t);
typedef void (*Drain)(void);

static char *window;
static char source[256];

static void fail(const char *reason) {
  printf("preload-cost: invalid, %s\n", reason);
  exit(1);
}

static double now_nanoseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void copy_64(void *function, size_t at) { ((Copy)function)(window + at, source, 64); }
static void flush_64(void *function, size_t at) { ((Range)function)(window + at, 64); }
static void drain(void *function, size_t at) {
  (void)at;
  ((Drain)function)();
}
static void persist_256(void *function, size_t at) {
  ((Copy)function)(window + (at & ~(size_t)255), source, 256);
}

/* A function, how it is called here, and what the page counts of it. */
static const struct {
  const char *name;
  const char *label;
  void (*call)(void *function, size_t at);
  ArbCallKind kind;
} cases[] = {
    {"pmem_memcpy_nodrain", "pmem_memcpy_nodrain, 64 B", copy_64, ARB_CALL_COPY},
    {"pmem_flush", "pmem_flush, 64 B", flush_64, ARB_CALL_FLUSH},
    {"pmem_drain", "pmem_drain", drain, ARB_CALL_DRAIN},
    {"pmem_memcpy_persist", "pmem_memcpy_persist, 256 B", persist_256, ARB_CALL_COPY},
};

/* Nanoseconds per call of one arm. Not inlined, so that both arms are the same code. */
__attribute__((noinline)) static double arm(void (*call)(void *, size_t), void *function,
                                            long count) {
  double start = now_nanoseconds();
  for (long index = 0; index < count; index++) call(function, (size_t)index * 64 % WINDOW);
  return (now_nanoseconds() - start) / (double)count;
}

static int compare(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* Returns 0 where the limit is met, 1 where that is undecided, 2 where it is missed. */
static int report(const char *label, double *plain, double *differences, int pairs) {
  qsort(plain, (size_t)pairs, sizeof *plain, compare);
  qsort(differences, (size_t)pairs, sizeof *differences, compare);
  /* Ranks that the median lies between in at least 95 % of samples. */
  int reach = (int)ceil(0.98 * sqrt((double)pairs)) + 1;
  double low = differences[pairs / 2 - reach], high = differences[pairs / 2 + reach];
  int verdict = high <= LIMIT_NANOSECONDS ? 0 : low > LIMIT_NANOSECONDS ? 2 : 1;
  printf("%-28s plain %7.2f ns, added %6.2f ns (95 %% %.2f to %.2f, %d pairs): %s\n", label,
         plain[pairs / 2], differences[pairs / 2], low, high, pairs,
         (const char *[]){"met", "undecided", "missed"}[verdict]);
  return verdict;
}

static int measure(int index, void *library, int pairs, long count) {
  double plain[PAIRS_MAX], differences[PAIRS_MAX];
  void *real = dlsym(library, cases[index].name);
  void *gated = dlsym(RTLD_DEFAULT, cases[index].name);
  if (real == NULL || gated == NULL) fail("libpmem lacks a function");
  if (real == gated) fail("the preload library does not stand in front of libpmem");
  void *functions[2] = {real, gated};
  arm(cases[index].call, real, count);
  arm(cases[index].call, gated, count);
  for (int pair = 0; pair < pairs; pair++) {
    double times[2];
    for (int turn = 0; turn < 2; turn++) {
      int which = (pair + turn) % 2;
      times[which] = arm(cases[index].call, functions[which], count);
    }
    plain[pair] = times[0];
    differences[pair] = times[1] - times[0];
  }
  return report(cases[index].label, plain, differences, pairs);
}

/* Fails unless the page has counted every call of the gated arms. */
static void check_counts(int pairs, long count) {
  ArbMapping mapping;
  if (arb_page_open(getenv("ARBITER_CONTROL"), &mapping) != 0) fail("no control page");
  const ArbCounts *counts = &arb_page_slot(mapping.page, 0)->counts;
  uint64_t each = (uint64_t)(pairs + 1) * (uint64_t)count;
  if (counts->call_count[ARB_CALL_COPY] != 2 * each ||
      counts->call_count[ARB_CALL_FLUSH] != each || counts->call_count[ARB_CALL_DRAIN] != each) {
    fail("the page did not count the calls that were made");
  }
}

/* Runs this program again, under the library and a page that outlives the exec. */
static void run_under(const char *path, char **words) {
  ArbPageParameters parameters = {.slot_count = 4, .scheme = ARB_SCHEME_BASELINE,
                                  .permit_count = 1, .ring_count = 1, .ring_slots = 16,
                                  .span_bytes = 4096, .ticks_per_nanosecond = 1,
                                  .maximum_wait_ticks = 1000000};
  ArbMapping mapping;
  if (arb_page_create(&parameters, &mapping) != 0) fail("a control page cannot be made");
  arb_set_name(mapping.page, 1, "all", 1);
  arb_set_activate(mapping.page, 1, 1);
  if (access(path, R_OK) != 0) fail("the library cannot be read");
  fcntl(mapping.descriptor, F_SETFD, 0);
  char control[64];
  snprintf(control, sizeof control, "/proc/%d/fd/%d", (int)getpid(), mapping.descriptor);
  setenv("ARBITER_CONTROL", control, 1);
  setenv("LD_PRELOAD", path, 1);
  setenv("PRELOAD_COST_STAGE", "measure", 1);
  execv("/proc/self/exe", words);
  fail("the program cannot be run again");
}

int main(int argument_count, char **words) {
  int is_smoke = argument_count == 3 && strcmp(words[1], "--smoke") == 0;
  if (argument_count != 2 && !is_smoke) {
    printf("usage: preload-cost [--smoke] path/of/libarbiter-preload.so\n");
    return 2;
  }
  if (getenv("PRELOAD_COST_STAGE") == NULL) run_under(words[argument_count - 1], words);
  /* Its own calls of pmem_drain must not meet the preload library either. */
  void *library = dlmopen(LM_ID_NEWLM, "libpmem.so.1", RTLD_NOW);
  if (library == NULL || dlopen("libpmem.so.1", RTLD_NOW | RTLD_GLOBAL) == NULL) {
    fail("there is no libpmem.so.1; install the package libpmem1");
  }
  window = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (window == MAP_FAILED) fail("no memory");
  int pairs = is_smoke ? 31 : PAIRS_MAX;
  long count = is_smoke ? 2000 : 10000;
  int worst = 0;
  for (int index = 0; index < (int)(sizeof cases / sizeof *cases); index++) {
    int verdict = measure(index, library, pairs, count);
    if (verdict > worst) worst = verdict;
  }
  check_counts(pairs, count);
  printf("preload-cost: %s against %.0f ns\n",
         (const char *[]){"met", "undecided", "missed"}[worst], LIMIT_NANOSECONDS);
  return worst == 2;
}
