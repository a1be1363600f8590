/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CTestSupport.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* Allocations: malloc and its relatives over glibc's own entry points. Sanitizers need malloc for
 * themselves; under them nothing is counted. */

#define EARLY __attribute__((tls_model("initial-exec")))
static _Thread_local EARLY uint64_t allocations;

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif

#ifndef UNDER_SANITIZER

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
  allocations++;
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  allocations++;
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  allocations++;
  return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
  allocations++;
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **place, size_t alignment, size_t size) {
  void *memory = memalign(alignment, size);
  if (memory == NULL) return ENOMEM;
  *place = memory;
  return 0;
}

int32_t arb_test_counts_allocations(void) { return 1; }
#else
int32_t arb_test_counts_allocations(void) { return 0; }
#endif

uint64_t arb_test_allocation_count(void) { return allocations; }

/* System calls: syscall user dispatch (Linux 5.11), which turns a thread's system calls into
 * SIGSYS while a byte of its own memory says so. */

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
enum { DISPATCH_OFF = 0, DISPATCH_ON = 1, CALLS_PASS = 0, CALLS_STOP = 1 };

static _Thread_local EARLY volatile char selector;
static _Thread_local EARLY volatile int64_t first_call;

static void note_call(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)context;
  first_call = info->si_syscall;
  selector = CALLS_PASS;
}

int64_t arb_test_watch_system_calls(void) {
#ifdef UNDER_SANITIZER
  /* Sanitizers make calls of their own. */
  return -(int64_t)ENOSYS;
#endif
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = note_call;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGSYS, &action, NULL) != 0) return -(int64_t)errno;
  first_call = -1;
  selector = CALLS_PASS;
  if (prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_ON, 0L, 0L, &selector) != 0) {
    return -(int64_t)errno;
  }
  selector = CALLS_STOP;
  return 0;
}

int64_t arb_test_unwatch_system_calls(void) {
  selector = CALLS_PASS;
  prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_OFF, 0L, 0L, 0L);
  return first_call;
}

void arb_test_make_system_call(void) { syscall(SYS_getppid); }

/* Scenery. */

int64_t arb_test_lose_page(int descriptor, int64_t offset) {
  /* The kernel may kill who asks for it, so a child asks. */
  const pid_t child = fork();
  if (child < 0) return -(int64_t)errno;
  if (child == 0) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    volatile char *memory =
        mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, offset);
    if (memory == MAP_FAILED) _exit(errno);
    memory[0] = memory[0];
    signal(SIGBUS, SIG_DFL);
    _exit(madvise((void *)(uintptr_t)memory, page, 100 /* MADV_HWPOISON */) == 0 ? 0 : errno);
  }
  int status;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -(int64_t)errno;
  }
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGBUS ? 0 : -(int64_t)EIO;
  return -(int64_t)WEXITSTATUS(status);
}

int64_t arb_test_lose_block(int descriptor, int64_t offset) {
  /* A fiemap ends in an array of extents; here of one. */
  _Alignas(struct fiemap) char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
  memset(room, 0, sizeof room);
  struct fiemap *query = (struct fiemap *)(void *)room;
  query->fm_start = (uint64_t)offset;
  query->fm_length = 512;
  query->fm_extent_count = 1;
  if (ioctl(descriptor, FS_IOC_FIEMAP, query) != 0) return -(int64_t)errno;
  struct stat facts;
  if (fstat(descriptor, &facts) != 0) return -(int64_t)errno;
  if (query->fm_mapped_extents != 1) return -(int64_t)ENODATA;
  const uint64_t place =
      query->fm_extents[0].fe_physical + ((uint64_t)offset - query->fm_extents[0].fe_logical);
  char path[96];
  snprintf(
      path, sizeof path, "/sys/dev/block/%u:%u/badblocks", major(facts.st_dev),
      minor(facts.st_dev));
  const int list = open(path, O_WRONLY | O_CLOEXEC);
  if (list < 0) return -(int64_t)errno;
  const int written = dprintf(list, "%llu 1\n", (unsigned long long)(place / 512));
  const int cause = errno;
  close(list);
  return written > 0 ? 0 : -(int64_t)cause;
}

int64_t arb_test_signal_handler(int number) {
  struct sigaction action;
  if (sigaction(number, NULL, &action) != 0) return -1;
  return (int64_t)(intptr_t)action.sa_sigaction;
}

int64_t arb_test_mount_tmpfs(const char *folder, const char *options) {
  return mount("arbiter-test", folder, "tmpfs", 0, options) == 0 ? 0 : -(int64_t)errno;
}

int64_t arb_test_unmount(const char *folder) {
  return umount2(folder, MNT_DETACH) == 0 ? 0 : -(int64_t)errno;
}

int64_t arb_test_set_file_user(uint32_t user) { return setfsuid(user); }
