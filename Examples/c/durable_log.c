/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A log that several threads append to and that survives a crash: every record is made to survive
 * before the count that publishes it.
 *
 *   cc durable_log.c $(pkg-config --cflags --libs arbiter) -pthread -o durable_log
 *   ./durable_log /mnt/pmem/log [RECORDS] [THREADS]      run it twice: it goes on where it ended
 */
#include <arbiter.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_BYTES 256u
#define LANE_RECORDS 4096u /* room of each thread */
#define THREADS_MAX 16u

/* The beginning of each thread's part of the region; a media block of its own. */
struct lane {
  uint64_t count; /* records that are complete */
  uint64_t unused[31];
};

struct record {
  uint64_t number;
  uint64_t check;
  char text[RECORD_BYTES - 16];
};

struct writer {
  arbiter_region *region;
  unsigned index;
  uint64_t wanted;
  int32_t status;
};

static uint64_t check_of(const struct record *record) {
  uint64_t sum = 0xcbf29ce484222325u ^ record->number;
  for (size_t place = 0; place < sizeof record->text; place++) {
    sum = (sum ^ (unsigned char)record->text[place]) * 0x100000001b3u;
  }
  return sum;
}

static struct lane *lane_of(arbiter_region *region, unsigned index) {
  size_t bytes = sizeof(struct lane) + (size_t)LANE_RECORDS * RECORD_BYTES;
  return (struct lane *)((char *)arbiter_address(region) + index * bytes);
}

static struct record *records_of(struct lane *lane) { return (struct record *)(lane + 1); }

static void *append(void *argument) {
  struct writer *writer = argument;
  arbiter_error error;
  arbiter_thread *thread = arbiter_attach(writer->region, &error);
  if (thread == NULL) {
    fprintf(stderr, "%s\n", error.message);
    writer->status = error.code;
    return NULL;
  }
  struct lane *lane = lane_of(writer->region, writer->index);
  for (uint64_t done = 0; done < writer->wanted && lane->count < LANE_RECORDS; done++) {
    struct record record = {.number = lane->count};
    snprintf(record.text, sizeof record.text, "record %llu of thread %u",
             (unsigned long long)record.number, writer->index);
    record.check = check_of(&record);
    /* First the record survives, then the count that says so. */
    writer->status = arbiter_write(thread, &records_of(lane)[record.number], &record,
                                   sizeof record, ARBITER_PERSIST);
    if (writer->status == ARBITER_OK) {
      writer->status = arbiter_store_u64(thread, &lane->count, record.number + 1, ARBITER_PERSIST);
    }
    if (writer->status != ARBITER_OK) break;
  }
  arbiter_detach(thread);
  return NULL;
}

/* Counts the records that are there, and ends the program if one is damaged. */
static uint64_t verify(arbiter_region *region, unsigned threads) {
  uint64_t total = 0;
  for (unsigned index = 0; index < threads; index++) {
    struct lane *lane = lane_of(region, index);
    for (uint64_t number = 0; number < lane->count; number++) {
      const struct record *record = &records_of(lane)[number];
      if (number >= LANE_RECORDS || record->number != number ||
          record->check != check_of(record)) {
        fprintf(stderr, "record %llu of thread %u is damaged\n", (unsigned long long)number, index);
        exit(1);
      }
    }
    total += lane->count;
  }
  return total;
}

int main(int count, char **arguments) {
  if (count < 2) {
    fprintf(stderr, "usage: durable_log FILE [RECORDS] [THREADS]\n");
    return 64;
  }
  uint64_t records = count > 2 ? strtoull(arguments[2], NULL, 10) : 1000;
  unsigned threads = count > 3 ? (unsigned)strtoul(arguments[3], NULL, 10) : 4;
  if (threads < 1 || threads > THREADS_MAX) threads = 4;
  arbiter_error error;
  arbiter_runtime *runtime = arbiter_open(NULL, &error);
  arbiter_region *region = NULL;
  size_t bytes = THREADS_MAX * (sizeof(struct lane) + (size_t)LANE_RECORDS * RECORD_BYTES);
  if (runtime != NULL) region = arbiter_map(runtime, arguments[1], bytes, 0, &error);
  if (region == NULL) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  static const char *const granularities[] = {"byte", "cache line", "page", "volatile"};
  uint64_t before = verify(region, THREADS_MAX);
  pthread_t ids[THREADS_MAX];
  struct writer writers[THREADS_MAX];
  for (unsigned index = 0; index < threads; index++) {
    writers[index] = (struct writer){region, index, records, ARBITER_OK};
    if (pthread_create(&ids[index], NULL, append, &writers[index]) != 0) return 1;
  }
  int32_t status = ARBITER_OK;
  for (unsigned index = 0; index < threads; index++) {
    pthread_join(ids[index], NULL);
    if (writers[index].status != ARBITER_OK) status = writers[index].status;
  }
  arbiter_statistics statistics = {.struct_bytes = sizeof statistics};
  arbiter_read_statistics(runtime, &statistics);
  printf("store granularity: %s\n", granularities[arbiter_region_granularity(region)]);
  printf("records found: %llu, now: %llu, all whole\n", (unsigned long long)before,
         (unsigned long long)verify(region, THREADS_MAX));
  printf("stores: %llu, bytes: %llu, mean delay: %.0f ns\n",
         (unsigned long long)statistics.store_count, (unsigned long long)statistics.stored_bytes,
         statistics.delay_mean_nanoseconds);
  arbiter_unmap(region, NULL);
  arbiter_close(runtime);
  return status == ARBITER_OK ? 0 : 1;
}
