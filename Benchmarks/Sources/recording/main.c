/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What recording costs the recorded program.
 *
 *   recording [--smoke] path/of/libarbiter-preload.so
 *
 * The program makes a session, runs itself again inside it and drains it meanwhile. The child times
 * pairs of arms, whose order alternates:
 *
 *   hooks    the same loops compiled as they are and with the recording hooks, on a mapped file.
 *            The limit of 4 times holds for the log; a loop that only fills words, which the
 *            compiler makes vectors of, and a hash table, whose cache misses overlap less with a
 *            call between them, are shown beside it
 *   events   whole events a second of one thread; the limit is 5 million
 *   preload  whole runs of fio with its libpmem engine, 4 KiB and 256 bytes at random places, as
 *            they are and recorded; the limit of 10 % holds for both. Loops that do nothing but
 *            persist copies are the worst case and are shown beside it
 *
 * Times are CPU times, of the thread or of the program from its start to its end, so that they hold
 * also where the reader shares its processor. Figures are medians over the pairs with their
 * distribution-free 95 % intervals. With --smoke few pairs are taken and nothing is judged.
 *
 *   met        the whole interval lies on the right side of the limit
 *   missed     the whole interval lies on the wrong side
 *   undecided  the limit lies within the interval
 */
#define _GNU_SOURCE
#include <CArbiterRecord.h>
#include <hooked_kernels.h>
#include <plain_kernels.h>

#include "program.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAIRS_MAX 101
#define MAP_BYTES ((size_t)64 << 20)

typedef void (*Kernel)(void *memory, size_t bytes, size_t count);
typedef void *(*Copy)(void *target, const void *source, size_t bytes);

static char *map;
static char source[4096];
static int is_smoke;

static void fail(const char *reason) {
  printf("recording: invalid, %s\n", reason);
  exit(1);
}

static double cpu_seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int compare(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* Prints a figure; `limit` of 0 is none. Returns 0 met or not judged, 1 undecided, 2 missed. */
static int report(const char *label, const char *unit, double *figures, int count, double limit,
                  int is_floor) {
  qsort(figures, (size_t)count, sizeof *figures, compare);
  /* Ranks that the median lies between in at least 95 % of samples, if there are 6 or more. */
  int reach = (int)ceil(0.98 * sqrt((double)count)) + 1;
  if (reach > (count - 1) / 2) reach = (count - 1) / 2;
  double low = figures[count / 2 - reach], high = figures[count / 2 + reach];
  printf("%-34s %8.2f %s (95 %% %.2f to %.2f, %d pairs)", label, figures[count / 2], unit, low,
         high, count);
  int verdict = 0;
  if (limit > 0 && !is_smoke) {
    int is_met = is_floor ? low >= limit : high <= limit;
    int is_missed = is_floor ? high < limit : low > limit;
    verdict = is_met ? 0 : is_missed ? 2 : 1;
    printf(": %s against %.1f", (const char *[]){"met", "undecided", "missed"}[verdict], limit);
  }
  printf("\n");
  fflush(stdout);
  return verdict;
}

/* --- Hooks ------------------------------------------------------------------------------------ */

static double time_kernel(Kernel kernel, size_t count) {
  double began = cpu_seconds();
  kernel(map, MAP_BYTES, count);
  return cpu_seconds() - began;
}

static int measure_kernels(const char *label, Kernel plain, Kernel hooked, size_t count, int pairs,
                           double limit) {
  double ratios[PAIRS_MAX];
  time_kernel(plain, count);
  time_kernel(hooked, count);
  for (int pair = 0; pair < pairs; pair++) {
    double times[2];
    for (int turn = 0; turn < 2; turn++) {
      int which = (pair + turn) % 2;
      times[which] = time_kernel(which == 0 ? plain : hooked, count);
    }
    ratios[pair] = times[1] / times[0];
  }
  return report(label, "times", ratios, pairs, limit, 0);
}

/* --- Events ----------------------------------------------------------------------------------- */

static int measure_events(int pairs, uint32_t count) {
  ArbTraceMapping mapping;
  ArbRecorder recorder;
  if (arb_trace_session_from_environment(&mapping) != 0 || mapping.session == NULL ||
      arb_recorder_attach(&recorder, mapping.session, ARB_TRACE_FROM_WORKLOAD) != 0) {
    fail("there is no session");
  }
  double rates[PAIRS_MAX];
  for (int pair = -1; pair < pairs; pair++) {
    double began = cpu_seconds();
    for (uint32_t index = 0; index < count; index++) {
      int64_t start = arb_recorder_now(&recorder);
      ArbTraceEvent event = {.start = (uint64_t)start, .offset = index * 64ull,
                             .operation = ARB_TRACE_STORE_NT, .length = 64, .count = 1};
      event.span = arb_trace_span(start, arb_recorder_now(&recorder));
      arb_recorder_append(&recorder, &event);
    }
    if (pair >= 0) rates[pair] = count / (cpu_seconds() - began) / 1e6;
  }
  if (recorder.lane->lost_count != 0) fail("events were lost");
  arb_recorder_detach(&recorder);
  return report("events of one thread", "million/s", rates, pairs, 5, 1);
}

/* --- Preload ---------------------------------------------------------------------------------- */

static double time_copies(Copy copy, size_t bytes, size_t count) {
  double began = cpu_seconds();
  for (size_t index = 0; index < count; index++) {
    copy(map + index * bytes % MAP_BYTES, source, bytes);
  }
  return cpu_seconds() - began;
}

static int measure_copies(const char *label, size_t bytes, size_t count, int pairs, double limit) {
  /* A libpmem in a name space of its own, which the preload library does not reach. */
  void *library = dlmopen(LM_ID_NEWLM, "libpmem.so.1", RTLD_NOW);
  if (library == NULL || dlopen("libpmem.so.1", RTLD_NOW | RTLD_GLOBAL) == NULL) {
    fail("there is no libpmem.so.1; install the package libpmem1");
  }
  Copy plain = (Copy)dlsym(library, "pmem_memcpy_persist");
  Copy recorded = (Copy)dlsym(RTLD_DEFAULT, "pmem_memcpy_persist");
  if (plain == NULL || recorded == NULL) fail("libpmem lacks a function");
  if (plain == recorded) fail("the preload library does not stand in front of libpmem");
  double percents[PAIRS_MAX];
  time_copies(plain, bytes, count);
  time_copies(recorded, bytes, count);
  for (int pair = 0; pair < pairs; pair++) {
    double times[2];
    for (int turn = 0; turn < 2; turn++) {
      int which = (pair + turn) % 2;
      times[which] = time_copies(which == 0 ? plain : recorded, bytes, count);
    }
    percents[pair] = (times[1] / times[0] - 1) * 100;
  }
  dlclose(library);
  return report(label, "%", percents, pairs, limit, 0);
}

/* Owners that the lanes of the session have had. */
static uint64_t count_owners(const ArbTraceSession *session) {
  uint64_t sum = 0;
  for (uint32_t index = 0; index < session->lane_count; index++) {
    sum += __atomic_load_n(&arb_trace_lane(session, index)->generation, __ATOMIC_RELAXED);
  }
  return sum;
}

static int measure_fio(const char *label, const char *size, const char *total, int pairs,
                       double limit) {
  ArbTraceMapping mapping;
  if (arb_trace_session_from_environment(&mapping) != 0 || mapping.session == NULL) {
    fail("there is no session");
  }
  double percents[PAIRS_MAX];
  for (int pair = -1; pair < pairs; pair++) {
    double times[2];
    for (int turn = 0; turn < 2; turn++) {
      int is_recorded = (pair + turn) & 1;
      uint64_t owners = count_owners(mapping.session);
      times[is_recorded] = fio_seconds(size, total, is_recorded);
      if (times[is_recorded] < 0) fail("fio does not run; install the package fio");
      if ((count_owners(mapping.session) > owners) != is_recorded) {
        fail("fio was recorded where it was not to be, or the reverse");
      }
    }
    if (pair >= 0) percents[pair] = (times[1] / times[0] - 1) * 100;
  }
  arb_trace_session_close(&mapping);
  return report(label, "%", percents, pairs, limit, 0);
}

/* --- Both processes --------------------------------------------------------------------------- */

static int measure(void) {
  char path[] = "/dev/shm/arbiter-recording-XXXXXX";
  int file = mkstemp(path);
  if (file < 0 || unlink(path) != 0 || ftruncate(file, (off_t)MAP_BYTES) != 0) fail("no memory");
  map = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
  if (map == MAP_FAILED) fail("no memory");
  int pairs = is_smoke ? 15 : PAIRS_MAX;
  int fio_pairs = is_smoke ? 7 : 61;
  size_t count = is_smoke ? 20000 : 200000;
  int verdicts[] = {
      measure_kernels("hooks, log of 512 B records", plain_append_log, hooked_append_log, count,
                      pairs, 4),
      measure_kernels("hooks, words in order", plain_fill_words, hooked_fill_words, 8u << 20,
                      pairs, 0),
      measure_kernels("hooks, hash table of 64 B lines", plain_insert_lines, hooked_insert_lines,
                      count, pairs, 0),
      measure_events(pairs, is_smoke ? 50000 : 500000),
      measure_fio("preload, fio 4 KiB", "4k", is_smoke ? "16m" : "2g", fio_pairs, 10),
      measure_fio("preload, fio 256 B", "256", is_smoke ? "4m" : "192m", fio_pairs, 10),
      measure_copies("preload, only persists of 4 KiB", 4096, count / 4, pairs, 0),
      measure_copies("preload, only persists of 256 B", 256, count, pairs, 0),
  };
  int worst = 0;
  for (size_t index = 0; index < sizeof verdicts / sizeof *verdicts; index++) {
    if (verdicts[index] > worst) worst = verdicts[index];
  }
  printf("recording: %s\n",
         is_smoke ? "not judged" : (const char *[]){"met", "undecided", "missed"}[worst]);
  return worst == 2;
}

/* Reads the session until the child has ended; returns its exit code. */
static int drain(ArbTraceReader *reader, pid_t child) {
  static ArbTraceEvent events[16384];
  uint64_t sum = 0;
  int status = 0, has_ended = 0;
  for (;;) {
    uint64_t count = 0;
    arb_trace_reader_beat(reader);
    has_ended = has_ended || waitpid(child, &status, WNOHANG) == child;
    for (uint32_t lane = 0; lane < arb_trace_reader_lanes_used(reader); lane++) {
      int has_left = arb_trace_reader_has_left(reader, lane);
      uint32_t turn;
      while ((turn = arb_trace_reader_drain(reader, lane, events, 16384)) > 0) count += turn;
      if (has_left) arb_trace_reader_free(reader, lane);
    }
    sum += count;
    if (has_ended && count == 0) break;
    if (count == 0) arb_trace_reader_sleep(reader, 1000000);
  }
  if (sum == 0) fail("nothing was recorded");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argument_count, char **words) {
  is_smoke = argument_count == 3 && strcmp(words[1], "--smoke") == 0;
  if (argument_count != 2 && !is_smoke) {
    printf("usage: recording [--smoke] path/of/libarbiter-preload.so\n");
    return 2;
  }
  if (getenv("RECORDING_STAGE") != NULL) return measure();
  const char *library = words[argument_count - 1];
  if (access(library, R_OK) != 0) fail("the preload library cannot be read");
  /* The rate of the time-stamp counter only turns ticks into nanoseconds, which nobody reads. */
  ArbTraceParameters parameters = {.lane_count = 8, .ring_events = 1 << 16,
                                   .ticks_per_nanosecond = 2.5, .stale_ticks = 25000000000,
                                   .wait_ticks_max = 25000000000};
  ArbTraceMapping mapping;
  if (arb_trace_session_create(&parameters, &mapping) != 0) fail("a session cannot be made");
  ArbTraceReader *reader = arb_trace_reader_make(mapping.session);
  if (reader == NULL) fail("there is no memory");
  char variable[64];
  snprintf(variable, sizeof variable, "/proc/%d/fd/%d", (int)getpid(), mapping.descriptor);
  pid_t child = fork();
  if (child < 0) fail("no child can be started");
  if (child == 0) {
    setenv(ARB_ENVIRONMENT_TRACE, variable, 1);
    setenv("LD_PRELOAD", library, 1);
    setenv("RECORDING_STAGE", "measure", 1);
    execv("/proc/self/exe", words);
    _exit(127);
  }
  return drain(reader, child);
}
