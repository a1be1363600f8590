/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the hooks share. hooks.c decides which accesses are recorded and keeps a
 * thread's run, ranges.c knows the ranges, coverage.c and thread_sanitizer.c are the functions that
 * compilers call, calls.c stands before the functions of libc.
 */
#ifndef ARBITER_HOOKS_INSIDE_H
#define ARBITER_HOOKS_INSIDE_H

#include <stddef.h>
#include <stdint.h>

#include "CArbiterRecord.h"

#define ARB_HOOK __attribute__((visibility("default")))
#define ARB_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define ARB_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#pragma GCC visibility push(hidden)

/* A range in which accesses are recorded. */
typedef struct {
  uint64_t start, bytes, offset;
  int32_t region;
} ArbHookRange;

/* Everything that a thread has. Zero at first. */
typedef struct {
  ArbRunState run;
  ArbRecorder recorder;
  /* The frame of the slow path while it runs, so that a handler that interrupts it is counted as
   * lost instead of getting between; as in the preload, a later call from the same frame or an
   * outer one shows that the program left by a jump. */
  uintptr_t guard;
  uint32_t generation; /* of the ranges when the thread looked last */
  uint32_t is_refused;
} ArbHookThread;

extern _Thread_local ArbHookThread arb_hook_thread __attribute__((tls_model("initial-exec")));

/* From the lowest to the highest recorded address; no bytes while nothing is recorded. */
extern uint64_t arb_hooks_low, arb_hooks_bytes;

/* NULL where the program is not being recorded. Written before `main`. */
extern ArbTraceSession *arb_hooks_session;

/* Counts changes of the ranges. */
extern uint32_t arb_hooks_generation;

/* Records an access that does not continue the thread's run. Keeps errno. */
void arb_hook_slow(uint64_t key, uint64_t address);

/* Finds the range of an address; 0 where none is recorded. */
int arb_hook_range_find(uint64_t address, ArbHookRange *range);

/* Adds a range. Returns 0, or -ENOSPC. */
int arb_hook_range_add(const ArbHookRange *range);

/* Takes ranges out, whole or in part. */
void arb_hook_range_remove(uint64_t start, uint64_t bytes);

/* The range that begins at the address; 0 bytes where none does. */
uint64_t arb_hook_range_bytes(uint64_t start);

/* In the child of a fork. */
void arb_hook_ranges_reset(void);

/* Records accesses to a shared mapping of a file. Keeps errno. */
void arb_hook_mapped(uint64_t start, uint64_t bytes, int descriptor, uint64_t offset);

/* Says that a region reaches at least this far. */
void arb_hook_region_reach(int32_t region, uint64_t end);

/* One access of `length` bytes. Relaxed loads: a thread that sees new ranges late records late. */
static inline __attribute__((always_inline)) void arb_hook_access(uint32_t operation,
                                                                  uint32_t length,
                                                                  const void *place) {
  uint64_t address = (uint64_t)(uintptr_t)place;
  /* No hint to the compiler: neither way is rare. */
  if (address - __atomic_load_n(&arb_hooks_low, __ATOMIC_RELAXED) >=
      __atomic_load_n(&arb_hooks_bytes, __ATOMIC_RELAXED)) {
    return;
  }
  uint64_t key = ARB_RUN_KEY(operation, length);
  if (ARB_LIKELY(arb_run_continue(&arb_hook_thread.run, key, address))) return;
  arb_hook_slow(key, address);
}

/* An access of any number of bytes, in parts that fit. */
void arb_hook_long_access(uint32_t operation, const void *place, size_t bytes);

/* The same of a length that the compiler does not know. */
static inline __attribute__((always_inline)) void arb_hook_range_access(uint32_t operation,
                                                                        const void *place,
                                                                        size_t bytes) {
  if (bytes == 0) return;
  if (ARB_LIKELY(bytes <= 1u << 30)) {
    arb_hook_access(operation, (uint32_t)bytes, place);
  } else {
    arb_hook_long_access(operation, place, bytes);
  }
}

#pragma GCC visibility pop

#endif
