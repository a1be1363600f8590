/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the tier library share. start.c joins the page, ranges.c remembers anonymous
 * memory until a chunk of it is complete, map.c stands in front of mmap and its kin, grow.c in
 * front of mremap, advise.c in front of mprotect, madvise and mlock, family.c in front of what
 * makes processes and threads, pins.c in front of what lets devices write past page tables, and
 * syscall.c in front of syscall().
 *
 * Any of these may be called from inside an allocator that holds its locks, before the constructor
 * has run, or from a signal handler. So: no malloc, no stdio, no function of libc that may call
 * back; signals are blocked while a lock is held.
 */
#ifndef ARBITER_TIER_PRELOAD_H
#define ARBITER_TIER_PRELOAD_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "CArbiterTier.h"
#include "raw.h"

/* Also tells the compiler that nothing here goes through a table of addresses. */
#pragma GCC visibility push(hidden)

/* Seen by programs; all else is hidden by exports.map. */
#define ARB_EXPORT __attribute__((visibility("default")))

#define ARB_PAGE_BYTES 4096ull

/* Smaller mappings are not remembered: they are not worth an entry. */
#define ARB_RANGE_BYTES_MIN (64ull << 10)

typedef enum {
  ARB_TIER_OFF = 0,    /* no page was named, or it cannot be used */
  ARB_TIER_ON = 1,     /* joined */
  ARB_TIER_FORKED = 2, /* the child of a joined process, which joins with its next large mapping */
} ArbTierMode;

extern uint32_t arb_mode;

/* What an interposer keeps while it works: the signal mask and errno of its caller. */
typedef struct {
  uint64_t signals;
  int error;
} ArbVisit;

/* Blocks signals: a handler that called an interposer would wait for the lock of its own thread. */
static inline ArbVisit arb_enter(void) {
  ArbVisit visit = {0, errno};
  uint64_t all = ~0ull;
  arb_raw(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, (long)&all, (long)&visit.signals, 8, 0, 0);
  return visit;
}

static inline void arb_leave(ArbVisit visit) {
  arb_raw(SYS_rt_sigprocmask, 2, (long)&visit.signals, 0, 8, 0, 0);
  errno = visit.error;
}

static inline int arb_is_on(void) {
  return __atomic_load_n(&arb_mode, __ATOMIC_RELAXED) == ARB_TIER_ON;
}

static inline uint64_t arb_round_up(uint64_t value, uint64_t unit) {
  return (value + unit - 1) & ~(unit - 1);
}

static inline uint64_t arb_round_down(uint64_t value, uint64_t unit) { return value & ~(unit - 1); }

/* 1 if the kernel would take this for a range of pages; `length` is then made whole pages. */
static inline int arb_is_range(uint64_t start, uint64_t *length) {
  if (start % ARB_PAGE_BYTES != 0 || *length == 0 || *length > 1ull << 47) return 0;
  *length = arb_round_up(*length, ARB_PAGE_BYTES);
  return start < 1ull << 47;
}

/* start.c */

/* One line on stderr, from parts that end with NULL. */
void arb_say(const char *const *parts);

/* Joins anew in a forked child; 1 if the process is joined now. */
int arb_join_again(void);

/* A function of libc behind one of ours; NULL where there is none. */
void *arb_next(void **cache, const char *name);

/* ranges.c */

typedef struct {
  uint64_t start;
  uint64_t end;
  uint32_t protection;
  uint32_t is_touched; /* it may have been accessible, and so hold data */
  uint32_t is_plain;   /* never managed again; known, as it may lie in several mappings */
} ArbRange;

/* Forgets what is known of these addresses: before they are unmapped or mapped anew. */
void arb_ranges_remove(uint64_t start, uint64_t end);

/* Memory that is known is not to be managed again. */
void arb_ranges_make_plain(uint64_t start, uint64_t end);

/* Remembers anonymous private memory; returns it together with the neighbours of its kind, or an
 * empty range where there is no room for it. */
ArbRange arb_ranges_insert(ArbRange range);

/* Gives known memory another protection. Returns the merged range of the part that holds `start`;
 * an empty one where that is unknown. `was_fresh` becomes 1 if no part was ever accessible. */
ArbRange arb_ranges_protect(uint64_t start, uint64_t end, int protection, int *was_fresh);

/* The range that holds an address; empty where it is unknown. */
ArbRange arb_ranges_find(uint64_t address);

/* Around a fork: takes the lock; gives it back; forgets all. */
void arb_ranges_lock(void);
void arb_ranges_unlock(void);
void arb_ranges_reset(void);

/* map.c */

long arb_map(uint64_t address, uint64_t length, long protection, long flags, long fd, long offset);
long arb_unmap(uint64_t address, uint64_t length);

/* Puts new memory under management, with the neighbours that it makes whole chunks of. */
void arb_adopt_private(uint64_t start, uint64_t end, int protection, int is_touched);

/* The same of memory that is remembered as part of `whole`. */
void arb_adopt_known(uint64_t start, uint64_t end, ArbRange whole, int is_touched);

/* Anonymous memory at an address that is a multiple of a chunk; a negative errno. */
long arb_map_at_chunk(uint64_t length, long protection, long flags);

/* Set while mlockall(MCL_FUTURE) is in force: new memory is not managed. */
extern uint32_t arb_locks_future;

/* grow.c, advise.c */

long arb_remap(uint64_t old, uint64_t old_length, uint64_t new_length, long flags, uint64_t new);
long arb_protect(uint64_t start, uint64_t length, long protection);
long arb_advise(uint64_t start, uint64_t length, long advice);

/* Makes a range plain anonymous memory that is never managed again; 0 or a negative errno. The
 * first forgets it, as something else will lie there; the second knows it still. */
int arb_give_up(uint64_t start, uint64_t length);
int arb_make_plain(uint64_t start, uint64_t length);

/* Holds managed chunks of a range in place. */
void arb_hold(uint64_t start, uint64_t length, uint8_t why);

/* family.c: around what forks without the handlers of pthread_atfork. */
void arb_before_fork(void);
void arb_after_fork(long answer);

/* pins.c */
void arb_freeze(const char *why);
/* After an open, or what changes the flags of an open file. Keeps errno. */
void arb_opened(const char *path, int flags, long answer);
void arb_controlled(unsigned long request, void *argument);

/* syscall.c: what the stub passes on. */
long arb_dispatch(long number, long a, long b, long c, long d, long e, long f);

#pragma GCC visibility pop

#endif
