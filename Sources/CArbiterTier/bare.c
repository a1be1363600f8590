/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Threads that the C library does not know. A forked child joins anew inside a call of mmap, which
 * may come from an allocator that holds its locks, and a thread of the C library allocates: so
 * there the kernel is asked for one. It runs nothing but this library's code and calls of the
 * kernel; for what little of the C library looks at a thread's own memory, as errno does, it has a
 * block of zeros. Where the program gives up rights such a thread follows by itself: rights.c. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>

#define STACK_BYTES (256u << 10)
#define HEAD_BYTES 4096u            /* above the thread pointer */
#define OWN_BYTES_MIN (64ull << 10) /* below it */
#define OWN_BYTES_MAX (64ull << 20)

/* Of glibc on x86-64: where a thread finds itself. */
typedef struct {
  void *self, *vector, *again;
  uint64_t unused[2];
  uint64_t guards[2];
} ThreadHead;

/* The child begins on its own stack, on which its body lies. */
int64_t arb_tier_clone(uint64_t flags, uint64_t stack, uint64_t pointer);
__asm__(
    ".text\n"
    ".globl arb_tier_clone\n"
    ".hidden arb_tier_clone\n"
    ".type arb_tier_clone, @function\n"
    "arb_tier_clone:\n"
    "  .cfi_startproc\n"
    "  movq %rdx, %r8\n" /* the thread pointer */
    "  xorl %edx, %edx\n"
    "  xorl %r10d, %r10d\n"
    "  movl $56, %eax\n" /* clone */
    "  syscall\n"
    "  testq %rax, %rax\n"
    "  jz 1f\n"
    "  ret\n"
    "1:\n"
    "  .cfi_undefined rip\n"
    "  xorl %ebp, %ebp\n"
    "  popq %rax\n"
    "  andq $-16, %rsp\n"
    "  callq *%rax\n"
    "  xorl %edi, %edi\n"
    "  movl $60, %eax\n" /* exit: of this thread */
    "  syscall\n"
    "  hlt\n"
    "  .cfi_endproc\n"
    ".size arb_tier_clone, .-arb_tier_clone\n");
_Static_assert(SYS_clone == 56 && SYS_exit == 60, "the numbers above");

static uint64_t thread_pointer(void) {
  uint64_t pointer;
  __asm__("movq %%fs:0, %0" : "=r"(pointer));
  return pointer;
}

int arb_tier_start_bare(void *(*body)(void *)) {
  uint64_t ours = thread_pointer(), place = (uint64_t)(uintptr_t)&errno;
  uint64_t own = OWN_BYTES_MIN;
  if (place < ours && ours - place < OWN_BYTES_MAX)
    own += (ours - place + 4095) / 4096 * 4096;
  uint64_t bytes = own + HEAD_BYTES + STACK_BYTES;
  int64_t block = arb_tier_call(
      SYS_mmap, 0, (int64_t)bytes, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block < 0) return (int)block;
  uint64_t pointer = (uint64_t)block + own;
  ThreadHead *head = (ThreadHead *)pointer;
  head->self = head->again = head;
  head->guards[0] = ((ThreadHead *)ours)->guards[0];
  head->guards[1] = ((ThreadHead *)ours)->guards[1];
  uint64_t *stack = (uint64_t *)((uint64_t)block + bytes - 64);
  *stack = (uint64_t)(uintptr_t)body;
  sigset_t all, before;
  for (size_t each = 0; each < sizeof all / 8; each++) ((uint64_t *)&all)[each] = UINT64_MAX;
  arb_tier_call(SYS_rt_sigprocmask, SIG_BLOCK, (intptr_t)&all, (intptr_t)&before, 8, 0, 0);
  int64_t thread = arb_tier_clone(
      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
          CLONE_SETTLS,
      (uint64_t)(uintptr_t)stack, pointer);
  arb_tier_call(SYS_rt_sigprocmask, SIG_SETMASK, (intptr_t)&before, 0, 8, 0, 0);
  if (thread >= 0) return 0;
  arb_tier_call(SYS_munmap, block, (int64_t)bytes, 0, 0, 0, 0);
  return (int)thread;
}

/* The head of the kernel's list, of the one mover. Its only entry lies on the page, where anybody
 * may write: the kernel follows it at the mover's end, so many steps at most, and touches only what
 * bears the mover's number. */
static struct {
  void *first;
  int64_t offset;
  void *pending;
} robust;

int arb_tier_own(uint32_t *word, uint64_t *next) {
  uint32_t number = (uint32_t)arb_tier_thread_number();
  robust.first = &robust;
  robust.offset = (char *)word - (char *)next;
  robust.pending = NULL;
  int64_t answer = arb_tier_call(
      SYS_set_robust_list, (intptr_t)&robust, sizeof robust, 0, 0, 0, 0);
  if (answer != 0) return (int)answer;
  *next = (uint64_t)(uintptr_t)&robust;
  robust.first = next;
  for (int turn = 0; turn < 10000; turn++) {
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    /* Acquire, with the kernel's mark of one that died. */
    if ((seen == 0 || (seen & FUTEX_OWNER_DIED) != 0) &&
        __atomic_compare_exchange_n(word, &seen, number, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
      return 0;
    uint32_t never = 0;
    arb_tier_sleep(&never, 0, 100000);
  }
  robust.first = &robust;
  return -EBUSY;
}
