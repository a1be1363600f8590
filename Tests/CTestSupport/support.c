/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CTestSupport.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
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

int64_t arb_test_mount_tmpfs(const char *folder, const char *options) {
  return mount("arbiter-test", folder, "tmpfs", 0, options) == 0 ? 0 : -(int64_t)errno;
}

int64_t arb_test_unmount(const char *folder) {
  return umount2(folder, MNT_DETACH) == 0 ? 0 : -(int64_t)errno;
}

int64_t arb_test_set_file_user(uint32_t user) { return setfsuid(user); }
