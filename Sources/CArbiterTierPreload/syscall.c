/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * syscall(): the calls that concern managed memory go where those by name go, all others to the
 * kernel at once, from the caller's own frame, as some of them may return twice or on another
 * stack. */
#define _GNU_SOURCE
#include "preload.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <sys/shm.h>
#include <sys/uio.h>

/* Numbers that headers of Debian 12 may lack, and those that the stub below knows. */
#define NUMBER_MSEAL 462
_Static_assert(SYS_mmap == 9 && SYS_mprotect == 10 && SYS_munmap == 11, "the stub's numbers");
_Static_assert(SYS_clone == 56 && SYS_vfork == 58 && SYS_clone3 == 435, "the stub's numbers");

/* 1 for numbers that arb_dispatch knows; bytes, as the stub indexes it. */
__attribute__((used, visibility("hidden"))) const uint8_t arb_known_calls[512] = {
    [SYS_mmap] = 1, [SYS_mprotect] = 1, [SYS_munmap] = 1, [SYS_mremap] = 1, [SYS_madvise] = 1,
    [SYS_shmat] = 1, [SYS_mlock] = 1, [SYS_munlock] = 1, [SYS_mlockall] = 1, [SYS_munlockall] = 1,
    [SYS_mlock2] = 1, [SYS_pkey_mprotect] = 1, [SYS_process_madvise] = 1, [SYS_fork] = 1,
    [SYS_clone] = 1, [SYS_clone3] = 1, [SYS_open] = 1, [SYS_openat] = 1, [SYS_openat2] = 1,
    [SYS_fcntl] = 1, [SYS_ioctl] = 1, [SYS_vmsplice] = 1, [SYS_io_uring_setup] = 1,
    [SYS_remap_file_pages] = 1, [SYS_futex] = 1, [SYS_sigaltstack] = 1, [NUMBER_MSEAL] = 1,
};

/* clone and clone3 that share memory return on another stack, or twice on this one, and are not
 * forks: the stub sends them to the kernel as libc's would. */
__asm__(
    ".text\n"
    ".globl syscall\n"
    ".type syscall, @function\n"
    "syscall:\n"
    "  .cfi_startproc\n"
    "  cmpq $511, %rdi\n"
    "  ja 1f\n"
    "  leaq arb_known_calls(%rip), %rax\n"
    "  cmpb $0, (%rax,%rdi)\n"
    "  je 1f\n"
    "  cmpq $56, %rdi\n"
    "  jne 2f\n"
    "  testq $0x100, %rsi\n" /* CLONE_VM */
    "  jne 1f\n"
    "  jmp 3f\n"
    "2: cmpq $435, %rdi\n"
    "  jne 3f\n"
    "  testq $0x100, (%rsi)\n"
    "  jne 1f\n"
    "3:\n"
    "  pushq 8(%rsp)\n" /* the seventh argument */
    "  .cfi_adjust_cfa_offset 8\n"
    "  callq arb_dispatch_named\n"
    "  addq $8, %rsp\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  ret\n"
    "1:\n"
    "  movq %rdi, %rax\n"
    "  movq %rsi, %rdi\n"
    "  movq %rdx, %rsi\n"
    "  movq %rcx, %rdx\n"
    "  movq %r8, %r10\n"
    "  movq %r9, %r8\n"
    "  movq 8(%rsp), %r9\n"
    "  syscall\n"
    "  cmpq $-4095, %rax\n"
    "  jae 4f\n"
    "  ret\n"
    "4:\n"
    "  movq %rax, %rdi\n"
    "  jmp arb_refused\n"
    "  .cfi_endproc\n"
    ".size syscall, .-syscall\n");

__attribute__((used, visibility("hidden"))) long arb_refused(long answer) {
  return arb_answer(answer);
}

/* A fork that runs no handlers. The stack stays the caller's, or is one that nobody uses. */
static long fork_by(long number, long a, long b, long c, long d, long e) {
  arb_before_fork();
  long answer = arb_raw(number, a, b, c, d, e, 0);
  arb_after_fork(answer);
  return answer;
}

/* A futex that is not the process's own is known by its mapping, which a move would change. */
static long futex(long a, long b, long c, long d, long e, long f) {
  if ((b & FUTEX_PRIVATE_FLAG) == 0) arb_hold((uint64_t)a, 4, ARB_TIER_HELD_THREAD);
  return arb_raw(SYS_futex, a, b, c, d, e, f);
}

static long opened(long answer, const char *path, long flags) {
  arb_opened(path, (int)flags, answer);
  return answer;
}

static long lock_call(long number, long a, long b, long c) {
  switch (number) {
  case SYS_mlock: return mlock((void *)a, (size_t)b);
  case SYS_mlock2: return mlock2((void *)a, (size_t)b, (unsigned)c);
  case SYS_munlock: return munlock((void *)a, (size_t)b);
  case SYS_mlockall: return mlockall((int)a);
  default: return munlockall();
  }
}

static long file_call(long number, long a, long b, long c, long d, long e, long f) {
  long answer;
  switch (number) {
  case SYS_open:
    return opened(arb_raw(number, a, b, c, 0, 0, 0), (const char *)a, b);
  case SYS_openat:
    return opened(arb_raw(number, a, b, c, d, 0, 0), (const char *)b, c);
  case SYS_openat2:
    answer = arb_raw(number, a, b, c, d, 0, 0);
    return answer < 0 ? answer
                      : opened(answer, (const char *)b, (long)((struct open_how *)c)->flags);
  case SYS_fcntl:
    answer = arb_raw(number, a, b, c, 0, 0, 0);
    return b == F_SETFL ? opened(answer, NULL, c) : answer;
  case SYS_vmsplice:
    arb_freeze("pages were given to a pipe by vmsplice");
    return arb_raw(number, a, b, c, d, 0, 0);
  case SYS_io_uring_setup:
    answer = arb_raw(number, a, b, 0, 0, 0, 0);
    if (answer >= 0) arb_freeze("an io_uring was made");
    return answer;
  default:
    arb_controlled((unsigned long)b, (void *)c);
    return arb_raw(number, a, b, c, d, e, f);
  }
}

/* The answer of the kernel, or -1 and errno where a function of that name was called. */
long arb_dispatch(long number, long a, long b, long c, long d, long e, long f) {
  switch (number) {
  case SYS_mmap: return arb_map((uint64_t)a, (uint64_t)b, c, d, e, f);
  case SYS_munmap: return arb_unmap((uint64_t)a, (uint64_t)b);
  case SYS_mprotect: return arb_protect((uint64_t)a, (uint64_t)b, c);
  case SYS_mremap: return arb_remap((uint64_t)a, (uint64_t)b, (uint64_t)c, d, (uint64_t)e);
  case SYS_madvise: return arb_advise((uint64_t)a, (uint64_t)b, c);
  case SYS_fork: return fork_by(number, 0, 0, 0, 0, 0);
  case SYS_clone: case SYS_clone3: return fork_by(number, a, b, c, d, e);
  case SYS_futex: return futex(a, b, c, d, e, f);
  default: return file_call(number, a, b, c, d, e, f);
  }
}

__attribute__((used, visibility("hidden"))) long arb_dispatch_named(
    long number, long a, long b, long c, long d, long e, long f) {
  switch (number) {
  case SYS_mlock: case SYS_mlock2: case SYS_munlock: case SYS_mlockall: case SYS_munlockall:
    return lock_call(number, a, b, c);
  case SYS_pkey_mprotect:
    return pkey_mprotect((void *)a, (size_t)b, (int)c, (int)d);
  case SYS_process_madvise:
    return process_madvise((int)a, (void *)b, (size_t)c, (int)d, (unsigned)e);
  case SYS_shmat:
    return (long)shmat((int)a, (void *)b, (int)c);
  case SYS_remap_file_pages:
    return remap_file_pages((void *)a, (size_t)b, (int)c, (size_t)d, (int)e);
  case SYS_sigaltstack:
    return sigaltstack((void *)a, (void *)b);
  case NUMBER_MSEAL: {
    /* A sealed mapping can be replaced by nobody. */
    uint64_t length = (uint64_t)b;
    if (arb_is_on() && arb_is_range((uint64_t)a, &length)) arb_give_up((uint64_t)a, length);
    return arb_answer(arb_raw(number, a, b, c, d, e, f));
  }
  default:
    return arb_answer(arb_dispatch(number, a, b, c, d, e, f));
  }
}
