/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A thread's gates: one for each set that it stores to, attached when it first does. A thread that
 * ends needs no code: its slots are marked by the kernel (control_page.h).
 */
#define _GNU_SOURCE
#include "preload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

_Thread_local ArbThread arb_thread __attribute__((tls_model("initial-exec")));

static uint32_t has_complained;

static void attach(ArbThread *thread, uint32_t set) {
  int saved_errno = errno;
  int64_t status =
      arb_gate_attach(&thread->gates[set], arb_preload_page, set, arb_preload_session);
  errno = saved_errno;
  if (status == 0) {
    thread->attached |= 1u << set;
    return;
  }
  thread->refused |= 1u << set;
  if (__atomic_exchange_n(&has_complained, 1, __ATOMIC_RELAXED) == 0) {
    arb_say_later((const char *[]){
        "a thread of the program runs ungated: the control page has no free slot", NULL});
  }
}

void arb_thread_find_range(ArbThread *thread, uint64_t address) {
  uint32_t generation = __atomic_load_n(&arb_ranges_generation, __ATOMIC_RELAXED);
  int is_in_last = address - thread->last.start < thread->last.byte_count &&
                   thread->last.generation == generation;
  if (thread->calls_left == 0) {
    /* What the table knows may be as old as what the thread knows. Slots may have become free. */
    if (is_in_last) arb_ranges_forget();
    is_in_last = 0;
    thread->calls_left = ARB_CALLS_PER_LOOK;
    thread->refused = thread->is_unrecorded = 0;
  } else {
    thread->calls_left--;
  }
  if (!is_in_last) thread->last = arb_range_find(address);
}

static ArbGate *find_gate(ArbThread *thread, uint64_t address) {
  arb_thread_find_range(thread, address);
  uint32_t set = thread->last.set;
  if ((thread->attached >> set & 1) == 0) {
    if ((thread->refused >> set & 1) != 0) return NULL;
    attach(thread, set);
    if ((thread->attached >> set & 1) == 0) return NULL;
  }
  return &thread->gates[set];
}

ArbGate *arb_thread_find_gate(ArbThread *thread, uint64_t address) {
  int state;
  /* The functions that programs call are no places at which a thread is cancelled. */
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
  ArbGate *gate = find_gate(thread, address);
  pthread_setcancelstate(state, NULL);
  return gate;
}

/* Whether the thread runs a handler on a stack of its own, which may lie anywhere. */
static int is_on_signal_stack(void) {
  stack_t stack;
  int saved_errno = errno;
  int is_there = sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_ONSTACK) != 0;
  errno = saved_errno;
  return is_there;
}

int arb_thread_has_left(ArbThread *thread) {
  if (is_on_signal_stack()) return 0;
  if (arb_preload_page == NULL || arb_preload_page->scheme != ARB_SCHEME_LOCK) return 1;
  for (uint32_t set = 0; set < ARB_SET_COUNT; set++) {
    if ((thread->attached >> set & 1) != 0) arb_permit_release(&thread->gates[set]);
  }
  return 1;
}

void arb_count_drain(ArbThread *thread) {
  if (arb_preload_page == NULL) return;
  uint32_t set = thread->last.set;
  ArbGate *gate;
  if (thread->last.byte_count != 0 && (thread->attached >> set & 1) != 0) {
    gate = &thread->gates[set];
  } else {
    /* A fence has no address; this one comes before any store. */
    gate = arb_thread_find_gate(thread, 0);
  }
  if (gate != NULL) arb_gate_count_call(gate, ARB_CALL_DRAIN, 0);
}

void arb_count_deep(ArbThread *thread, uint64_t address, uint64_t byte_count) {
  if (arb_preload_page == NULL) return;
  uint32_t generation = __atomic_load_n(&arb_ranges_generation, __ATOMIC_RELAXED);
  ArbGate *gate = arb_thread_gate(thread, address, generation);
  if (gate != NULL) arb_gate_count_call(gate, ARB_CALL_DEEP, byte_count);
}
