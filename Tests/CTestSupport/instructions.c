/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Counts by their opcodes the instructions that a call executes: a child makes the call, this
 * process steps it. Child and parent have the same code at the same addresses, so that the parent
 * reads each instruction in its own memory.
 */
#define _GNU_SOURCE
#include "CTestSupport.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS_MAX = 4000000, BREAKPOINT = 0xCC };

static int is_prefix(unsigned char byte) {
  return byte == 0x66 || byte == 0xF2 || byte == 0xF3 || byte == 0x2E || byte == 0x36 ||
         byte == 0x3E || byte == 0x26 || byte == 0x64 || byte == 0x65 || byte == 0xF0;
}

/* Source: Intel SDM volume 2, chapter 2 (prefixes) and the pages of the instructions. */
static void note(const unsigned char *code, ArbTestInstructions *counts) {
  counts->all++;
  if (code[0] == 0xC5) { /* two-byte VEX: map 1 */
    if (code[2] == 0xE7 || code[2] == 0x2B) counts->stream++;
    return;
  }
  if (code[0] == 0xC4) { /* three-byte VEX */
    if ((code[1] & 31) == 1 && (code[3] == 0xE7 || code[3] == 0x2B)) counts->stream++;
    return;
  }
  if (code[0] == 0x62) { /* EVEX */
    if ((code[1] & 7) == 1 && (code[4] == 0xE7 || code[4] == 0x2B)) counts->stream++;
    return;
  }
  int has_66 = 0;
  while (is_prefix(*code)) has_66 |= *code++ == 0x66;
  if ((*code & 0xF0) == 0x40) code++; /* REX */
  if (*code++ != 0x0F) return;
  if (*code == 0xC3 || *code == 0x2B || (*code == 0xE7 && has_66)) counts->stream++;
  if (code[0] == 0x38 && code[1] == 0xF8) counts->stream++; /* movdir64b */
  if (*code++ != 0xAE) return;
  const int is_memory = (*code >> 6) != 3;
  const int operation = *code >> 3 & 7;
  if (!is_memory) {
    if (operation == 7 || operation == 6) counts->fence++; /* sfence, mfence */
  } else if (operation == 7) {
    if (has_66) {
      counts->clflushopt++;
    } else {
      counts->clflush++;
    }
  } else if (operation == 6 && has_66) {
    counts->clwb++;
  }
}

static int64_t step(pid_t child, ArbTestInstructions *counts) {
  int status;
  /* The child stops at its first break point. */
  if (waitpid(child, &status, 0) != child) return -(int64_t)errno;
  if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) return -(int64_t)EIO;
  for (int count = 0; count < STEPS_MAX; count++) {
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, child, NULL, &registers) != 0) return -(int64_t)errno;
    const unsigned char *code = (const unsigned char *)(uintptr_t)registers.rip;
    if (*code == BREAKPOINT) return 0;
    note(code, counts);
    if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0) return -(int64_t)errno;
    if (waitpid(child, &status, 0) != child) return -(int64_t)errno;
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) return -(int64_t)EIO;
  }
  return -(int64_t)ETIME;
}

int64_t arb_test_count_instructions(
    void (*body)(void *context), void *context, ArbTestInstructions *counts) {
  memset(counts, 0, sizeof *counts);
  const pid_t child = fork();
  if (child < 0) return -(int64_t)errno;
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(1);
    __asm__ volatile("int3" ::: "memory");
    body(context);
    __asm__ volatile("int3" ::: "memory");
    _exit(0);
  }
  const int64_t result = step(child, counts);
  kill(child, SIGKILL);
  int status;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return result;
}
