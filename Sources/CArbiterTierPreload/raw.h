/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * System calls without libc: its syscall() is one of the functions that we stand in front of. */
#ifndef ARBITER_TIER_RAW_H
#define ARBITER_TIER_RAW_H

#include <errno.h>

#ifndef __x86_64__
#error "the tier library knows the system calls of x86-64 only"
#endif

/* The kernel's answer: negative errno, or the result. */
static inline long arb_raw(long number, long a, long b, long c, long d, long e, long f) {
  long answer;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(answer)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return answer;
}

static inline int arb_is_error(long answer) { return (unsigned long)answer > -4096ul; }

/* What a function of libc makes of an answer. */
static inline long arb_answer(long answer) {
  if (!arb_is_error(answer)) return answer;
  errno = (int)-answer;
  return -1;
}

#endif
