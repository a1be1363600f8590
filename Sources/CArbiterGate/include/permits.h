/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The permits of the lock scheme, shared by all threads of all programs that write to a set.
 *
 * I1  At most `permit_count` slots of a set are in the state ARB_PERMIT_HELD.
 * I2  First come, first served: a slot that waits is handed a permit before any that asks later.
 * I3  A permit whose holder died is handed on: whoever waits looks for dead holders every
 *     ARB_PERMIT_LOOK_NANOSECONDS.
 * I4  A permit says nothing about persistence.
 *
 * All state lies in the page and is guarded by one robust mutex per set, held for some tens of
 * nanoseconds. A thread that dies while it holds the mutex leaves states that rebuild() counts
 * again, since the states of the slots are the truth and the rest follows from them. The same holds
 * for a thread that leaves by a jump out of a signal handler, when it comes again.
 *
 * What is not survived: a thread that is *stopped* while it holds the mutex stops the others until
 * it goes on. And the C library keeps a list of a thread's robust mutexes: a handler of an
 * asynchronous signal that jumps or forks while the thread takes, holds or returns the mutex may
 * tear it. A jump out of a fault of the store itself, or out of the wait for a permit, does not.
 */
#ifndef ARBITER_PERMITS_H
#define ARBITER_PERMITS_H

#include "gate.h"

typedef enum {
  ARB_PERMIT_NONE = 0,
  ARB_PERMIT_WAITING = 1,
  ARB_PERMIT_HELD = 2,
} ArbPermitState;

/* How often a waiter looks for holders that died. */
#define ARB_PERMIT_LOOK_NANOSECONDS 20000000

/* How long a thread waits for a permit. Longer than any copy: a holder that takes so long was
 * stopped (a debugger, SIGSTOP), and nobody is to wait for it. */
#define ARB_PERMIT_WAIT_NANOSECONDS 10000000000

/* The answer of a wait that was given up. */
#define ARB_NO_TICKET UINT64_MAX

/* Waits for a permit of the gate's set and takes it. What the thread still holds of the set, or
 * waits for, because it left a call by a jump out of a signal handler, is given up. Returns the
 * ticket: permits are granted in the order of tickets; or ARB_NO_TICKET, without a permit, after
 * ARB_PERMIT_WAIT_NANOSECONDS, and at once in a forked child that goes on with its parent's store.
 */
uint64_t arb_permit_acquire(ArbGate *_Nonnull gate);

/* Returns the permit, which goes to the oldest waiter, or gives up a wait that the thread left by a
 * jump; nothing where there is neither. */
void arb_permit_release(ArbGate *_Nonnull gate);

/* Takes away what a dead owner of the slot held or waited for. The caller owns the slot. */
void arb_permit_forget(ArbPage *_Nonnull page, ArbSlot *_Nonnull slot);

/* The figures of a set's permits at one moment. */
typedef struct {
  uint64_t requested_count;
  uint32_t holder_count;
  uint32_t holder_count_max;
  uint32_t waiting_count;
  uint32_t recovered_count; /* permits whose holder died */
} ArbPermitCounts;

/* Reads the figures. */
void arb_permits_read(ArbPage *_Nonnull page, uint32_t set_index,
                      ArbPermitCounts *_Nonnull counts);

#endif
