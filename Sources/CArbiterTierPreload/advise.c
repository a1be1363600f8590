/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * mprotect, madvise and mlock. What a slow mapping cannot promise is not promised: then the memory
 * becomes plain, and the kernel does what was asked. */
#define _GNU_SOURCE
#include "preload.h"

#include <sys/uio.h>

#ifndef PROT_GROWSDOWN
#define PROT_GROWSDOWN 0x01000000
#endif

void arb_hold(uint64_t start, uint64_t length, uint8_t why) {
  uint64_t first = arb_round_down(start, ARB_PAGE_BYTES);
  uint64_t bytes = arb_round_up(start + length, ARB_PAGE_BYTES) - first;
  if (!arb_is_on() || length == 0 || !arb_tier_overlaps(first, bytes)) return;
  ArbVisit visit = arb_enter();
  arb_tier_hold(first, bytes, why, 1);
  arb_leave(visit);
}

/* New neighbours of one protection may be whole chunks, and a reservation memory. */
static void protected(uint64_t start, uint64_t end, long protection) {
  ArbVisit visit = arb_enter();
  int was_fresh = 0;
  ArbRange whole = arb_ranges_protect(start, end, (int)protection, &was_fresh);
  arb_leave(visit);
  int is_usable = protection != PROT_NONE && (protection & ~(long)(PROT_READ | PROT_WRITE)) == 0;
  if (whole.start > start || whole.end < end || !is_usable) return;
  if (__atomic_load_n(&arb_locks_future, __ATOMIC_RELAXED)) return;
  arb_adopt_known(start, end, whole, !was_fresh);
}

long arb_protect(uint64_t start, uint64_t length, long protection) {
  uint64_t bytes = length;
  if (!arb_is_on() || !arb_is_range(start, &bytes))
    return arb_raw(SYS_mprotect, (long)start, (long)length, protection, 0, 0, 0);
  long answer;
  if ((protection & ~(long)(PROT_READ | PROT_WRITE)) != 0) {
    int status = arb_make_plain(start, bytes);
    if (status != 0) return status;
  }
  if (arb_tier_overlaps(start, bytes)) {
    ArbVisit visit = arb_enter();
    answer = arb_tier_protect(start, bytes, (int)protection); /* makes the call */
    arb_leave(visit);
  } else {
    answer = arb_raw(SYS_mprotect, (long)start, (long)length, protection, 0, 0, 0);
  }
  /* After a failure, what has the new protection only the kernel knows. */
  if (arb_is_error(answer)) arb_ranges_remove(start, start + bytes);
  else protected(start, start + bytes, protection);
  return answer;
}

typedef enum {
  ADVICE_HINT,    /* about speed: the kernel's, and lost with a migration */
  ADVICE_DISCARD, /* the data may go, or goes */
  ADVICE_PLAIN,   /* has a meaning that only plain memory keeps */
} AdviceKind;

static AdviceKind kind_of(long advice) {
  switch (advice) {
  case MADV_NORMAL: case MADV_RANDOM: case MADV_SEQUENTIAL: case MADV_WILLNEED:
  case MADV_MERGEABLE: case MADV_UNMERGEABLE: case MADV_HUGEPAGE: case MADV_NOHUGEPAGE:
  case MADV_DOFORK: case MADV_DODUMP: case MADV_KEEPONFORK: /* as managed memory is already */
  case 20: /* MADV_COLD */
  case 21: /* MADV_PAGEOUT */
  case 22: /* MADV_POPULATE_READ */
  case 23: /* MADV_POPULATE_WRITE */
  case 25: /* MADV_COLLAPSE */
    return ADVICE_HINT;
  case MADV_DONTNEED: case MADV_FREE: case 24: /* MADV_DONTNEED_LOCKED */
    return ADVICE_DISCARD;
  default:
    return ADVICE_PLAIN;
  }
}

/* The slow islands are discarded, the fast ones by the kernel, and the slow ones once more: what
 * moved in between was discarded where it lay, before or after. MADV_FREE is done at once, which
 * it allows; the kernel would refuse it for a mapping of a file. */
static long discard(uint64_t start, uint64_t length) {
  ArbVisit visit = arb_enter();
  arb_tier_hold(start, length, ARB_TIER_HELD_ADVICE, 1);
  int status = arb_tier_discard(start, length);
  long answer = arb_raw(SYS_madvise, (long)start, (long)length, MADV_DONTNEED, 0, 0, 0);
  if (status == 0) status = arb_tier_discard(start, length);
  if (status == -EBUSY) {
    /* Mapped privately since a fork: the kernel would bring the slot's bytes back. */
    ArbRange known = arb_ranges_find(start);
    long protection = known.end > start ? (long)known.protection : PROT_READ | PROT_WRITE;
    arb_tier_home(start, length);
    answer = arb_raw(SYS_mmap, (long)start, (long)length, protection,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    arb_leave(visit);
    return arb_is_error(answer) ? answer : 0;
  }
  if (status != 0 && arb_tier_home(start, length) == 0)
    answer = arb_raw(SYS_madvise, (long)start, (long)length, MADV_DONTNEED, 0, 0, 0);
  arb_tier_hold(start, length, ARB_TIER_HELD_ADVICE, 0);
  arb_leave(visit);
  return answer;
}

long arb_advise(uint64_t start, uint64_t length, long advice) {
  uint64_t bytes = length;
  if (arb_is_on() && arb_is_range(start, &bytes)) {
    AdviceKind kind = kind_of(advice);
    if (kind == ADVICE_DISCARD && arb_tier_overlaps(start, bytes)) return discard(start, bytes);
    if (kind == ADVICE_PLAIN) {
      int status = arb_make_plain(start, bytes);
      if (status != 0) return status;
    }
  }
  if (__builtin_expect(arb_tier_private_overlaps(start, length), 0) &&
      kind_of(advice) == ADVICE_DISCARD && arb_is_range(start, &bytes)) {
    ArbVisit visit = arb_enter();
    arb_tier_private_discard(start, bytes);
    arb_leave(visit);
  }
  return arb_raw(SYS_madvise, (long)start, (long)length, advice, 0, 0, 0);
}

/* mlock holds what it touches; munlock lets go only of chunks that it covers, since the others may
 * be locked in part. */
static void unhold_whole(uint64_t start, uint64_t length) {
  uint64_t first = arb_round_up(start, ARB_TIER_CHUNK_BYTES);
  uint64_t last = arb_round_down(start + length, ARB_TIER_CHUNK_BYTES);
  if (first >= last || !arb_tier_overlaps(first, last - first)) return;
  ArbVisit visit = arb_enter();
  arb_tier_hold(first, last - first, ARB_TIER_HELD_LOCKED, 0);
  arb_leave(visit);
}

ARB_EXPORT int mprotect(void *start, size_t length, int protection) {
  return (int)arb_answer(arb_protect((uint64_t)start, length, protection));
}

/* Keys are lost where memory is mapped anew. */
ARB_EXPORT int pkey_mprotect(void *start, size_t length, int protection, int key) {
  if (key == -1) return mprotect(start, length, protection);
  uint64_t bytes = length;
  if (arb_is_on() && arb_is_range((uint64_t)start, &bytes)) {
    int status = arb_give_up((uint64_t)start, bytes);
    if (status != 0) return (int)arb_answer(status);
  }
  return (int)arb_answer(
      arb_raw(SYS_pkey_mprotect, (long)start, (long)length, protection, key, 0, 0));
}

ARB_EXPORT int madvise(void *start, size_t length, int advice) {
  return (int)arb_answer(arb_advise((uint64_t)start, length, advice));
}

/* To other processes the kernel allows hints only, to oneself all. */
ARB_EXPORT ssize_t process_madvise(int process, const struct iovec *parts, size_t count,
                                   int advice, unsigned flags) {
  for (size_t part = 0; kind_of(advice) != ADVICE_HINT && part < count && arb_is_on(); part++) {
    uint64_t bytes = parts[part].iov_len;
    if (!arb_is_range((uint64_t)parts[part].iov_base, &bytes)) continue;
    int status = arb_make_plain((uint64_t)parts[part].iov_base, bytes);
    if (status != 0) return arb_answer(status);
  }
  return arb_answer(arb_raw(SYS_process_madvise, process, (long)parts, (long)count, advice,
                            flags, 0));
}

ARB_EXPORT int mlock(const void *start, size_t length) {
  arb_hold((uint64_t)start, length, ARB_TIER_HELD_LOCKED);
  return (int)arb_answer(arb_raw(SYS_mlock, (long)start, (long)length, 0, 0, 0, 0));
}

ARB_EXPORT int mlock2(const void *start, size_t length, unsigned flags) {
  arb_hold((uint64_t)start, length, ARB_TIER_HELD_LOCKED);
  return (int)arb_answer(arb_raw(SYS_mlock2, (long)start, (long)length, flags, 0, 0, 0));
}

ARB_EXPORT int munlock(const void *start, size_t length) {
  long answer = arb_raw(SYS_munlock, (long)start, (long)length, 0, 0, 0, 0);
  if (answer == 0 && arb_is_on()) unhold_whole((uint64_t)start, length);
  return (int)arb_answer(answer);
}

#define EVERYTHING (1ull << 47)

ARB_EXPORT int mlockall(int flags) {
  if ((flags & MCL_FUTURE) != 0) __atomic_store_n(&arb_locks_future, 1, __ATOMIC_RELAXED);
  if ((flags & MCL_CURRENT) != 0) arb_hold(0, EVERYTHING, ARB_TIER_HELD_LOCKED);
  return (int)arb_answer(arb_raw(SYS_mlockall, flags, 0, 0, 0, 0, 0));
}

ARB_EXPORT int munlockall(void) {
  __atomic_store_n(&arb_locks_future, 0, __ATOMIC_RELAXED);
  long answer = arb_raw(SYS_munlockall, 0, 0, 0, 0, 0, 0);
  if (answer == 0 && arb_is_on()) unhold_whole(0, EVERYTHING);
  return (int)arb_answer(answer);
}
