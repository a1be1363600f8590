/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "arbiter_hooks.h"
#include "hooks.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define ACCESS_BYTES_MAX (1u << 30)

_Thread_local ArbHookThread arb_hook_thread __attribute__((tls_model("initial-exec")));
ArbTraceSession *arb_hooks_session;

/* The linker takes the wrappers in with the hooks, whether or not the program calls what they wrap:
 * gold asks for them on behalf of libgcc. */
extern char __wrap_memcpy[], __wrap_mmap[];
__attribute__((used)) static char *const wrappers[] = {__wrap_memcpy, __wrap_mmap};

/* --- A thread's accesses ---------------------------------------------------------------------- */

/* Whether the thread runs a handler on a stack of its own, which may lie anywhere. */
static int is_on_signal_stack(void) {
  stack_t stack;
  return sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_ONSTACK) != 0;
}

/* Raises the guard; 0 where it is up, and the thread has not left by a jump. */
static int enter(ArbHookThread *thread, uintptr_t frame) {
  /* Stacks grow downwards. */
  if (ARB_UNLIKELY(thread->guard != 0) && (frame < thread->guard || is_on_signal_stack())) {
    arb_recorder_count_lost(&thread->recorder, 1);
    return 0;
  }
  thread->guard = frame;
  return 1;
}

/* Makes the thread's range the one of the address; 0 where the address has none. */
__attribute__((noinline)) static int change_range(ArbHookThread *thread, uint64_t address,
                                                   uint32_t generation) {
  ArbRunState *run = &thread->run;
  ArbHookRange range;
  if (!arb_hook_range_find(address, &range)) return 0;
  ArbRecorder *recorder = &thread->recorder;
  if (recorder->lane == NULL) {
    if (thread->is_refused && generation == thread->generation) return 0;
    thread->generation = generation;
    thread->is_refused =
        arb_recorder_attach(recorder, arb_hooks_session, ARB_TRACE_FROM_HOOKS) != 0;
    if (thread->is_refused) return 0;
  }
  thread->generation = generation;
  arb_run_enter_range(run, range.start, range.bytes, range.offset, (uint32_t)range.region);
  return 1;
}

static inline int find_range(ArbHookThread *thread, uint64_t address) {
  const ArbRunState *run = &thread->run;
  uint32_t generation = __atomic_load_n(&arb_hooks_generation, __ATOMIC_RELAXED);
  return ARB_LIKELY(address - run->range_start < run->range_bytes &&
                    generation == thread->generation) ||
         change_range(thread, address, generation);
}

void arb_hook_slow(uint64_t key, uint64_t address) {
  ArbHookThread *thread = &arb_hook_thread;
  if (!enter(thread, (uintptr_t)__builtin_frame_address(0))) return;
  if (find_range(thread, address)) {
    const ArbRunState *run = &thread->run;
    if (ARB_LIKELY((uint32_t)key <= run->range_bytes - (address - run->range_start))) {
      if (!arb_run_begin_quickly(&thread->run, &thread->recorder, key, address)) {
        arb_run_begin(&thread->run, &thread->recorder, key, address);
      }
    } else {
      /* It reaches beyond its range: no offset says where. */
      arb_recorder_count_lost(&thread->recorder, 1);
    }
  }
  thread->guard = 0;
}

void arb_hook_long_access(uint32_t operation, const void *place, size_t bytes) {
  for (const char *at = place; bytes > 0;) {
    uint32_t length = bytes < ACCESS_BYTES_MAX ? (uint32_t)bytes : ACCESS_BYTES_MAX;
    arb_hook_access(operation, length, at);
    at += length;
    bytes -= length;
  }
}

/* --- What programs say themselves ------------------------------------------------------------- */

ARB_HOOK void arbiter_record_store_nt(const void *address, size_t bytes) {
  arb_hook_range_access(ARB_TRACE_STORE_NT, address, bytes);
}

ARB_HOOK void arbiter_record_flush(const void *address, size_t bytes) {
  arb_hook_range_access(ARB_TRACE_FLUSH, address, bytes);
}

ARB_HOOK void arbiter_record_load(const void *address, size_t bytes) {
  arb_hook_range_access(ARB_TRACE_LOAD, address, bytes);
}

ARB_HOOK void arbiter_record_store(const void *address, size_t bytes) {
  arb_hook_range_access(ARB_TRACE_STORE, address, bytes);
}

ARB_HOOK void arbiter_record_fence(void) {
  ArbHookThread *thread = &arb_hook_thread;
  /* A fence of a thread that has recorded nothing orders nothing. */
  if (thread->recorder.lane == NULL) return;
  if (!enter(thread, (uintptr_t)__builtin_frame_address(0))) return;
  arb_run_end(&thread->run, &thread->recorder);
  ArbTraceEvent event = {.start = (uint64_t)arb_recorder_now(&thread->recorder),
                         .operation = ARB_TRACE_FENCE, .count = 1};
  arb_recorder_append(&thread->recorder, &event);
  thread->guard = 0;
}

ARB_HOOK int arbiter_record_range(const void *address, size_t bytes, const char *name) {
  if (arb_hooks_session == NULL) return 1;
  if (bytes == 0 || name == NULL || bytes > ARB_TRACE_OFFSET_MAX) {
    errno = EINVAL;
    return -1;
  }
  ArbHookRange range = {(uint64_t)(uintptr_t)address, bytes, 0, 0};
  range.region =
      arb_trace_region_find(arb_hooks_session, ARB_TRACE_REGION_NAMED, 0, 0, name, bytes);
  if (range.region < 0 || arb_hook_range_add(&range) != 0) {
    errno = ENOSPC;
    return -1;
  }
  return 0;
}

ARB_HOOK void arbiter_forget_range(const void *address) {
  uint64_t start = (uint64_t)(uintptr_t)address;
  uint64_t bytes = arb_hook_range_bytes(start);
  if (bytes != 0) arb_hook_range_remove(start, bytes);
}

/* --- The start -------------------------------------------------------------------------------- */

/* The child has one thread, which owns no lane; the parent goes on with its own. */
static void begin_child(void) {
  memset(&arb_hook_thread, 0, sizeof arb_hook_thread);
  arb_hook_ranges_reset();
}

static void say(const char *reason) {
  static const char first[] = "arbiter: warning: the program's accesses are not recorded: ";
  struct iovec parts[] = {{(void *)(uintptr_t)first, sizeof first - 1},
                          {(void *)(uintptr_t)reason, strlen(reason)},
                          {(void *)(uintptr_t) "\n", 1}};
  /* There is nobody to tell that it failed. */
  if (writev(STDERR_FILENO, parts, 3) < 0) errno = 0;
}

/* Before other constructors, whose accesses may be of interest. */
__attribute__((constructor(101))) static void start(void) {
  int saved_errno = errno;
  ArbTraceMapping mapping;
  int64_t status = arb_trace_session_from_environment(&mapping);
  if (status == -EPROTO) {
    say("ARBITER_TRACE names no recording of this version");
  } else if (status == -ENOENT) {
    say("the arbiter record that ARBITER_TRACE names has ended");
  } else if (status != 0) {
    say(strerrordesc_np((int)-status));
  } else if (mapping.session != NULL && pthread_atfork(NULL, NULL, begin_child) != 0) {
    say("no memory for a fork handler");
  } else {
    arb_hooks_session = mapping.session;
  }
  errno = saved_errno;
}
