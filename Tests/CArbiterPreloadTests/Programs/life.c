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
#include <sys/time.h>
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

/* Writes over what calls left on the stack. */
static __attribute__((noinline)) void scribble(void) {
  volatile char bytes[8192];
  for (size_t place = 0; place < sizeof bytes; place++) bytes[place] = (char)0xA5;
}

static void every_two_milliseconds(void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  struct itimerval period = {{0, 2000}, {0, 2000}};
  CHECK(setitimer(ITIMER_REAL, &period, NULL) == 0);
}

static void stop_timer(void) {
  struct itimerval none = {{0, 0}, {0, 0}};
  CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
}

/* Threads that store as fast as they can and take no signals. */
static void start_crowd(pthread_t *threads) {
  sigset_t alarm, before;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  CHECK(pthread_sigmask(SIG_BLOCK, &alarm, &before) == 0);
  for (size_t index = 0; index < 3; index++) {
    CHECK(pthread_create(&threads[index], NULL, store_on, (void *)index) == 0);
  }
  CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

static void end_crowd(pthread_t *threads) {
  is_over = 1;
  for (int index = 0; index < 3; index++) CHECK(pthread_join(threads[index], NULL) == 0);
}

static volatile int may_jump;

static void jump_out_of_anything(int signal) {
  (void)signal;
  if (may_jump) siglongjmp(way_out, 1);
}

/* Limits calls by a timer whose handler jumps. Prints how many calls came to their end. */
static void time_out(void) {
  pthread_t threads[3];
  volatile int jumps = 0, completed = 0;
  store(4);
  start_crowd(threads);
  every_two_milliseconds(jump_out_of_anything);
  while (jumps < 300) {
    if (sigsetjmp(way_out, 1) == 0) {
      may_jump = 1;
      for (;;) {
        store(4);
        completed++;
      }
    }
    may_jump = 0;
    scribble();
    jumps++;
  }
  stop_timer();
  for (int turn = 0; turn < 1000; turn++) store(4);
  end_crowd(threads);
  printf("%d\n", completed + 1001);
}

static volatile int is_child;
static volatile int children;

static void fork_here(int signal) {
  (void)signal;
  pid_t child = fork();
  if (child == 0) is_child = 1;
  if (child > 0) children++;
}

/* Forks in a handler that interrupts stores, and goes on with them in the child. */
static void fork_in_handler(void) {
  pthread_t threads[3];
  store(4);
  start_crowd(threads);
  every_two_milliseconds(fork_here);
  while (children < 200 && !is_child) store(4);
  if (is_child) {
    alarm(30); /* a timer of its own: what hangs fails */
    CHECK(signal(SIGALRM, SIG_DFL) != SIG_ERR);
    for (int turn = 0; turn < 3; turn++) store(4);
    _exit(0);
  }
  stop_timer();
  for (int status, left = children; left > 0; left--) {
    CHECK(wait(&status) > 0 && status == 0);
  }
  end_crowd(threads);
}

static volatile int has_stored;

static void *store_while_cancelled(void *is_pending) {
  int ignored;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &ignored);
  *(volatile int *)is_pending = 1;
  while (*(volatile int *)is_pending == 1) usleep(100);
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &ignored);
  store(6); /* libpmem's copies are no place at which a thread is cancelled */
  has_stored++;
  pthread_testcancel();
  CHECK(!"a cancelled thread ends");
  return NULL;
}

static void cancel(void) {
  for (int turn = 0; turn < 20; turn++) {
    pthread_t thread;
    volatile int is_pending = 0;
    CHECK(pthread_create(&thread, NULL, store_while_cancelled, (void *)&is_pending) == 0);
    while (is_pending == 0) usleep(100);
    CHECK(pthread_cancel(thread) == 0);
    is_pending = 2;
    void *result;
    CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    CHECK(has_stored == turn + 1);
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
  } else if (strcmp(mode, "time-out") == 0) {
    time_out();
  } else if (strcmp(mode, "fork-in-handler") == 0) {
    fork_in_handler();
  } else if (strcmp(mode, "fences") == 0) {
    pmem_memset_persist(mapped, 1, 1000);
    pmem_memset_nodrain(mapped, 2, 1000);
    pmem_memset(mapped, 3, 64, PMEM_F_MEM_NOFLUSH);
    pmem_flush(mapped, 64);
    pmem_drain();
    pmem_persist(mapped, 64);
  } else if (strcmp(mode, "cancel") == 0) {
    cancel();
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
