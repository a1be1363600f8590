/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   controlled FILE PROFILE     eight threads write small pieces under the library's own controller
 *                               for a second; prints what the statistics say
 */
#include <arbiter.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS 8

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

struct part {
  arbiter_region *region;
  int index, bad;
  double until;
};

static void *writer(void *argument) {
  struct part *part = argument;
  arbiter_thread *thread = arbiter_attach(part->region, NULL);
  if (thread == NULL) {
    part->bad = 1;
    return NULL;
  }
  char line[64];
  memset(line, part->index, sizeof line);
  char *start = (char *)arbiter_address(part->region) + ((size_t)part->index << 20);
  for (size_t offset = 0; now() < part->until;) {
    for (int turn = 0; turn < 64; turn++, offset = (offset + 64) & 0xFFFFF) {
      part->bad |= arbiter_write(thread, start + offset, line, 64, ARBITER_NON_TEMPORAL);
    }
    arbiter_drain(thread);
  }
  arbiter_detach(thread);
  return NULL;
}

int main(int count, char **arguments) {
  if (count < 2) return 64;
  arbiter_options options = ARBITER_OPTIONS;
  options.profile = count > 2 ? arguments[2] : NULL;
  arbiter_error error;
  arbiter_runtime *runtime = arbiter_open(&options, &error);
  arbiter_region *region = runtime ? arbiter_map(runtime, arguments[1], 8 << 20, 0, &error) : NULL;
  if (region == NULL) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  pthread_t threads[THREADS];
  struct part parts[THREADS];
  int bad = 0;
  for (int index = 0; index < THREADS; index++) {
    parts[index] = (struct part){region, index, 0, now() + 1};
    if (pthread_create(&threads[index], NULL, writer, &parts[index]) != 0) return 1;
  }
  for (int index = 0; index < THREADS; index++) {
    pthread_join(threads[index], NULL);
    bad |= parts[index].bad;
  }
  arbiter_statistics statistics = {.struct_bytes = sizeof statistics};
  arbiter_read_statistics(runtime, &statistics);
  printf("%s %.3f %llu %llu\n", statistics.counter_source, statistics.write_amplification,
         (unsigned long long)statistics.wait_count, (unsigned long long)statistics.store_count);
  arbiter_unmap(region, NULL);
  arbiter_close(runtime);
  return bad;
}
