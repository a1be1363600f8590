/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * One store of a program, admitted in the pieces that the page's scheme asks for. A store is cut
 * only where it must be, and only at the ends of media blocks, so that whole blocks go the way the
 * whole store would have gone.
 */
#ifndef ARBITER_ADMISSION_H
#define ARBITER_ADMISSION_H

#include "permits.h"

/* Stores bytes [offset, offset + byte_count) of the whole. Pieces come in the order of addresses,
 * or from the end; `is_last` is 1 for the one after which nothing is left. */
typedef void (*ArbIssue)(void *_Nullable context, size_t offset, size_t byte_count, int is_last);

/* A store that wants to be admitted. */
typedef struct {
  uint64_t address;
  uint64_t byte_count; /* at least 1 */
  uint32_t is_from_end; /* the source lies below the target and overlaps it */
  uint32_t is_whole;    /* never in pieces: each would cost a system call */
} ArbRun;

/* Whether a copy has to begin at the end, as memmove does. */
static inline int arb_is_from_end(const void *_Nonnull target, const void *_Nonnull source,
                                  size_t byte_count) {
  uintptr_t to = (uintptr_t)target, from = (uintptr_t)source;
  return to > from && to - from < byte_count;
}

/* Admits a store under baseline, lock, fence or arbiter: waits, fences, takes permits, and calls
 * `issue` for each piece. Delegated stores are submitted instead (delegation.h). */
void arb_admit(ArbGate *_Nonnull gate, const ArbRun *_Nonnull run, ArbIssue _Nonnull issue,
               void *_Nullable context);

#endif
