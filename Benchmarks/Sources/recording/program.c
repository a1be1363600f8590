/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "program.h"

#include <CArbiterRecord.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void run(const char *size, const char *total, int is_recorded) {
  char file[64], block[32], amount[32];
  snprintf(file, sizeof file, "--filename=/dev/shm/arbiter-fio-%d", (int)getppid());
  snprintf(block, sizeof block, "--bs=%s", size);
  snprintf(amount, sizeof amount, "--io_size=%s", total);
  if (!is_recorded) {
    unsetenv("LD_PRELOAD");
    unsetenv(ARB_ENVIRONMENT_TRACE);
  }
  /* Memory for persistent memory, as every program of PMDK takes it for a test. */
  setenv("PMEM_IS_PMEM_FORCE", "1", 1);
  int silence = open("/dev/null", O_WRONLY);
  if (silence >= 0) dup2(silence, STDOUT_FILENO);
  /* A file that is mapped once, and whose pages are few against the blocks that are stored. */
  execlp("fio", "fio", "--name=job", "--ioengine=libpmem", "--direct=1", "--sync=1", "--iodepth=1",
         "--thread", "--rw=randwrite", "--norandommap", "--randseed=7", "--size=16m", file, block,
         amount, (char *)NULL);
  _exit(127);
}

double fio_seconds(const char *size, const char *total, int is_recorded) {
  pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) run(size, total, is_recorded);
  int status;
  struct rusage usage;
  pid_t ended = wait4(child, &status, 0, &usage);
  char file[64];
  snprintf(file, sizeof file, "/dev/shm/arbiter-fio-%d", (int)getpid());
  unlink(file);
  if (ended != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return -1;
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}
