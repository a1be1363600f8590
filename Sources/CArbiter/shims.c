/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CArbiter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#ifndef STATX_ATTR_DAX
#define STATX_ATTR_DAX 0x00200000
#endif

static int64_t answer(int64_t value) { return value < 0 ? -(int64_t)errno : value; }

int64_t arb_thread_number(void) { return answer(syscall(SYS_gettid)); }

int64_t arb_thread_set_affinity(const uint64_t *mask, size_t byte_count) {
  return answer(syscall(SYS_sched_setaffinity, 0, byte_count, mask));
}

int64_t arb_thread_get_affinity(uint64_t *mask, size_t byte_count) {
  return answer(syscall(SYS_sched_getaffinity, 0, byte_count, mask));
}

int64_t arb_futex_wait(const void *word, uint32_t expected, int64_t nanoseconds) {
  struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  return answer(syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, &limit, NULL, 0));
}

int64_t arb_futex_wake(const void *word) {
  return answer(syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0));
}

int64_t arb_filesystem_magic(const char *path) {
  struct statfs facts;
  if (statfs(path, &facts) != 0) return -(int64_t)errno;
  return (int64_t)(uint32_t)facts.f_type;
}

int64_t arb_file_is_dax(const char *path) {
  struct statx facts;
  if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &facts) != 0) return -(int64_t)errno;
  if ((facts.stx_attributes_mask & STATX_ATTR_DAX) == 0) return -(int64_t)EOPNOTSUPP;
  return (facts.stx_attributes & STATX_ATTR_DAX) != 0;
}

int64_t arb_file_device_numbers(const char *path) {
  struct stat facts;
  if (stat(path, &facts) != 0) return -(int64_t)errno;
  if (!S_ISCHR(facts.st_mode) && !S_ISBLK(facts.st_mode)) return -(int64_t)ENOTBLK;
  return (int64_t)major(facts.st_rdev) << 32 | minor(facts.st_rdev);
}

int64_t arb_map(size_t byte_count, int descriptor, int flags) {
  void *start = mmap(NULL, byte_count, PROT_READ | PROT_WRITE, flags, descriptor, 0);
  return start == MAP_FAILED ? -(int64_t)errno : (int64_t)(intptr_t)start;
}

int64_t arb_file_allocate(int descriptor, int64_t byte_count) {
  /* posix_fallocate returns its error instead of setting errno. */
  return -(int64_t)posix_fallocate(descriptor, 0, byte_count);
}
