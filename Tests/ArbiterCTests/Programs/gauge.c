/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   gauge FILE SCHEME [PERMITS [PROFILE]]
 *
 * Eight threads write through copies that are gauged: the functions that really copy count how many
 * of them run at a time. Without PERMITS there are two.
 */
#include <arbiter_handles.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 8
#define WRITES 60
#define BYTES 20000

static int inside, inside_max;
static long copied;

static void gauged_move(void *target, const void *source, size_t byte_count) {
  int now = __atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
  int most = __atomic_load_n(&inside_max, __ATOMIC_SEQ_CST);
  while (now > most && !__atomic_compare_exchange_n(&inside_max, &most, now, 0, __ATOMIC_SEQ_CST,
                                                    __ATOMIC_SEQ_CST)) {
  }
  memmove(target, source, byte_count);
  usleep(50);
  __atomic_fetch_add(&copied, (long)byte_count, __ATOMIC_SEQ_CST);
  __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
}

struct part {
  arbiter_region *region;
  int index, bad;
};

static void *writer(void *argument) {
  struct part *part = argument;
  arbiter_thread *thread = arbiter_attach(part->region, NULL);
  if (thread == NULL) {
    part->bad = 1;
    return NULL;
  }
  unsigned char bytes[BYTES];
  memset(bytes, part->index + 1, sizeof bytes);
  char *target = (char *)arbiter_address(part->region) + part->index * 32768;
  for (int write = 0; write < WRITES; write++) {
    part->bad |= arbiter_write(thread, target, bytes, sizeof bytes, ARBITER_PERSIST) != ARBITER_OK;
    part->bad |= memcmp(target, bytes, sizeof bytes) != 0;
  }
  arbiter_detach(thread);
  return NULL;
}

int main(int count, char **arguments) {
  if (count < 3) return 64;
  arbiter_options options = ARBITER_OPTIONS;
  options.scheme = (arbiter_scheme)atoi(arguments[2]);
  options.permit_count = count > 3 ? (uint32_t)atoi(arguments[3]) : 2;
  if (count > 4) options.profile = arguments[4];
  arbiter_runtime *runtime = arbiter_open(&options, NULL);
  arbiter_region *region = runtime ? arbiter_map(runtime, arguments[1], 1 << 20, 0, NULL) : NULL;
  if (region == NULL) return 1;
  region->ops.move_stream = region->ops.move_cached = gauged_move;
  pthread_t threads[THREADS];
  struct part parts[THREADS];
  for (int index = 0; index < THREADS; index++) {
    parts[index] = (struct part){region, index, 0};
    if (pthread_create(&threads[index], NULL, writer, &parts[index]) != 0) return 1;
  }
  int bad = 0;
  for (int index = 0; index < THREADS; index++) {
    pthread_join(threads[index], NULL);
    bad |= parts[index].bad;
  }
  arbiter_statistics statistics = {.struct_bytes = sizeof statistics};
  arbiter_read_statistics(runtime, &statistics);
  bad |= copied != (long)THREADS * WRITES * BYTES;
  bad |= statistics.stored_bytes != (uint64_t)THREADS * WRITES * BYTES;
  printf("%d %u %llu\n", inside_max, statistics.permit_holders_max,
         (unsigned long long)statistics.direct_count);
  arbiter_unmap(region, NULL);
  arbiter_close(runtime);
  return bad;
}
