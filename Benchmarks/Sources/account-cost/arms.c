/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "arms.h"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* The default period of `arbiter account`, and the other that is measured. */
#define DEFAULT_NANOSECONDS 4000000
#define FAST_NANOSECONDS 100000
#define REDIS "/usr/bin/redis-check-rdb"

const Work works[WORK_COUNT] = {
    {"random stores to 512 KiB", 0, 150000000, 1},
    {"random stores to 64 MiB", 64, 30000000, 1},
    {"stores one after the other, 64 MiB", 64, 500000000, 0},
    {"Redis answering requests", 0, 150000, -1},
};

void fail(const char *reason) {
  printf("account-cost: invalid, %s\n", reason);
  exit(1);
}

static double seconds_of(struct timeval time) {
  return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

/* --- Bare timers ------------------------------------------------------------------------------ */

static uint64_t bare_nanoseconds(Arm arm) {
  if (arm == ARM_BARE_DEFAULT) return DEFAULT_NANOSECONDS;
  return arm == ARM_BARE_FAST ? FAST_NANOSECONDS : 0;
}

/* The timer of a sampled clock that is of no use: neither user nor kernel mode is to be sampled. */
static void open_bare(pid_t process, uint64_t period, int *descriptors) {
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  for (int processor = 0; processor < processors && processor < 64; processor++) {
    struct perf_event_attr event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.type = PERF_TYPE_SOFTWARE;
    event.config = PERF_COUNT_SW_CPU_CLOCK;
    event.sample_type = PERF_SAMPLE_IP;
    event.sample_period = period;
    event.exclude_kernel = event.exclude_user = event.exclude_hv = 1;
    descriptors[processor] =
        (int)syscall(SYS_perf_event_open, &event, process, processor, -1, PERF_FLAG_FD_CLOEXEC);
    if (descriptors[processor] < 0) fail("a timer cannot be opened");
  }
}

static void close_bare(const int *descriptors) {
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  for (int processor = 0; processor < processors && processor < 64; processor++) {
    close(descriptors[processor]);
  }
}

/* --- Stores ----------------------------------------------------------------------------------- */

static double cpu_seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int run_work(char **words) {
  uint64_t bytes = strtoull(words[2], NULL, 10) << 20, turns = strtoull(words[3], NULL, 10);
  if (bytes == 0) bytes = 512 << 10;
  int descriptors[64];
  uint64_t period = strtoull(words[5], NULL, 10);
  if (period > 0) open_bare(0, period, descriptors);
  volatile uint64_t *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (map == MAP_FAILED) return 1;
  uint64_t state = 88172645463325252ull, mask = bytes / 8 - 1;
  int is_random = strcmp(words[4], "random") == 0;
  double began = cpu_seconds();
  if (is_random) {
    for (uint64_t turn = 0; turn < turns; turn++) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      map[state & mask] = state;
    }
  } else {
    for (uint64_t turn = 0; turn < turns; turn++) map[turn & mask] = turn;
  }
  double work = cpu_seconds() - began;
  /* What its end costs must not look like the tool's. */
  munmap((void *)map, bytes);
  printf("%.9f %.9f\n", work, cpu_seconds());
  return 0;
}

static pid_t spawn(const char *const *words, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  pid_t process;
  const char *file = strcmp(words[0], "redis-server") == 0 ? REDIS : words[0];
  if (posix_spawnp(&process, file, &actions, NULL, (char *const *)words, environ) != 0) {
    fail("a program cannot be started");
  }
  posix_spawn_file_actions_destroy(&actions);
  return process;
}

static int ended_well(pid_t process, struct rusage *usage) {
  int status = 1;
  return wait4(process, &status, 0, usage) == process && status == 0;
}

/* --- The tool --------------------------------------------------------------------------------- */

static char answer[64];

static long number_after(const char *text, const char *name) {
  const char *found = strstr(text, name);
  if (!found) fail("the account lacks a figure");
  return strtol(strchr(found, ':') + 1, NULL, 10);
}

static void read_answer(Outcome *outcome) {
  static char text[1 << 20];
  FILE *file = fopen(answer, "r");
  if (!file) fail("there is no account");
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  outcome->samples = number_after(text, "\"samples_count\"");
  outcome->lost = number_after(text, "\"lost_count\"");
  unlink(answer);
}

/* The words of the tool up to what it watches; returns how many there are. */
static int tool_words(const char **words, const char *tool, Arm arm) {
  int count = 0;
  snprintf(answer, sizeof answer, "/dev/shm/arbiter-account-cost-%d", (int)getpid());
  words[count++] = tool;
  words[count++] = "account";
  words[count++] = "--quiet";
  words[count++] = "--back-end=timer";
  words[count++] = "--format=json";
  words[count++] = "--output";
  words[count++] = answer;
  if (arm == ARM_FAST) words[count++] = "--period=100us";
  return count;
}

/* --- Arms ------------------------------------------------------------------------------------- */

static int is_tool(Arm arm) { return arm == ARM_DEFAULT || arm == ARM_FAST; }

static Outcome run_stores(const Work *work, Arm arm, const char *tool) {
  char mebibytes[24], turns[24], period[24], self[4096], text[64];
  const char *words[24];
  Outcome outcome = {0};
  ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
  int ends[2];
  if (size < 0 || pipe2(ends, O_CLOEXEC) != 0) fail("there is no pipe");
  self[size] = 0;
  snprintf(mebibytes, sizeof mebibytes, "%lu", work->mebibytes);
  snprintf(turns, sizeof turns, "%lu", work->turns);
  snprintf(period, sizeof period, "%llu", (unsigned long long)bare_nanoseconds(arm));
  int count = is_tool(arm) ? tool_words(words, tool, arm) : 0;
  if (count > 0) words[count++] = "--";
  const char *program[] = {
      self, "work", mebibytes, turns, work->is_random ? "random" : "next", period, NULL};
  memcpy(words + count, program, sizeof program);
  pid_t process = spawn(words, ends[1]);
  close(ends[1]);
  size_t filled = 0;
  ssize_t got;
  while ((got = read(ends[0], text + filled, sizeof text - 1 - filled)) > 0) filled += (size_t)got;
  close(ends[0]);
  text[filled] = 0;
  struct rusage usage;
  double all = 0;
  if (!ended_well(process, &usage)) fail("the watched program fails");
  if (sscanf(text, "%lf %lf", &outcome.program_seconds, &all) != 2) fail("it says no times");
  if (is_tool(arm)) {
    /* The tool has waited for the program, whose time is in its own. */
    outcome.tool_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime) - all;
    read_answer(&outcome);
  }
  return outcome;
}

static pid_t redis;
static char folder[] = "/dev/shm/arbiter-account-cost-XXXXXX", socket_path[64];

static void end_redis(void) {
  kill(redis, SIGKILL);
  waitpid(redis, NULL, 0);
  unlink(socket_path);
  rmdir(folder);
}

static void start_redis(int null) {
  if (redis > 0) return;
  if (!mkdtemp(folder)) fail("there is no folder");
  snprintf(socket_path, sizeof socket_path, "%s/socket", folder);
  const char *words[] = {"redis-server", "--port", "0", "--unixsocket", socket_path, "--save", "",
                         "--appendonly", "no", "--dir", folder, NULL};
  redis = spawn(words, null);
  atexit(end_redis);
  for (int look = 0; look < 200 && access(socket_path, F_OK) != 0; look++) usleep(50000);
}

/* The CPU time of the server's main thread, which does all the work here. */
static double redis_seconds(void) {
  char path[64];
  unsigned long long nanoseconds = 0;
  snprintf(path, sizeof path, "/proc/%d/schedstat", (int)redis);
  FILE *file = fopen(path, "r");
  if (!file || fscanf(file, "%llu", &nanoseconds) != 1) fail("the server has ended");
  fclose(file);
  return (double)nanoseconds * 1e-9;
}

static Outcome run_redis(const Work *work, Arm arm, const char *tool) {
  char turns[24], process[24];
  const char *words[24];
  int descriptors[64];
  Outcome outcome = {0};
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  start_redis(null);
  pid_t watcher = 0;
  if (is_tool(arm)) {
    int count = tool_words(words, tool, arm);
    snprintf(process, sizeof process, "-p%d", (int)redis);
    words[count++] = "-p";
    words[count++] = process + 2;
    words[count] = NULL;
    watcher = spawn(words, null);
    /* It says nothing when it has begun; what it does not see yet costs nothing. */
    usleep(400000);
  } else if (bare_nanoseconds(arm) > 0) {
    open_bare(redis, bare_nanoseconds(arm), descriptors);
  }
  snprintf(turns, sizeof turns, "%lu", work->turns);
  /* One client and fixed batches: how many requests come together must not depend on who watches. */
  const char *load[] = {"redis-benchmark", "-s", socket_path, "-t", "set", "-d", "1000", "-c", "1",
                        "-P", "32", "-r", "1000", "-q", "-n", turns, NULL};
  double began = redis_seconds();
  if (!ended_well(spawn(load, null), NULL)) fail("the load meets an error");
  outcome.program_seconds = redis_seconds() - began;
  if (watcher > 0) {
    struct rusage usage;
    kill(watcher, SIGINT);
    if (!ended_well(watcher, &usage)) fail("the account of the server fails");
    outcome.tool_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    read_answer(&outcome);
  } else if (bare_nanoseconds(arm) > 0) {
    close_bare(descriptors);
  }
  close(null);
  return outcome;
}

int can_run(const Work *work) { return work->is_random >= 0 || access(REDIS, X_OK) == 0; }

Outcome run_arm(const Work *work, Arm arm, const char *tool) {
  return work->is_random >= 0 ? run_stores(work, arm, tool) : run_redis(work, arm, tool);
}
