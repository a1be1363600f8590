/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * One sample of a running thread, as every event gives it.
 */
#ifndef ARBITER_SAMPLE_H
#define ARBITER_SAMPLE_H

#include <stdint.h>

/* What a sample carries. */
enum {
  ARB_SAMPLE_ADDRESS = 1,   /* `address` is that of the data, from the processor or the kernel */
  ARB_SAMPLE_REGISTERS = 2, /* `registers` and `flags` are those before the instruction at `ip` */
  ARB_SAMPLE_EXACT_IP = 4,  /* `ip` is the instruction that caused the event */
  /* `registers` and `flags` are those after the instruction at `ip`, as precise events have them:
   * addresses computed of them may be wrong, counts of repetition are what was left, and pointers
   * of strings are where these had got. */
  ARB_SAMPLE_REGISTERS_AFTER = 8,
};

/* General registers in the order in which instructions encode them. */
enum {
  ARB_RAX, ARB_RCX, ARB_RDX, ARB_RBX, ARB_RSP, ARB_RBP, ARB_RSI, ARB_RDI,
  ARB_R8, ARB_R9, ARB_R10, ARB_R11, ARB_R12, ARB_R13, ARB_R14, ARB_R15,
  ARB_REGISTER_COUNT
};

typedef struct {
  int64_t time_nanoseconds; /* of CLOCK_MONOTONIC_RAW */
  int32_t process;
  int32_t thread;
  uint32_t event; /* which of the sampler's events: their order when they were opened */
  uint32_t has;   /* ARB_SAMPLE_... */
  uint64_t ip;
  uint64_t address;
  uint64_t period; /* events, or nanoseconds of a clock, for which the sample stands */
  uint64_t flags;  /* the processor's; bit 10 is the direction of string instructions */
  uint64_t registers[ARB_REGISTER_COUNT];
} ArbSample;

#endif
