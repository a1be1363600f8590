/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Threads and processes that write to one mapped file, a thousand words each and every thread to a
 * page of its own.
 *
 *   crowd threads FILE   eight threads, one after the other and together
 *   crowd fork FILE      the program, a child of fork, and a child that runs the program again
 *   crowd die FILE       the program, which then kills itself
 *   crowd wait FILE      the program, a hundred times, which then waits for a line of input
 *   crowd busy FILE      eight threads together, many times; prints their CPU time in ns
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGES 64
#define WORDS 1000

static char *map;

static void *write_page(void *page) {
  volatile uint32_t *words = (uint32_t *)(map + 4096 * (intptr_t)page);
  for (int index = 0; index < WORDS; index++) words[index] = (uint32_t)index;
  return NULL;
}

static int run_threads(void) {
  pthread_t threads[8];
  for (intptr_t index = 0; index < 4; index++) {
    if (pthread_create(&threads[index], NULL, write_page, (void *)index) != 0) return 1;
    pthread_join(threads[index], NULL);
  }
  for (intptr_t index = 4; index < 8; index++) {
    if (pthread_create(&threads[index], NULL, write_page, (void *)index) != 0) return 1;
  }
  for (int index = 4; index < 8; index++) pthread_join(threads[index], NULL);
  return 0;
}

static void *write_often(void *page) {
  for (int turn = 0; turn < 20000; turn++) write_page(page);
  return NULL;
}

static int run_busy(void) {
  pthread_t threads[8];
  for (intptr_t index = 0; index < 8; index++) {
    if (pthread_create(&threads[index], NULL, write_often, (void *)index) != 0) return 1;
  }
  for (int index = 0; index < 8; index++) pthread_join(threads[index], NULL);
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  printf("%lld\n", (long long)time.tv_sec * 1000000000 + time.tv_nsec);
  return 0;
}

static int run_processes(const char *self, const char *path) {
  write_page((void *)0);
  pid_t child = fork();
  if (child == 0) {
    write_page((void *)1);
    _exit(0);
  }
  pid_t other = fork();
  if (other == 0) {
    execl(self, self, "die", path, (char *)NULL);
    _exit(1);
  }
  int status, other_status;
  if (waitpid(child, &status, 0) != child || waitpid(other, &other_status, 0) != other) return 1;
  write_page((void *)2);
  return status != 0;
}

int main(int count, char **words) {
  if (count != 3) return 2;
  int file = open(words[2], O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, PAGES * 4096) != 0) return 1;
  map = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (map == MAP_FAILED) return 1;
  if (strcmp(words[1], "threads") == 0) return run_threads();
  if (strcmp(words[1], "busy") == 0) return run_busy();
  if (strcmp(words[1], "fork") == 0) return run_processes(words[0], words[2]);
  write_page((void *)3);
  if (strcmp(words[1], "die") == 0) kill(getpid(), SIGKILL);
  /* The last runs of a thread that goes on stay with it. */
  for (int turn = 1; turn < 100; turn++) write_page((void *)3);
  puts("written");
  fflush(stdout);
  char line[16];
  return fgets(line, sizeof line, stdin) == NULL;
}
