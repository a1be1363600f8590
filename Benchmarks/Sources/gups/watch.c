/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where the hot bytes of a running GUPS lie, as the kernel has it: nothing of what Arbiter says of
 * itself is used. With the file back-end slow memory is a mapping of a file and fast memory is
 * not; with NUMA nodes the kernel tells the node of each page.
 */
#define _GNU_SOURCE
#include "gups.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RANGES_MAX = 1 << 17, PAGES = 512 };

typedef struct {
  uint64_t start, bytes;
} Range;

/* What is hot since a moment. */
typedef struct {
  Range *ranges;
  uint64_t count, bytes, since;
  pid_t process;
  int number; /* 0: there is none yet */
  int is_over;
} Truth;

/* How a hot set got on. */
typedef struct {
  double reached; /* seconds until the goal; negative: not yet */
  double least;   /* percent since then */
  double last;    /* percent */
} Course;

typedef struct {
  const char *path;
  uint64_t fast_nodes; /* one bit each; 0: the file back-end */
  double goal, interval;
} Watching;

/* Reads what was appended since; an unfinished hot set waits for the next look. Range sets are
 * read into one array, which the newest takes over. */
static void read_truth(FILE *file, Truth *truth) {
  char line[128];
  for (;;) {
    long place = ftell(file);
    int process;
    uint64_t since, count = 0, bytes = 0;
    clearerr(file);
    int is_read = fgets(line, sizeof line, file) != NULL;
    if (is_read && strcmp(line, "over\n") == 0) truth->is_over = 1;
    if (!is_read || truth->is_over ||
        sscanf(line, "hot %d %" SCNu64, &process, &since) != 2) {
      fseek(file, place, SEEK_SET);
      return;
    }
    static Range ranges[RANGES_MAX];
    while (fgets(line, sizeof line, file) && strcmp(line, "end\n") != 0 && count < RANGES_MAX) {
      Range *range = &ranges[count];
      if (sscanf(line, "%" SCNx64 " %" SCNx64, &range->start, &range->bytes) != 2) break;
      bytes += range->bytes;
      count++;
    }
    if (strcmp(line, "end\n") != 0) {
      fseek(file, place, SEEK_SET);
      return;
    }
    memcpy(truth->ranges, ranges, count * sizeof *ranges);
    *truth = (Truth){truth->ranges, count, bytes, since, process, truth->number + 1, 0};
  }
}

/* Bytes of hot ranges in memory of no file, or -1 where the process is gone. */
static int64_t fast_by_mappings(const Truth *truth, unsigned *mappings) {
  char path[64], line[512];
  snprintf(path, sizeof path, "/proc/%d/maps", (int)truth->process);
  FILE *file = fopen(path, "re");
  if (!file) return -1;
  int64_t sum = 0;
  uint64_t range = 0, start, end;
  *mappings = 0;
  while (fgets(line, sizeof line, file)) {
    unsigned long long inode;
    char name[256] = "";
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %llu %255s", &start, &end, &inode,
               name) < 3) {
      continue;
    }
    ++*mappings;
    /* Shared anonymous memory has an inode too: that of a file which memory alone backs. */
    int is_fast = inode == 0 || strncmp(name, "/memfd:", 7) == 0 || strcmp(name, "/dev/zero") == 0;
    while (range < truth->count && truth->ranges[range].start < end) {
      const Range *hot = &truth->ranges[range];
      uint64_t hot_end = hot->start + hot->bytes;
      uint64_t from = hot->start > start ? hot->start : start, to = hot_end < end ? hot_end : end;
      if (is_fast && to > from) sum += (int64_t)(to - from);
      if (hot_end > end) break;
      range++;
    }
  }
  int is_there = *mappings > 0;
  fclose(file);
  return is_there ? sum : -1;
}

/* The same by the nodes of pages. */
static int64_t fast_by_nodes(const Truth *truth, uint64_t fast_nodes) {
  int64_t sum = 0;
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  for (uint64_t range = 0; range < truth->count; range++) {
    uint64_t at = truth->ranges[range].start, end = at + truth->ranges[range].bytes;
    while (at < end) {
      void *addresses[PAGES];
      int nodes[PAGES];
      unsigned count = 0;
      for (; count < PAGES && at < end; at += page) addresses[count++] = (void *)(uintptr_t)at;
      if (syscall(SYS_move_pages, truth->process, (long)count, addresses, NULL, nodes, 0) != 0) {
        if (errno == ESRCH) return -1;
        fail("the kernel does not tell the nodes of pages", strerror(errno));
      }
      for (unsigned index = 0; index < count; index++) {
        if (nodes[index] >= 0 && nodes[index] < 64 && (fast_nodes >> nodes[index] & 1)) {
          sum += (int64_t)page;
        }
      }
    }
  }
  return sum;
}

static void note(Course *course, double percent, double seconds, double goal) {
  course->last = percent;
  if (course->reached < 0) {
    if (percent < goal) return;
    course->reached = seconds;
    course->least = percent;
  }
  if (percent < course->least) course->least = percent;
}

/* What became of a hot set; 1 if it missed the goal. */
static int conclude(const Course *course, int number, double goal) {
  if (course->reached < 0) {
    printf("hot set %d: goal %.0f %% missed, last %.1f %%\n", number, goal, course->last);
  } else {
    printf("hot set %d: goal %.0f %% after %.2f s, then at least %.1f %%, last %.1f %%\n", number,
           goal, course->reached, course->least, course->last);
  }
  fflush(stdout);
  return course->reached < 0;
}

static int follow(const Watching *watching, FILE *file, Truth *truth) {
  int missed = 0, number = 0;
  uint64_t first = 0, printed = 0, waiting = now();
  Course course = {.reached = -1};
  for (;; usleep((useconds_t)(watching->interval * 1e6))) {
    read_truth(file, truth);
    uint64_t time = now();
    if (truth->is_over) break;
    if (truth->number == 0) {
      if (time - waiting > 600000000000u) fail("nobody says what is hot", watching->path);
      continue;
    }
    if (truth->number != number) {
      if (number > 0) missed |= conclude(&course, number, watching->goal);
      else first = truth->since;
      number = truth->number;
      course = (Course){.reached = -1};
    }
    unsigned mappings = 0;
    int64_t fast = watching->fast_nodes ? fast_by_nodes(truth, watching->fast_nodes)
                                        : fast_by_mappings(truth, &mappings);
    if (fast < 0) break;
    double percent = 100 * (double)fast / (double)truth->bytes;
    note(&course, percent, (double)(time - truth->since) / 1e9, watching->goal);
    if ((time - first) / 1000000000u < printed) continue;
    printed = (time - first) / 1000000000u + 1;
    printf("at %.2f s hot set %d fast %.1f %% mappings %u\n", (double)(time - first) / 1e9, number,
           percent, mappings);
    fflush(stdout);
  }
  return missed | conclude(&course, number, watching->goal);
}

static uint64_t nodes_of(const char *text) {
  uint64_t nodes = 0;
  for (char *end; *text; text = *end == ',' ? end + 1 : end) {
    unsigned long node = strtoul(text, &end, 10);
    if (end == text || node > 63 || (*end && *end != ',')) fail("not a list of nodes", text);
    nodes |= 1ull << node;
  }
  return nodes;
}

int watch(int count, char **words) {
  Watching watching = {.goal = 95, .interval = 0.25};
  for (int index = 1; index < count; index++) {
    const char *word = words[index];
    if (strncmp(word, "--goal=", 7) == 0) watching.goal = strtod(word + 7, NULL);
    else if (strncmp(word, "--interval=", 11) == 0) watching.interval = strtod(word + 11, NULL);
    else if (strncmp(word, "--fast-nodes=", 13) == 0) watching.fast_nodes = nodes_of(word + 13);
    else if (*word != '-' && !watching.path) watching.path = word;
    else fail("not an option (--help lists them)", word);
  }
  if (!watching.path) fail("watch needs the file that GUPS writes", "--truth");
  if (watching.interval < 0.01) fail("too short", "--interval");
  FILE *file = NULL;
  for (int look = 0; look < 6000 && !(file = fopen(watching.path, "re")); look++) usleep(10000);
  if (!file) fail("cannot be read", watching.path);
  Truth truth = {.ranges = calloc(RANGES_MAX, sizeof(Range))};
  if (!truth.ranges) fail("there is no memory for the truth", "");
  int code = follow(&watching, file, &truth);
  fclose(file);
  free(truth.ranges);
  return code;
}
