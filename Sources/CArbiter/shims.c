/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CArbiter.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
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

/* 1, 0, or a negative errno; of the descriptor where the path is empty. */
static int64_t is_dax(int descriptor, const char *path, int *is_folder) {
  struct statx facts;
  if (statx(descriptor, path, AT_EMPTY_PATH, STATX_BASIC_STATS, &facts) != 0)
    return -(int64_t)errno;
  *is_folder = S_ISDIR(facts.stx_mode);
  if ((facts.stx_attributes_mask & STATX_ATTR_DAX) == 0) return -(int64_t)EOPNOTSUPP;
  return (facts.stx_attributes & STATX_ATTR_DAX) != 0;
}

int64_t arb_file_is_dax(const char *path) {
  int is_folder = 0;
  int64_t found = is_dax(AT_FDCWD, path, &is_folder);
  if (!is_folder) return found;
  /* Only plain files are mapped, and only they have the attribute: what a new one in the folder
   * would have is asked of one that never gets a name. */
  int file = open(path, O_RDWR | O_CLOEXEC | O_TMPFILE, 0600);
  if (file < 0) return found;
  found = is_dax(file, "", &is_folder);
  close(file);
  return found;
}

int64_t arb_file_device_numbers(const char *path) {
  struct stat facts;
  if (stat(path, &facts) != 0) return -(int64_t)errno;
  if (!S_ISCHR(facts.st_mode) && !S_ISBLK(facts.st_mode)) return -(int64_t)ENOTBLK;
  return (int64_t)major(facts.st_rdev) << 32 | minor(facts.st_rdev);
}

int64_t arb_map_aligned(
    size_t byte_count, size_t alignment, int descriptor, int flags, int64_t offset) {
  if (byte_count > SIZE_MAX - alignment) return -(int64_t)ENOMEM;
  const size_t reserved = byte_count + alignment;
  void *room = mmap(
      NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return -(int64_t)errno;
  char *first = room;
  char *start = (char *)(((uintptr_t)first + alignment - 1) & ~(uintptr_t)(alignment - 1));
  void *mapped =
      mmap(start, byte_count, PROT_READ | PROT_WRITE, flags | MAP_FIXED, descriptor, offset);
  if (mapped == MAP_FAILED) {
    const int cause = errno;
    munmap(first, reserved);
    return -(int64_t)cause;
  }
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *end = start + (byte_count + page - 1) / page * page;
  if (start > first) munmap(first, (size_t)(start - first));
  if (first + reserved > end) munmap(end, (size_t)(first + reserved - end));
  return (int64_t)(intptr_t)start;
}

int64_t arb_memory_file(const char *name) {
  return answer(syscall(SYS_memfd_create, name, 1U /* MFD_CLOEXEC */));
}

int64_t arb_open_nameless(const char *folder) {
  return answer(open(folder, O_RDWR | O_CLOEXEC | O_TMPFILE, 0600));
}

int64_t arb_open_direct(const char *path, int flags) {
  return answer(open(path, flags | O_CLOEXEC | O_DIRECT));
}

int64_t arb_file_holder(int descriptor) {
  struct stat facts;
  if (fstat(descriptor, &facts) != 0) return -(int64_t)errno;
  return (int64_t)major(facts.st_dev) << 32 | minor(facts.st_dev);
}

int64_t arb_file_device(int descriptor) {
  struct stat facts;
  if (fstat(descriptor, &facts) != 0) return -(int64_t)errno;
  if (!S_ISCHR(facts.st_mode) && !S_ISBLK(facts.st_mode)) return -(int64_t)ENOTBLK;
  return (int64_t)major(facts.st_rdev) << 32 | minor(facts.st_rdev);
}

int64_t arb_file_magic(int descriptor) {
  struct statfs facts;
  if (fstatfs(descriptor, &facts) != 0) return -(int64_t)errno;
  return (int64_t)(uint32_t)facts.f_type;
}

int64_t arb_copy_checked(void *target, const void *source, size_t byte_count, int writes) {
  /* process_vm_readv reaches the remote side through the page tables and answers EFAULT where a
   * page fault would raise SIGBUS; so does process_vm_writev. The side that may fail is the
   * remote one, the caller's own buffer is the local one. One call moves less than 2 GiB. */
  const size_t piece_max = (size_t)1 << 30;
  const pid_t self = getpid();
  size_t done = 0;
  while (done < byte_count) {
    const size_t left = byte_count - done;
    const size_t piece = left < piece_max ? left : piece_max;
    char *to = (char *)target + done;
    char *from = (char *)(uintptr_t)source + done;
    struct iovec local = {writes ? from : to, piece};
    struct iovec remote = {writes ? to : from, piece};
    const ssize_t moved = writes ? process_vm_writev(self, &local, 1, &remote, 1, 0)
                                 : process_vm_readv(self, &local, 1, &remote, 1, 0);
    if (moved < 0) return done > 0 ? (int64_t)done : -(int64_t)errno;
    done += (size_t)moved;
    if ((size_t)moved < piece) break;
  }
  return (int64_t)done;
}

int64_t arb_file_allocate(int descriptor, int64_t byte_count) {
  /* posix_fallocate returns its error instead of setting errno. */
  return -(int64_t)posix_fallocate(descriptor, 0, byte_count);
}

int32_t arb_return_addresses(uintptr_t *addresses, int32_t count) {
  return backtrace((void **)addresses, count);
}
