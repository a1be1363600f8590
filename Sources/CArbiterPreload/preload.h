/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the preload library share. start.c finds the page, ranges.c finds the set of an
 * address, thread.c keeps a thread's gates, store.c carries out one call under the scheme in force,
 * delegate.c has workers do it, record.c records it, pmem.c and pmem2.c are the functions that
 * programs call.
 */
#ifndef ARBITER_PRELOAD_H
#define ARBITER_PRELOAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "CArbiterGate.h"
#include "CArbiterRecord.h"

/* Also tells the compiler that nothing here goes through a table of addresses. */
#pragma GCC visibility push(hidden)

/* Seen by programs; all else is hidden by exports.map. */
#define ARB_EXPORT __attribute__((visibility("default")))

/* Flags of both libraries, with the same values in both. */
#define ARB_F_NODRAIN (1u << 0)
#define ARB_F_NOFLUSH (1u << 5)

typedef void *(*ArbCopyFunction)(void *target, const void *source, size_t byte_count,
                                 unsigned flags);
typedef void *(*ArbSetFunction)(void *target, int value, size_t byte_count, unsigned flags);
typedef void (*ArbRangeFunction)(const void *address, size_t byte_count);
typedef int (*ArbCheckedFunction)(const void *address, size_t byte_count);
typedef void (*ArbDrainFunction)(void);

/* One call that moves or writes back bytes. */

typedef enum {
  ARB_STORE_COPY,    /* overlap allowed, as memmove */
  ARB_STORE_SET,
  ARB_STORE_RANGE,   /* write-back of what the program stored */
  ARB_STORE_CHECKED, /* the same with a result; never in pieces */
} ArbStoreKind;

typedef struct {
  ArbStoreKind kind;
  ArbCallKind call;
  uint32_t is_whole; /* never in pieces: each would cost a system call */
  unsigned flags;
  int value;
  int result; /* of ARB_STORE_CHECKED */
  char *target;
  const char *source;
  size_t byte_count;
  union {
    ArbCopyFunction copy;
    ArbSetFunction set;
    struct {
      ArbRangeFunction part; /* all pieces but the last */
      ArbRangeFunction last;
    } range;
    ArbCheckedFunction checked;
  } real;
} ArbStore;

/* A mapping, its set, and what it is in recordings. */
typedef struct {
  uint64_t start;
  uint64_t byte_count;
  uint64_t offset; /* in the region */
  int32_t region;  /* or ARB_TRACE_NO_REGION */
  uint32_t set;
  uint32_t generation; /* of the table when the range was found; see arb_ranges_forget */
} ArbRange;

/* Calls of a thread between two looks at a mapping that it knows, so that a mapping that was
 * replaced behind our back is noticed. A look costs some tens of microseconds. */
#define ARB_CALLS_PER_LOOK 65536u

/* Values of a guard other than the frame of the call that is being carried out. */
#define ARB_GUARD_DOWN ((uintptr_t)0)
#define ARB_GUARD_UP UINTPTR_MAX /* nothing is gated: a worker, or a search for a real function */

/* What a thread has. Lies in static thread-local memory, zero at first: no allocation. */
typedef struct {
  /* Raised while a call is being carried out, so that calls which the real functions make
   * themselves, or a handler that interrupts it, are neither gated nor counted again. The guard is
   * the frame of the wrapper: a program may leave by siglongjmp, from a handler of SIGBUS for
   * example, and a later call from the same frame or an outer one shows that it did. */
  uintptr_t guard;
  ArbRange last;
  uint32_t calls_left; /* until `last` is looked up again */
  uint32_t attached;   /* bit per set: gates[set] is attached */
  uint32_t refused;    /* bit per set: no slot was to be had */
  ArbLane lane; /* its pool is NULL until the thread delegates */
  ArbStore delegated; /* what a worker may still read where the thread left the call by a jump */
  ArbRecorder recorder;
  uint32_t is_unrecorded; /* no lane was to be had; asked again at every look at a mapping */
  ArbGate gates[ARB_SET_COUNT];
} ArbThread;

extern _Thread_local ArbThread arb_thread __attribute__((tls_model("initial-exec")));

/* Whether the library has anything to do. Written once, before `main`, as what follows. */
extern uint32_t arb_preload_is_active;

/* The page; NULL where nothing is gated. */
extern ArbPage *arb_preload_page;
extern uint32_t arb_preload_session;

/* The recording; NULL where nothing is recorded. */
extern ArbTraceSession *arb_preload_trace;

/* One line on stderr, from parts that end with NULL. */
void arb_say(const char *const *parts);

/* As arb_say, where stderr is still what it was at load: a program may have closed it and opened a
 * file of its own in its place. */
void arb_say_later(const char *const *parts);

/* The range that `address` lies in. Never fails: where nothing is known, it says so for this page.
 * Keeps errno. */
ArbRange arb_range_find(uint64_t address);

/* Mappings have changed: forgets the ranges of all threads. */
void arb_ranges_forget(void);

/* Takes the state of a fresh process, in the child of a fork. */
void arb_ranges_reset(void);

/* Makes `thread->last` the range of an address. Keeps errno. */
void arb_thread_find_range(ArbThread *thread, uint64_t address);

/* Where a thread has no gate for the set yet: looks up, attaches. May return NULL. Keeps errno. */
ArbGate *arb_thread_find_gate(ArbThread *thread, uint64_t address);

/* Whether the call whose guard is up was left by a jump; takes back what it held. Asked where the
 * frame does not lie below the guard's. */
int arb_thread_has_left(ArbThread *thread);

/* Whether `thread->last` is the range of an address. */
static inline int arb_thread_knows(const ArbThread *thread, uint64_t address,
                                   uint32_t generation) {
  return address - thread->last.start < thread->last.byte_count &&
         thread->last.generation == generation && thread->calls_left > 0;
}

/* The gate for an address; NULL where the thread runs ungated. */
static inline ArbGate *arb_thread_gate(ArbThread *thread, uint64_t address, uint32_t generation) {
  if (arb_thread_knows(thread, address, generation) &&
      (thread->attached >> thread->last.set & 1) != 0) {
    thread->calls_left--;
    return &thread->gates[thread->last.set];
  }
  return arb_thread_find_gate(thread, address);
}

/* Counts how often mappings were forgotten. */
extern uint32_t arb_ranges_generation;

/* The state of the calling thread if the call that it makes is to be gated or recorded; NULL if it
 * is to pass: there is neither page nor recording, or the call comes from a real function. */
static inline ArbThread *arb_enter(uintptr_t frame) {
  /* Relaxed: written before threads exist. */
  if (!__atomic_load_n(&arb_preload_is_active, __ATOMIC_RELAXED)) return NULL;
  ArbThread *thread = &arb_thread;
  uintptr_t guard = thread->guard;
  /* Stacks grow downwards: a call from below comes from a real function, as each persisting one of
   * libpmem calls pmem_drain by its name. */
  if (guard != ARB_GUARD_DOWN && (frame < guard || !arb_thread_has_left(thread))) return NULL;
  thread->guard = frame;
  return thread;
}

/* Real functions. */

/* A function of a real library, found on its first use. */
typedef struct {
  const char *name;
  const char *library;
  void *function;
} ArbReal;

void *arb_real_find(ArbReal *real);

static inline void *arb_real(ArbReal *real) {
  /* Relaxed: the address is the whole message, and whoever looks it up finds the same. */
  void *function = __atomic_load_n(&real->function, __ATOMIC_RELAXED);
  return function != NULL ? function : arb_real_find(real);
}

/* Carries a call out: counts it, asks the gate, calls the real function. The guard is up before and
 * down after. */
void arb_store_perform(ArbThread *thread, ArbStore *store);

/* Calls the real function for a part of the call; `is_last` says that no other follows. */
void arb_store_issue(ArbStore *store, size_t offset, size_t byte_count, int is_last);

/* Whether the call, as the program made it, ends with a fence of the calling thread. */
static inline int arb_store_drains(const ArbStore *store) {
  if (store->kind == ARB_STORE_CHECKED) return 1;
  if (store->kind == ARB_STORE_RANGE) return store->real.range.last != store->real.range.part;
  return (store->flags & (ARB_F_NODRAIN | ARB_F_NOFLUSH)) == 0;
}

/* Has a worker carry out the call, drain included. Returns 0 where the caller has to. */
int arb_store_delegate(ArbThread *thread, ArbStore *store);

/* The child of a fork has no workers yet. */
void arb_delegation_forget(void);

/* Says in recordings that a fence of the thread has ended; it covers all sets. */
static inline void arb_thread_note_fence(ArbThread *thread) {
  for (uint32_t sets = thread->attached; sets != 0; sets &= sets - 1) {
    arb_gate_note_fence(&thread->gates[__builtin_ctz(sets)]);
  }
}

/* Counts a fence. The guard is up before and after. */
void arb_count_drain(ArbThread *thread);

/* Counts a deep flush or drain. The guard is up before and after. */
void arb_count_deep(ArbThread *thread, uint64_t address, uint64_t byte_count);

/* Recording. */

/* Of no moment: the call is not recorded. */
#define ARB_NO_START INT64_MIN

/* Finds the lane and the region of a call that is about to be made (address 0: it has none).
 * Returns when it starts. Keeps errno. */
int64_t arb_record_find(ArbThread *thread, uint64_t address, uint32_t generation);

/* When a call starts, in the thread's own time; ARB_NO_START where nothing is recorded. */
static inline int64_t arb_record_start(ArbThread *thread, uint64_t address) {
  /* Relaxed: written before threads exist. */
  if (__atomic_load_n(&arb_preload_trace, __ATOMIC_RELAXED) == NULL) return ARB_NO_START;
  uint32_t generation = __atomic_load_n(&arb_ranges_generation, __ATOMIC_RELAXED);
  if (thread->recorder.lane == NULL || !arb_thread_knows(thread, address, generation)) {
    return arb_record_find(thread, address, generation);
  }
  thread->calls_left--;
  return arb_recorder_now(&thread->recorder);
}

/* Record what has been done since `start`. */
void arb_record_store(ArbThread *thread, const ArbStore *store, int64_t start);
void arb_record_flush(ArbThread *thread, const void *address, size_t byte_count, int64_t start);
void arb_record_fence(ArbThread *thread, int64_t start);

/* What the environment tells libpmem about the size from which it stores past the caches. */
void arb_record_read_threshold(void);

/* Performs or passes on. */
static inline void arb_store_submit(ArbStore *store, uintptr_t frame) {
  ArbThread *thread = arb_enter(frame);
  if (thread == NULL) {
    arb_store_issue(store, 0, store->byte_count, 1);
  } else {
    arb_store_perform(thread, store);
  }
}

#define ARB_FRAME ((uintptr_t)__builtin_frame_address(0))

#pragma GCC visibility pop

#endif
