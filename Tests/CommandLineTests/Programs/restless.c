/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs that are hard to watch; each stores to a memory file all the time.
 *
 * restless store SECONDS   stores, and ends
 * restless exec COUNT      executes itself COUNT times, every 20 ms; the last stores to file `last`
 * restless forks COUNT [ROUNDS]    COUNT processes at a time, each ends after 10 ms of CPU time
 * restless threads COUNT           COUNT threads, each of which ends and is followed by another
 *
 * With ROUNDS it begins when it gets SIGUSR1; without it goes on until it is killed, or for 60 s.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 1 << 20 };

static char *map;

static void make_map(const char *name) {
  int descriptor = memfd_create(name, MFD_CLOEXEC);
  if (descriptor < 0 || ftruncate(descriptor, BYTES) != 0) exit(1);
  map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (map == MAP_FAILED) exit(1);
  close(descriptor);
}

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void store(clockid_t clock, double for_seconds) {
  volatile uint64_t *words = (uint64_t *)map;
  uint64_t place = 1;
  double end = seconds(clock) + for_seconds;
  while (seconds(clock) < end) {
    for (int turn = 0; turn < 5000; turn++) {
      place = place * 6364136223846793005ull + 1442695040888963407ull;
      words[place >> 47] = place;
    }
  }
}

static int run_exec(const char *file, int count) {
  char left[16];
  make_map(count > 0 ? "next" : "last");
  store(CLOCK_MONOTONIC, 0.02);
  if (count == 0) {
    store(CLOCK_PROCESS_CPUTIME_ID, 0.2);
    return 0;
  }
  snprintf(left, sizeof left, "%d", count - 1);
  execl(file, file, "exec", left, (char *)NULL);
  return 1;
}

static int run_forks(int count, int rounds) {
  sigset_t begin;
  int number;
  sigemptyset(&begin);
  sigaddset(&begin, SIGUSR1);
  sigprocmask(SIG_BLOCK, &begin, NULL);
  if (rounds > 0) sigwait(&begin, &number);
  for (int round = 0; rounds == 0 || round < rounds; round++) {
    for (int child = 0; child < count; child++) {
      pid_t process = fork();
      if (process < 0) return 1;
      if (process == 0) {
        store(CLOCK_PROCESS_CPUTIME_ID, 0.01);
        usleep(10000);
        _exit(0);
      }
    }
    for (int child = 0; child < count; child++) {
      if (wait(NULL) < 0) return 1;
    }
  }
  return 0;
}

static void *live_shortly(void *unused) {
  /* Most of them sleep: who watches has to get a processor, too. */
  store(CLOCK_THREAD_CPUTIME_ID, 0.0002);
  usleep(30000);
  return unused;
}

static void *live_again(void *unused) {
  for (;;) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, live_shortly, NULL) != 0) exit(1);
    pthread_join(thread, NULL);
  }
  return unused;
}

static int run_threads(int count) {
  for (int index = 0; index < count / 2; index++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, live_again, NULL) != 0) return 1;
    pthread_detach(thread);
  }
  for (;;) pause();
}

int main(int count, char **words) {
  if (count < 3) return 64;
  alarm(60);
  int number = atoi(words[2]);
  if (strcmp(words[1], "exec") == 0) return run_exec(words[0], number);
  make_map("all");
  if (strcmp(words[1], "store") == 0) store(CLOCK_MONOTONIC, atof(words[2]));
  if (strcmp(words[1], "forks") == 0) return run_forks(number, count > 3 ? atoi(words[3]) : 0);
  if (strcmp(words[1], "threads") == 0) return run_threads(number);
  return 0;
}
