/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * life MODE FILE: what programs do besides storing. Exit code 0 where all went as it should.
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <libpmem.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char *mapped;
static volatile int is_over;

static void store(size_t place) {
  char bytes[1000];
  memset(bytes, (int)place, sizeof bytes);
  errno = 77;
  pmem_memcpy_persist(mapped + place % 4096 * 1024, bytes, sizeof bytes);
  CHECK(errno == 77);
}

static void *store_on(void *place) {
  while (!is_over) {
    store((size_t)place);
    usleep(50);
  }
  return NULL;
}

static void *store_once(void *place) {
  store((size_t)place);
  return NULL;
}

static void fork_often(const char *own) {
  const char *text = getenv("LIFE_FORKS");
  int turns = text != NULL ? atoi(text) : 1000;
  pthread_t threads[2];
  for (size_t index = 0; index < 2; index++) {
    CHECK(pthread_create(&threads[index], NULL, store_on, (void *)index) == 0);
  }
  store(2);
  for (int turn = 0; turn < turns; turn++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      store(3 + (size_t)turn);
      if (turn % 50 == 0) execl("/bin/true", "true", (char *)NULL);
      if (turn % 50 == 1) execl(own, own, "once", getenv("LIFE_FILE"), (char *)NULL);
      if (turn % 2 == 0) _exit(0);
      exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
  }
  is_over = 1;
  for (int index = 0; index < 2; index++) pthread_join(threads[index], NULL);
}

static void make_many_threads(void) {
  for (size_t turn = 0; turn < 10000; turn++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, store_once, (void *)turn) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
  }
}

static void look_at_signals(void) {
  for (int signal = 1; signal < 32; signal++) {
    struct sigaction action;
    CHECK(sigaction(signal, NULL, &action) == 0);
    CHECK(action.sa_handler == SIG_DFL);
  }
  store(0);
  for (int signal = 1; signal < 32; signal++) {
    struct sigaction action;
    CHECK(sigaction(signal, NULL, &action) == 0);
    CHECK(action.sa_handler == SIG_DFL);
  }
}

static sigjmp_buf way_out;

static void jump_out(int signal) {
  (void)signal;
  siglongjmp(way_out, 1);
}

/* Stores beyond the end of the file, and leaves the copy by a jump, as checked accesses do. */
static void fault(void) {
  struct sigaction action = {.sa_handler = jump_out};
  CHECK(sigaction(SIGBUS, &action, NULL) == 0);
  for (int turn = 0; turn < 100; turn++) {
    if (sigsetjmp(way_out, 1) == 0) {
      pmem_memset_persist(mapped + (4 << 20), 1, 64);
      CHECK(0);
    }
    store((size_t)turn);
  }
}

static void *end_all(void *ignored) {
  (void)ignored;
  store(9);
  exit(0);
}

int main(int count, char **words) {
  CHECK(count == 3);
  const char *mode = words[1];
  int descriptor = open(words[2], O_RDWR | O_CREAT, 0600);
  CHECK(descriptor >= 0 && ftruncate(descriptor, 4 << 20) == 0);
  /* One page more than the file has. */
  mapped = mmap(NULL, (4 << 20) + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  CHECK(mapped != MAP_FAILED);
  setenv("LIFE_FILE", words[2], 1);
  if (strcmp(mode, "once") == 0) {
    store(1);
  } else if (strcmp(mode, "forks") == 0) {
    fork_often(words[0]);
  } else if (strcmp(mode, "threads") == 0) {
    make_many_threads();
  } else if (strcmp(mode, "signals") == 0) {
    look_at_signals();
  } else if (strcmp(mode, "close") == 0) {
    for (int number = 0; number < 1024; number++) close(number);
    for (size_t turn = 0; turn < 100; turn++) store(turn);
  } else if (strcmp(mode, "fault") == 0) {
    fault();
  } else if (strcmp(mode, "exit-in-thread") == 0) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, end_all, NULL) == 0);
    store_on((void *)5);
  } else if (strcmp(mode, "abrupt") == 0) {
    store(1);
    _exit(0);
  } else {
    CHECK(!"a known mode");
  }
  return 0;
}
