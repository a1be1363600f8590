/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Forks in all forms, by a program whose memory is being moved. Parent and children write to their
 * own copies and see nothing of each other's; prints a checksum of all that was read back.
 *
 *   family MODE SEED ROUNDS */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "memory.h"

#define BYTES MIB(16)

static void finish(pid_t child) {
  int status;
  while (waitpid(child, &status, 0) < 0) CHECK(errno == EINTR);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The child's sums reach the parent by a pipe, so that they are part of the checksum. */
static void child_reports(int pipe_end, Block block, uint64_t value, int turns) {
  for (int turn = 0; turn < turns; turn++) {
    note(block);
    fill((Block){block.bytes + PAGES(draw() % (BYTES / 2)), BYTES / 4}, value + (uint64_t)turn);
    pause_briefly();
  }
  note(block);
  CHECK(write(pipe_end, &checksum, sizeof checksum) == sizeof checksum);
}

static void take_report(int pipe_end) {
  uint64_t sum;
  CHECK(read(pipe_end, &sum, sizeof sum) == sizeof sum);
  checksum = (checksum << 13 | checksum >> 51) ^ sum;
}

typedef enum { BY_FORK, BY_FORK_RAW, BY_CLONE, BY_SYSCALL } Way;

typedef struct {
  int pipe_end;
  Block block;
  uint64_t value;
} Task;

static int run_task(void *argument) {
  Task *task = argument;
  child_reports(task->pipe_end, task->block, task->value, 4);
  _exit(0);
}

static pid_t start(Way way, Task *task) {
  static char stack[65536] __attribute__((aligned(16)));
  if (way == BY_CLONE) return clone(run_task, stack + sizeof stack, SIGCHLD, task);
  pid_t child = way == BY_FORK ? fork() : way == BY_FORK_RAW ? _Fork() : (pid_t)syscall(SYS_fork);
  if (child == 0) run_task(task);
  return child;
}

static void fork_by(Way way) {
  Block block = make(BYTES, MAP_PRIVATE);
  fill(block, draw());
  for (int turn = 0; turn < 3; turn++) pause_briefly();
  int ends[2];
  CHECK(pipe(ends) == 0);
  Task task = {ends[1], block, draw()};
  pid_t child = start(way, &task);
  CHECK(child > 0);
  for (int turn = 0; turn < 4; turn++) {
    fill((Block){block.bytes + PAGES(draw() % (BYTES / 2)), BYTES / 4}, draw());
    note(block);
    pause_briefly();
  }
  if (draw() % 2) { /* the parent may unmap, or discard, what the child still reads */
    CHECK(madvise(block.bytes, BYTES / 2, MADV_DONTNEED) == 0);
    CHECK(munmap(block.bytes + BYTES / 2, BYTES / 4) == 0);
    note((Block){block.bytes, BYTES / 2});
  }
  take_report(ends[0]);
  finish(child);
  close(ends[0]);
  close(ends[1]);
  /* Long enough for the end of the child to be seen. */
  if (draw() % 3 == 0) usleep(60000);
  for (int turn = 0; turn < 6; turn++) {
    pause_briefly();
    note((Block){block.bytes, BYTES / 2});
    fill((Block){block.bytes + PAGES(draw() % (BYTES / 4)), BYTES / 4}, draw());
  }
  note((Block){block.bytes, BYTES / 2});
  CHECK(munmap(block.bytes, BYTES) == 0);
}

static void do_fork(void) { fork_by(BY_FORK); }
static void do_fork_raw(void) { fork_by(BY_FORK_RAW); }
static void do_clone(void) { fork_by(BY_CLONE); }
static void do_syscall(void) { fork_by(BY_SYSCALL); }

/* What a child inherited is anonymous memory to it: given up it reads as zero, and grown it has
 * zeros behind it, wherever it lies. */
static void use_inherited(Block block) {
  uint64_t part = PAGES(draw() % (BYTES / 2));
  CHECK(madvise(block.bytes + part, BYTES / 4, MADV_DONTNEED) == 0);
  note(block);
  fill((Block){block.bytes + part, BYTES / 8}, draw());
  uint64_t more = BYTES + MIB(3);
  char *grown = mremap(block.bytes, BYTES, more, MREMAP_MAYMOVE);
  CHECK(grown != MAP_FAILED);
  note((Block){grown, more});
  CHECK(madvise(grown + MIB(1), MIB(2), MADV_DONTNEED) == 0);
  CHECK(madvise(grown + MIB(5), MIB(1), MADV_FREE) == 0);
  fill((Block){grown + MIB(5), MIB(1)}, draw());
  note((Block){grown, more});
  /* Joins anew, and moves what it inherited once more. */
  Block other = make(more, MAP_PRIVATE);
  fill(other, draw());
  CHECK(mremap(grown, more, more - MIB(1), MREMAP_MAYMOVE | MREMAP_FIXED, other.bytes) ==
        other.bytes);
  pause_briefly();
  CHECK(madvise(other.bytes + MIB(9), MIB(1), MADV_DONTNEED) == 0);
  note(other);
}

static void do_inherit(void) {
  Block block = make(BYTES, MAP_PRIVATE);
  fill(block, draw());
  for (int turn = 0; turn < 4; turn++) pause_briefly();
  int ends[2];
  CHECK(pipe(ends) == 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    pid_t grandchild = fork();
    use_inherited(block);
    CHECK(write(ends[1], &checksum, sizeof checksum) == sizeof checksum);
    if (grandchild != 0) finish(grandchild);
    _exit(0);
  }
  take_report(ends[0]);
  take_report(ends[0]);
  finish(child);
  close(ends[0]);
  close(ends[1]);
  note(block);
  CHECK(munmap(block.bytes, BYTES) == 0);
}

/* A chunk, which may all be fast when it is inherited, in the pieces in which it came back. */
static void do_pieces(void) {
  for (int turn = 0; turn < 20; turn++) {
    Block block = make(MIB(4), MAP_PRIVATE), part = {block.bytes + MIB(1), MIB(2)};
    fill(block, draw());
    for (int more = 0; more < 10; more++) pause_briefly();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      uint64_t sum = read_all(part);
      char *grown = mremap(part.bytes, part.count, MIB(3), MREMAP_MAYMOVE);
      CHECK(grown != MAP_FAILED && read_all((Block){grown, part.count}) == sum);
      CHECK(grown[MIB(3) - 1] == 0);
      _exit(0);
    }
    finish(child);
    note(block);
    CHECK(munmap(block.bytes, block.count) == 0);
  }
}

/* Children of children, several at a time, the oldest outliving the others. */
static void do_generations(void) {
  Block block = make(BYTES, MAP_PRIVATE);
  fill(block, draw());
  int ends[3][2];
  pid_t children[3];
  for (int each = 0; each < 3; each++) {
    CHECK(pipe(ends[each]) == 0);
    uint64_t value = draw();
    children[each] = fork();
    if (children[each] == 0) {
      pid_t grandchild = fork();
      if (grandchild == 0) {
        child_reports(ends[each][1], block, value + 1, 3 + 3 * (3 - each));
        _exit(0);
      }
      child_reports(ends[each][1], block, value, 1);
      finish(grandchild);
      _exit(0);
    }
    fill((Block){block.bytes + PAGES(draw() % (BYTES / 2)), BYTES / 4}, draw());
    note(block);
    pause_briefly();
  }
  uint64_t sums = 0;
  for (int each = 0; each < 3; each++) {
    uint64_t one, two;
    CHECK(read(ends[each][0], &one, 8) == 8 && read(ends[each][0], &two, 8) == 8);
    sums += (one ^ two) + (one & two); /* in either order */
    finish(children[each]);
    close(ends[each][0]);
    close(ends[each][1]);
  }
  checksum ^= sums;
  note(block);
  CHECK(munmap(block.bytes, BYTES) == 0);
}

/* A server: the parent ends, the child goes on with memory of its own. */
static void do_daemon(void) {
  Block block = make(BYTES, MAP_PRIVATE);
  fill(block, draw());
  for (int turn = 0; turn < 5; turn++) pause_briefly();
  int ends[2];
  CHECK(pipe(ends) == 0);
  pid_t middle = fork();
  if (middle == 0) {
    pid_t server = fork();
    if (server != 0) _exit(0);
    Block own = make(MIB(64), MAP_PRIVATE);
    int file = open("/dev/null", O_RDONLY);
    for (int turn = 0; turn < 4; turn++) {
      fill(own, draw());
      usleep(3000);
      note(own);
    }
    close(file);
    child_reports(ends[1], block, draw(), 2);
    _exit(0);
  }
  finish(middle);
  CHECK(munmap(block.bytes, BYTES / 2) == 0);
  take_report(ends[0]);
  note((Block){block.bytes + BYTES / 2, BYTES / 2});
  close(ends[0]);
  close(ends[1]);
  CHECK(munmap(block.bytes + BYTES / 2, BYTES / 2) == 0);
}

/* Memory that parent and child share. */
static void do_shared(void) {
  Block block = make(MIB(8), MAP_SHARED);
  fill(block, draw());
  for (int turn = 0; turn < 5; turn++) pause_briefly();
  note(block);
  uint64_t value = draw();
  pid_t child = fork();
  if (child == 0) {
    fill((Block){block.bytes + MIB(4), MIB(4)}, value);
    _exit(0);
  }
  fill((Block){block.bytes, MIB(4)}, value + 1);
  finish(child);
  note(block);
  for (int turn = 0; turn < 5; turn++) pause_briefly();
  fill(block, value + 2);
  note(block);
  CHECK(munmap(block.bytes, MIB(8)) == 0);
}

/* What shares memory until it has started another program. */
static void do_spawn(void) {
  Block block = make(MIB(8), MAP_PRIVATE);
  fill(block, draw());
  volatile int touched = 0;
  char *words[] = {"true", NULL}, *empty[] = {NULL};
  pid_t child = vfork();
  if (child == 0) {
    touched = 1;
    block.bytes[64] ^= 1; /* the parent's own */
    execve("/bin/true", words, empty);
    _exit(1);
  }
  finish(child);
  CHECK(touched == 1);
  note(block);
  CHECK(posix_spawn(&child, "/bin/true", NULL, NULL, words, empty) == 0);
  finish(child);
  CHECK(system("exit 3") == 3 << 8);
  note(block);
  CHECK(munmap(block.bytes, MIB(8)) == 0);
}

/* Threads that map, write and unmap while the main thread forks, and signals interrupt them all;
 * the handler maps and unmaps as well. */
static volatile int is_over;
static volatile sig_atomic_t signal_count;

static void handle(int number) {
  (void)number;
  int error = errno;
  char *memory = mmap(NULL, MIB(2), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) {
    memory[4096] = 1;
    munmap(memory, MIB(2));
  }
  signal_count++;
  errno = error;
}

static void *churn(void *argument) {
  uint64_t value = (uint64_t)argument;
  while (!is_over) {
    Block block = make(MIB(4), MAP_PRIVATE);
    fill(block, value);
    uint64_t before = read_all(block);
    char *heap = malloc(MIB(3));
    CHECK(heap != NULL);
    memset(heap, (int)value, MIB(3));
    sched_yield();
    CHECK(read_all(block) == before);
    CHECK(heap[MIB(2)] == (char)value && heap[17] == (char)value);
    free(heap);
    CHECK(munmap(block.bytes, MIB(4)) == 0);
    value = value * 6364136223846793005u + 1;
  }
  return NULL;
}

static void do_storm(void) {
  struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  struct itimerval_ { struct { long s, us; } interval, value; } timer = {{0, 4000}, {0, 4000}};
  CHECK(arb_raw(SYS_setitimer, 0, (long)&timer, 0, 0, 0, 0) == 0);
  is_over = 0;
  pthread_t threads[2];
  for (uint64_t each = 0; each < 2; each++)
    CHECK(pthread_create(&threads[each], NULL, churn, (void *)(draw() | 1)) == 0);
  Block block = make(BYTES, MAP_PRIVATE);
  fill(block, draw());
  for (int turn = 0; turn < 10; turn++) {
    uint64_t before = read_all(block);
    pid_t child = fork();
    if (child == 0) {
      char *heap = malloc(MIB(2));
      _exit(heap != NULL && read_all(block) == before ? 0 : 1);
    }
    CHECK(child > 0);
    fill((Block){block.bytes + PAGES(draw() % (BYTES / 2)), BYTES / 4}, draw());
    note(block);
    finish(child);
  }
  is_over = 1;
  for (int each = 0; each < 2; each++) pthread_join(threads[each], NULL);
  timer.value.us = timer.interval.us = 0;
  arb_raw(SYS_setitimer, 0, (long)&timer, 0, 0, 0, 0);
  CHECK(munmap(block.bytes, BYTES) == 0);
}

/* What may write past page tables stops all migration, and costs nothing else. */
static void do_direct(void) {
  Block block = make(MIB(8), MAP_PRIVATE);
  fill(block, draw());
  char path[] = "/tmp/arbiter-direct-XXXXXX";
  int file = mkstemp(path);
  CHECK(file >= 0 && unlink(path) == 0);
  CHECK(write(file, block.bytes, MIB(4)) == (ssize_t)MIB(4));
  /* Some file systems do not have it; the request alone is no harm. */
  int answer = fcntl(file, F_SETFL, O_DIRECT);
  if (answer == 0) CHECK(pread(file, block.bytes + MIB(4), MIB(4), 0) == (ssize_t)MIB(4));
  else memcpy(block.bytes + MIB(4), block.bytes, MIB(4));
  for (int turn = 0; turn < 5; turn++) pause_briefly();
  note(block);
  close(file);
  CHECK(munmap(block.bytes, MIB(8)) == 0);
}

int main(int count, char **words) {
  static const Mode modes[] = {
      {"fork", do_fork}, {"fork-raw", do_fork_raw}, {"clone", do_clone}, {"syscall", do_syscall},
      {"inherit", do_inherit}, {"pieces", do_pieces}, {"generations", do_generations},
      {"daemon", do_daemon}, {"shared", do_shared}, {"spawn", do_spawn}, {"storm", do_storm},
      {"direct", do_direct}};
  return run_modes(modes, sizeof modes / sizeof modes[0], count, words);
}
