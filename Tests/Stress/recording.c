/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What befalls a recording: threads that are faster than the reader, that end, fork, are killed in
 * the middle of a run, or whose reader dies; sessions that somebody wrote nonsense into.
 *
 *   recording [THREADS EVENTS]
 */
#define _GNU_SOURCE
#include "CArbiterRecord.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TICKS 2.5
#define SECOND ((int64_t)2500000000)
#define BATCH 1000

static void check_at(int holds, const char *what, int line) {
  if (holds) return;
  fprintf(stderr, "recording: FAILED: %s (line %d)\n", what, line);
  _exit(1);
}
#define check(holds, what) check_at(holds, what, __LINE__)

static ArbTraceMapping make_session(uint32_t lanes, uint32_t events) {
  ArbTraceParameters parameters = {.lane_count = lanes, .ring_events = events,
                                   .ticks_per_nanosecond = TICKS, .stale_ticks = 10 * SECOND,
                                   .wait_ticks_max = 10 * SECOND};
  ArbTraceMapping mapping;
  check(arb_trace_session_create(&parameters, &mapping) == 0, "a session is made");
  return mapping;
}

/* --- Many threads, a slow reader -------------------------------------------------------------- */

typedef struct {
  ArbTraceSession *session;
  uint32_t number, events;
} Work;

/* Event i of thread t: offset i, length t + 1. */
static void *produce(void *argument) {
  Work *work = argument;
  ArbRecorder recorder;
  check(arb_recorder_attach(&recorder, work->session, ARB_TRACE_FROM_WORKLOAD) == 0, "a lane");
  for (uint32_t index = 0; index < work->events; index++) {
    int64_t start = arb_recorder_now(&recorder);
    ArbTraceEvent event = {.start = (uint64_t)start, .offset = index, .operation = ARB_TRACE_STORE,
                           .length = work->number + 1, .count = 1};
    event.span = arb_trace_span(start, arb_recorder_now(&recorder));
    arb_recorder_append(&recorder, &event);
  }
  /* Half of the threads end without a word. */
  if (work->number % 2 == 0) arb_recorder_detach(&recorder);
  return NULL;
}

/* Drains all lanes once; checks that each thread's events come whole and in order. Returns how many
 * came, and counts threads that have left. */
static uint64_t drain(ArbTraceReader *reader, uint32_t *next, uint32_t *left_count) {
  static ArbTraceEvent events[BATCH];
  uint64_t sum = 0;
  arb_trace_reader_beat(reader);
  for (uint32_t lane = 0; lane < arb_trace_reader_lanes_used(reader); lane++) {
    ArbTraceLaneGlance glance;
    arb_trace_reader_glance(reader, lane, &glance);
    if (!glance.is_used) continue;
    int has_left = arb_trace_reader_has_left(reader, lane);
    uint32_t count;
    uint64_t last_start = 0;
    while ((count = arb_trace_reader_drain(reader, lane, events, BATCH)) > 0) {
      for (uint32_t index = 0; index < count; index++) {
        uint32_t thread = events[index].length - 1;
        check(events[index].offset == next[thread], "events come in order and none is missing");
        check(events[index].start >= last_start, "time does not run backwards");
        last_start = events[index].start;
        next[thread]++;
      }
      sum += count;
      if (!has_left) break;
    }
    if (!has_left) continue;
    check(glance.lost_count == 0, "nothing is lost");
    arb_trace_reader_free(reader, lane);
    ++*left_count;
  }
  return sum;
}

static void outrun_the_reader(uint32_t threads, uint32_t each) {
  ArbTraceMapping mapping = make_session(threads, 256);
  ArbTraceReader *reader = arb_trace_reader_make(mapping.session);
  check(reader != NULL, "a reader");
  pthread_t *workers = calloc(threads, sizeof *workers);
  Work *works = calloc(threads, sizeof *works);
  uint32_t *next = calloc(threads, sizeof *next);
  /* Twice, so that lanes are taken again. */
  for (int round = 0; round < 2; round++) {
    memset(next, 0, threads * sizeof *next);
    for (uint32_t index = 0; index < threads; index++) {
      works[index] = (Work){mapping.session, index, each};
      check(pthread_create(&workers[index], NULL, produce, &works[index]) == 0, "a thread");
    }
    uint32_t left = 0;
    while (left < threads) {
      if (drain(reader, next, &left) == 0) arb_trace_reader_sleep(reader, 1000000);
    }
    for (uint32_t index = 0; index < threads; index++) {
      pthread_join(workers[index], NULL);
      check(next[index] == each, "every event of every thread has come");
    }
  }
  check(arb_trace_reader_refused_threads(reader) == 0, "no thread is refused");
  free(workers);
  free(works);
  free(next);
  arb_trace_reader_dispose(reader);
  arb_trace_session_close(&mapping);
}

/* --- Runs ------------------------------------------------------------------------------------- */

static void access_at(ArbRunState *run, ArbRecorder *recorder, uint32_t operation, uint32_t length,
                      uint64_t address) {
  uint64_t key = ARB_RUN_KEY(operation, length);
  if (!arb_run_continue(run, key, address)) arb_run_begin(run, recorder, key, address);
}

/* All of what one thread did, in one go; the thread has ended. */
static uint32_t take_all(ArbTraceMapping *mapping, ArbTraceEvent *events, uint32_t capacity) {
  ArbTraceReader *reader = arb_trace_reader_make(mapping->session);
  check(reader != NULL, "a reader");
  check(arb_trace_reader_has_left(reader, 0), "the thread has left");
  uint32_t count = arb_trace_reader_drain(reader, 0, events, capacity);
  arb_trace_reader_free(reader, 0);
  arb_trace_reader_dispose(reader);
  return count;
}

static void *make_runs(void *argument) {
  ArbTraceMapping *mapping = argument;
  ArbRecorder recorder;
  ArbRunState run = {.range_start = 1000, .range_bytes = 8000, .range_offset = 500, .region = 3};
  check(arb_recorder_attach(&recorder, mapping->session, ARB_TRACE_FROM_HOOKS) == 0, "a lane");
  for (int index = 0; index < 500; index++) {
    access_at(&run, &recorder, ARB_TRACE_STORE, 8, 1000 + 8 * (uint64_t)index);
  }
  for (int index = 0; index < 100; index++) {
    access_at(&run, &recorder, ARB_TRACE_LOAD, 4, 8996 - 16 * (uint64_t)index);
  }
  access_at(&run, &recorder, ARB_TRACE_STORE, 1, 1000);
  /* The last two are one run, which is never handed over. */
  access_at(&run, &recorder, ARB_TRACE_STORE, 2, 1100);
  access_at(&run, &recorder, ARB_TRACE_STORE, 2, 1102);
  return NULL;
}

static void merge_runs(void) {
  ArbTraceMapping mapping = make_session(1, 64);
  pthread_t worker;
  check(pthread_create(&worker, NULL, make_runs, &mapping) == 0, "a thread");
  pthread_join(worker, NULL);
  ArbTraceEvent events[64];
  uint32_t count = take_all(&mapping, events, 64);
  /* A pause splits a run; without one there are four. */
  struct {
    uint64_t accesses, first;
  } sums[9] = {{0, 0}};
  for (uint32_t index = 0; index < count; index++) {
    check(events[index].region == 3, "the region is the range's");
    if (sums[events[index].length].accesses == 0) {
      sums[events[index].length].first = events[index].offset;
    }
    sums[events[index].length].accesses += events[index].count;
  }
  check(count >= 4 && count < 12, "runs are merged");
  check(sums[8].accesses == 500 && sums[8].first == 500, "the run that goes up");
  check(sums[4].accesses == 100 && sums[4].first == 8496, "the run that goes down");
  check(sums[1].accesses == 1 && sums[1].first == 500, "the single access");
  check(sums[2].accesses == 2 && sums[2].first == 600, "the run that was never handed over");
  arb_trace_session_close(&mapping);
}

/* --- Deaths ----------------------------------------------------------------------------------- */

/* A process that is killed in the middle of a run: all that it did is there. */
static void kill_the_writer(void) {
  ArbTraceMapping mapping = make_session(4, 1024);
  int pipes[2];
  check(pipe(pipes) == 0, "a pipe");
  pid_t child = fork();
  if (child == 0) {
    ArbRecorder recorder;
    ArbRunState run = {.range_start = 4096, .range_bytes = 1 << 20};
    if (arb_recorder_attach(&recorder, mapping.session, ARB_TRACE_FROM_HOOKS) != 0) _exit(1);
    for (uint64_t index = 0; index < 700; index++) {
      access_at(&run, &recorder, index % 2 == 0 ? ARB_TRACE_STORE : ARB_TRACE_LOAD, 8,
                4096 + index * 8);
    }
    for (uint64_t index = 0; index < 1000; index++) {
      access_at(&run, &recorder, ARB_TRACE_STORE, 16, 4096 + index * 16);
    }
    if (write(pipes[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char byte;
  check(read(pipes[0], &byte, 1) == 1, "the writer is done");
  kill(child, SIGKILL);
  int status;
  check(waitpid(child, &status, 0) == child, "the writer is dead");
  ArbTraceEvent events[1024];
  uint32_t count = take_all(&mapping, events, 1024);
  uint64_t accesses = 0;
  for (uint32_t index = 0; index < count; index++) accesses += events[index].count;
  check(accesses == 1700, "every access of a killed process is there");
  close(pipes[0]);
  close(pipes[1]);
  arb_trace_session_close(&mapping);
}

static double now_seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* A reader that dies: threads that wait for room go on at once, and count what they lose. */
static void kill_the_reader(void) {
  int pipes[2];
  check(pipe(pipes) == 0, "a pipe");
  pid_t child = fork();
  if (child == 0) {
    ArbTraceMapping mapping = make_session(2, 64);
    if (write(pipes[1], &mapping.descriptor, sizeof mapping.descriptor) < 0) _exit(1);
    for (;;) pause();
  }
  int descriptor;
  check(read(pipes[0], &descriptor, sizeof descriptor) == sizeof descriptor, "a descriptor");
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)child, descriptor);
  ArbTraceMapping mapping;
  check(arb_trace_session_open(path, &mapping) == 0, "another process opens the session");
  ArbRecorder recorder;
  check(arb_recorder_attach(&recorder, mapping.session, ARB_TRACE_FROM_WORKLOAD) == 0, "a lane");
  kill(child, SIGKILL);
  int status;
  check(waitpid(child, &status, 0) == child, "the reader is dead");
  double began = now_seconds();
  ArbTraceEvent event = {.operation = ARB_TRACE_FENCE, .count = 1};
  for (int index = 0; index < 10064; index++) arb_recorder_append(&recorder, &event);
  check(now_seconds() - began < 2, "nobody waits for a dead reader");
  check(recorder.lane->lost_count == 10000, "what does not fit is counted");
  check(mapping.session->is_ended == 1, "the session is known to have ended");
  arb_recorder_detach(&recorder);
  close(pipes[0]);
  close(pipes[1]);
  arb_trace_session_close(&mapping);
}

/* --- Nonsense --------------------------------------------------------------------------------- */

static void refuse_nonsense(void) {
  ArbTraceMapping mapping;
  check(arb_trace_session_open("/dev/null", &mapping) == -EPROTO, "no file is no session");
  check(arb_trace_session_open("/nowhere/at/all", &mapping) == -ENOENT, "nor is none");
  ArbTraceMapping good = make_session(4, 64);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", good.descriptor);
  check(arb_trace_session_open(path, &mapping) == 0, "a session can be opened");
  arb_trace_session_close(&mapping);
  uint32_t *fields[] = {&good.session->version, &good.session->lane_count,
                        &good.session->ring_events};
  for (size_t index = 0; index < sizeof fields / sizeof *fields; index++) {
    uint32_t was = *fields[index];
    for (uint32_t wrong = 0; wrong < 3; wrong++) {
      *fields[index] = (const uint32_t[]){0, was + 1, UINT32_MAX}[wrong];
      check(arb_trace_session_open(path, &mapping) == -EPROTO, "wrong sizes are refused");
    }
    *fields[index] = was;
  }
  /* Whoever can be cut short would be a SIGBUS in every program. */
  int loose = memfd_create("loose", MFD_CLOEXEC);
  check(ftruncate(loose, (off_t)good.session->byte_count) == 0, "a file");
  check(pwrite(loose, good.session, 4096, 0) == 4096, "its header");
  snprintf(path, sizeof path, "/proc/self/fd/%d", loose);
  check(arb_trace_session_open(path, &mapping) == -EPROTO, "an unsealed file is refused");
  close(loose);
  arb_trace_session_close(&good);
}

/* A program that writes nonsense over its session does not disturb the reader. */
static void survive_nonsense(void) {
  ArbTraceMapping mapping = make_session(8, 64);
  ArbTraceReader *reader = arb_trace_reader_make(mapping.session);
  check(reader != NULL, "a reader");
  unsigned seed = 1;
  static ArbTraceEvent events[BATCH];
  for (int turn = 0; turn < 2000; turn++) {
    ArbTraceLane *lane = arb_trace_lane(mapping.session, (uint32_t)turn % 8);
    ArbTraceEvent *ring = arb_trace_ring(mapping.session, (uint32_t)turn % 8);
    for (size_t byte = 0; byte < 64 * sizeof *ring; byte++) {
      ((unsigned char *)ring)[byte] = (unsigned char)rand_r(&seed);
    }
    lane->head = turn % 3 == 0 ? (uint64_t)rand_r(&seed) << 33 : lane->tail + 17;
    lane->use = ARB_TRACE_LANE_USED;
    lane->source = (uint32_t)rand_r(&seed);
    mapping.session->lanes_used = turn % 2 == 0 ? UINT32_MAX : 8;
    for (uint32_t index = 0; index < arb_trace_reader_lanes_used(reader); index++) {
      ArbTraceLaneGlance glance;
      arb_trace_reader_glance(reader, index, &glance);
      uint32_t count = arb_trace_reader_drain(reader, index, events, BATCH);
      for (uint32_t event = 0; event < count; event++) {
        check(arb_trace_event_is_sound(&events[event]), "nothing unsound is handed out");
      }
    }
  }
  arb_trace_reader_dispose(reader);
  arb_trace_session_close(&mapping);
}

/* --- Regions ---------------------------------------------------------------------------------- */

static int32_t found[4][300];

static void *find_regions(void *argument) {
  Work *work = argument;
  for (uint32_t index = 0; index < 300; index++) {
    uint64_t identity = (index + work->number * 50) % 300;
    found[work->number][identity] = arb_trace_region_find(
        work->session, ARB_TRACE_REGION_FILE, 8, identity, "file", identity + 1);
  }
  return NULL;
}

static void number_regions(void) {
  ArbTraceMapping mapping = make_session(1, 64);
  pthread_t workers[4];
  Work works[4];
  for (uint32_t index = 0; index < 4; index++) {
    works[index] = (Work){mapping.session, index, 0};
    check(pthread_create(&workers[index], NULL, find_regions, &works[index]) == 0, "a thread");
  }
  for (int index = 0; index < 4; index++) pthread_join(workers[index], NULL);
  uint32_t none = 0;
  for (int index = 0; index < 300; index++) {
    for (int thread = 1; thread < 4; thread++) {
      check(found[thread][index] == found[0][index], "all threads number a file alike");
    }
    none += found[0][index] == ARB_TRACE_NO_REGION;
  }
  check(none == 300 - ARB_TRACE_REGION_COUNT, "there are as many regions as numbers");
  arb_trace_session_close(&mapping);
}

int main(int count, char **words) {
  uint32_t threads = count > 1 ? (uint32_t)atoi(words[1]) : 8;
  uint32_t each = count > 2 ? (uint32_t)atoi(words[2]) : 100000;
  alarm(300);
  outrun_the_reader(threads, each);
  merge_runs();
  kill_the_writer();
  kill_the_reader();
  refuse_nonsense();
  survive_nonsense();
  number_regions();
  printf("recording: %u threads of %u events, runs, deaths, nonsense and regions: ok\n", threads,
         each);
  return 0;
}
