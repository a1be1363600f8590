/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * stress FILE: linked with the sources of the preload library and a sanitizer. Threads store,
 * forget mappings, come and go, and fork, all at once.
 */
#include "check.h"

#include <libpmem.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define PART ((size_t)1 << 16)

static char *mapped;

static void *store(void *number) {
  char *part = mapped + PART * (size_t)number;
  char source[3000];
  memset(source, (int)(size_t)number, sizeof source);
  for (size_t turn = 0; turn < 400; turn++) {
    size_t size = turn * 37 % sizeof source;
    pmem_memcpy_persist(part + turn, source, size);
    pmem_memmove(part + turn + 100, part + turn, size, PMEM_F_MEM_NODRAIN);
    pmem_memset_nodrain(part + 8192, (int)turn, size);
    pmem_flush(part, size);
    pmem_drain();
    pmem_persist(part + 8192, size);
  }
  return NULL;
}

static void *forget(void *path) {
  for (int turn = 0; turn < 50; turn++) {
    size_t size;
    void *other = pmem_map_file(path, 0, 0, 0, &size, NULL);
    CHECK(other != NULL);
    pmem_memset_persist((char *)other + PART * THREADS, turn, 100);
    CHECK(pmem_unmap(other, size) == 0);
  }
  return NULL;
}

int main(int count, char **words) {
  CHECK(count == 2);
  mapped = pmem_map_file(words[1], PART * (THREADS + 1), PMEM_FILE_CREATE, 0600, NULL, NULL);
  CHECK(mapped != NULL);
  pthread_t threads[THREADS], other;
  for (int round = 0; round < 3; round++) {
    for (size_t number = 0; number < THREADS; number++) {
      CHECK(pthread_create(&threads[number], NULL, store, (void *)number) == 0);
    }
    CHECK(pthread_create(&other, NULL, forget, words[1]) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      pmem_memset_persist(mapped + PART * THREADS + 4096, 1, 100);
      _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    for (int number = 0; number < THREADS; number++) pthread_join(threads[number], NULL);
    pthread_join(other, NULL);
  }
  return 0;
}
