/* Part of Arbiter. See plugin/LICENSE.
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tells the x86-64 instructions that matter for persistence from all others, and finds the memory
 * operand of a write-back. Source: Intel SDM volume 2, chapter 2 (prefixes, ModRM, SIB, VEX) and
 * the pages of the instructions named below.
 */
#ifndef ARBITER_VM_DECODE_H
#define ARBITER_VM_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum insn_kind {
  INSN_OTHER,
  INSN_STORE_NT,   /* movnti, movntq, movntdq, movntps, movntpd and their VEX forms */
  INSN_WRITE_BACK, /* clwb, clflushopt */
  INSN_FLUSH,      /* clflush */
  INSN_FENCE,      /* sfence, mfence */
  INSN_LOCKED,     /* any instruction with a lock prefix; xchg with memory */
  INSN_MARK,       /* see events.h; the mark is in `displacement` */
};

#define NO_REGISTER 16

/* An instruction, and its memory operand where the kind has one that matters. */
struct insn {
  enum insn_kind kind;
  uint8_t base, index, scale_shift; /* numbers as encoded: 0 rax, 1 rcx, ...; or NO_REGISTER */
  uint8_t length;
  bool is_rip_relative, is_segmented;
  int32_t displacement;
};

struct insn insn_decode(const uint8_t *bytes, size_t count);

#endif
