/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * writers FILE THREADS MILLISECONDS BYTES: threads that copy BYTES at a time to places of their own
 * through libpmem, for the given time. Prints how many copies they made.
 */
#include "check.h"

#include <fcntl.h>
#include <libpmem.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PART ((size_t)1 << 20)

static size_t bytes;
static double seconds;
static unsigned long total;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *write_on(void *part) {
  char *source = malloc(PART);
  CHECK(source != NULL);
  memset(source, 3, PART);
  unsigned long count = 0;
  size_t offset = 0;
  for (double end = now() + seconds; now() < end; count++) {
    pmem_memcpy((char *)part + offset, source, bytes, 0);
    offset = offset + 2 * bytes <= PART ? offset + bytes : 0;
  }
  __atomic_fetch_add(&total, count, __ATOMIC_RELAXED);
  free(source);
  return NULL;
}

int main(int count, char **words) {
  CHECK(count == 5);
  int threads = atoi(words[2]);
  seconds = atof(words[3]) / 1000;
  bytes = (size_t)atol(words[4]);
  CHECK(threads > 0 && threads <= 64 && bytes > 0 && bytes <= PART);
  int descriptor = open(words[1], O_RDWR | O_CREAT, 0600);
  CHECK(descriptor >= 0 && ftruncate(descriptor, (off_t)(PART * (size_t)threads)) == 0);
  char *mapped = mmap(NULL, PART * (size_t)threads, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor,
                      0);
  CHECK(mapped != MAP_FAILED);
  pthread_t ids[64];
  for (int thread = 0; thread < threads; thread++) {
    CHECK(pthread_create(&ids[thread], NULL, write_on, mapped + PART * (size_t)thread) == 0);
  }
  for (int thread = 0; thread < threads; thread++) pthread_join(ids[thread], NULL);
  printf("%lu\n", total);
  return 0;
}
