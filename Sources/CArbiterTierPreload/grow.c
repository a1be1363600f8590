/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * mremap. The kernel moves one mapping at a time, and managed memory may consist of several, as
 * memory does that was managed once. So what a program sees as one mapping is grown and moved here
 * in the pieces of which it consists; what cannot be understood goes to the kernel as it is, after
 * the memory has been made plain. */
#define _GNU_SOURCE
#include "preload.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static int bring_home(uint64_t start, uint64_t length) {
  if (!arb_tier_overlaps(start, length)) return 0;
  ArbVisit visit = arb_enter();
  int status = arb_tier_home(start, length);
  arb_leave(visit);
  return status;
}

int arb_give_up(uint64_t start, uint64_t length) {
  arb_ranges_remove(start, start + length);
  return bring_home(start, length);
}

int arb_make_plain(uint64_t start, uint64_t length) {
  arb_ranges_make_plain(start, start + length);
  return bring_home(start, length);
}

static long remap(uint64_t old, uint64_t old_length, uint64_t new_length, long flags,
                  uint64_t target) {
  return arb_raw(SYS_mremap, (long)old, (long)old_length, (long)new_length, flags, (long)target, 0);
}

/* Moves plain memory over the fresh memory at the target, in the largest pieces that are one
 * mapping each. Where the kernel refuses even a page, it is copied. Nothing of it stays mapped,
 * or, with MREMAP_DONTUNMAP, all of it, and empty; what has moved is not unmapped, as another
 * thread may have mapped something there already. */
static void move_pieces(uint64_t old, uint64_t length, uint64_t target, long keeps) {
  static const uint64_t sizes[] = {UINT64_MAX, ARB_TIER_CHUNK_BYTES, ARB_TIER_ISLAND_BYTES,
                                   ARB_PAGE_BYTES};
  uint64_t done = 0;
  while (done < length) {
    uint64_t moved = 0;
    for (int size = 0; size < 4 && moved == 0; size++) {
      uint64_t piece = length - done;
      /* To the next multiple of the size, so that pieces end where mappings may. */
      uint64_t edge = size == 0 ? piece : sizes[size] - (old + done) % sizes[size];
      if (edge < piece) piece = edge;
      if (!arb_is_error(remap(old + done, piece, piece, MREMAP_MAYMOVE | MREMAP_FIXED | keeps,
                              target + done)))
        moved = piece;
    }
    if (moved == 0) {
      moved = ARB_PAGE_BYTES;
      memcpy((void *)(target + done), (const void *)(old + done), moved);
      if (keeps != 0)
        arb_raw(SYS_madvise, (long)(old + done), (long)moved, MADV_DONTNEED, 0, 0, 0);
      else
        arb_raw(SYS_munmap, (long)(old + done), (long)moved, 0, 0, 0, 0);
    }
    done += moved;
  }
}

/* Memory that holds data is known at this place from now on. */
static void note(uint64_t start, uint64_t length, ArbRange known) {
  if (!known.is_plain) {
    arb_adopt_private(start, start + length, (int)known.protection, 1);
    return;
  }
  known.start = start;
  known.end = start + length;
  ArbVisit visit = arb_enter();
  arb_ranges_insert(known);
  arb_leave(visit);
}

/* Grows memory where it is: maps the rest behind it, if nothing is there. */
static int grow_in_place(uint64_t old, uint64_t old_length, uint64_t new_length, ArbRange known) {
  uint64_t end = old + old_length, more = new_length - old_length;
  long answer = arb_raw(SYS_mmap, (long)end, (long)more, (long)known.protection,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (arb_is_error(answer)) return 0;
  if ((uint64_t)answer != end) { /* a kernel without the flag */
    arb_raw(SYS_munmap, answer, (long)more, 0, 0, 0, 0);
    return 0;
  }
  if (arb_is_on()) arb_adopt_private(end, end + more, (int)known.protection, 0);
  return 1;
}

/* Moves plain memory to new memory, at a place if it is not 0. */
static long move_to_new(uint64_t old, uint64_t old_length, uint64_t new_length, long keeps,
                        uint64_t place, ArbRange known) {
  /* Writable for the moment, for what has to be copied. */
  const long protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
  long target = place == 0 ? arb_map_at_chunk(new_length, protection, flags)
                           : arb_raw(SYS_mmap, (long)place, (long)new_length, protection,
                                     flags | MAP_FIXED, -1, 0);
  if (arb_is_error(target)) return target;
  move_pieces(old, old_length < new_length ? old_length : new_length, (uint64_t)target, keeps);
  if (known.protection != protection)
    arb_raw(SYS_mprotect, target, (long)new_length, (long)known.protection, 0, 0, 0);
  return target;
}

/* Memory that is known to be anonymous, private and of one protection. */
static long grow(uint64_t old, uint64_t old_length, uint64_t new_length, long flags,
                 ArbRange known) {
  if (grow_in_place(old, old_length, new_length, known)) return (long)old;
  if ((flags & MREMAP_MAYMOVE) == 0) return -ENOMEM;
  /* Made plain before anything else, so that a failure leaves all as it was. */
  int status = arb_give_up(old, old_length);
  if (status != 0) return status;
  long target = move_to_new(old, old_length, new_length, 0, 0, known);
  if (!arb_is_error(target)) arb_tier_private_moved(old, (uint64_t)target, new_length);
  note(arb_is_error(target) ? old : (uint64_t)target,
       arb_is_error(target) ? old_length : new_length, known);
  return target;
}

static long shrink(uint64_t old, uint64_t old_length, uint64_t new_length) {
  long answer = arb_unmap(old + new_length, old_length - new_length);
  return arb_is_error(answer) ? answer : (long)old;
}

static int are_apart(uint64_t one, uint64_t one_length, uint64_t other, uint64_t other_length) {
  return one + one_length <= other || other + other_length <= one;
}

/* What the kernel can do with plain memory that is known, and in pieces where it cannot. */
static long move_known(uint64_t old, uint64_t old_length, uint64_t new_length, long flags,
                       uint64_t place, ArbRange known) {
  long keeps = flags & MREMAP_DONTUNMAP, answer;
  int is_fixed = (flags & MREMAP_FIXED) != 0;
  int is_sound = (flags & MREMAP_MAYMOVE) != 0 && (keeps == 0 || old_length == new_length) &&
                 (!is_fixed || (place % ARB_PAGE_BYTES == 0 &&
                                are_apart(old, old_length, place, new_length)));
  if (!is_sound) {
    answer = remap(old, old_length, new_length, flags, place);
    if (answer == -EFAULT && flags == 0) answer = -ENOMEM; /* it can be grown by moving only */
  } else {
    /* What is cut off goes at the end, so that a refusal leaves all as it was. */
    uint64_t moved = old_length < new_length ? old_length : new_length;
    answer = remap(old, is_fixed ? moved : old_length, new_length, flags, place);
    if (answer == -EFAULT)
      answer = move_to_new(old, old_length, new_length, keeps, is_fixed ? place : 0, known);
    if (!arb_is_error(answer) && is_fixed && moved < old_length)
      arb_raw(SYS_munmap, (long)(old + moved), (long)(old_length - moved), 0, 0, 0, 0);
  }
  if (arb_is_error(answer)) {
    note(old, old_length, known);
    return answer;
  }
  arb_tier_private_moved(old, (uint64_t)answer, new_length);
  note((uint64_t)answer, new_length, known);
  if (keeps != 0) note(old, old_length, known);
  return answer;
}

/* Memory that a fork left in pieces, some perhaps slots: never made longer by the kernel. */
static long remap_inherited(uint64_t old, uint64_t old_length, uint64_t new_length, long flags,
                            uint64_t place) {
  ArbRange known = {.start = old, .end = old + old_length, .is_touched = 1, .is_plain = 1};
  ArbVisit visit = arb_enter();
  int protection = arb_tier_private_protection(old, old_length);
  arb_leave(visit);
  known.protection = (uint32_t)protection;
  int is_fixed = (flags & MREMAP_FIXED) != 0, is_movable = (flags & MREMAP_MAYMOVE) != 0;
  if (protection >= 0 && !is_fixed && new_length > old_length &&
      grow_in_place(old, old_length, new_length, known))
    return (long)old;
  if (protection >= 0 && !is_movable && new_length > old_length) return -ENOMEM;
  long answer = -EFAULT;
  if (protection < 0 || new_length <= old_length) {
    answer = remap(old, old_length, new_length, flags, place);
    if (answer != -EFAULT || protection < 0) return answer;
  }
  int is_sound = is_movable && ((flags & MREMAP_DONTUNMAP) == 0 || old_length == new_length) &&
                 (!is_fixed || (place % ARB_PAGE_BYTES == 0 &&
                                are_apart(old, old_length, place, new_length)));
  if (!is_sound) return is_movable ? -EINVAL : answer;
  answer = move_to_new(old, old_length, new_length, flags & MREMAP_DONTUNMAP,
                       is_fixed ? place : 0, known);
  if (!arb_is_error(answer) && new_length < old_length)
    arb_raw(SYS_munmap, (long)(old + new_length), (long)(old_length - new_length), 0, 0, 0, 0);
  return answer;
}

/* Memory of which nothing is remembered: the child's of a fork, or none of ours. */
static long remap_unknown(uint64_t old, uint64_t old_length, uint64_t new_length, long flags,
                          uint64_t place) {
  long answer = -EFAULT;
  /* What was all fast at the fork holds no slot, and is in pieces if some of it was slow before. */
  if (!arb_tier_private_overlaps(old, old_length))
    answer = remap(old, old_length, new_length, flags, place);
  if (answer == -EFAULT) answer = remap_inherited(old, old_length, new_length, flags, place);
  if (!arb_is_error(answer)) arb_tier_private_moved(old, (uint64_t)answer, new_length);
  return answer;
}

long arb_remap(uint64_t old, uint64_t old_length, uint64_t new_length, long flags, uint64_t new) {
  uint64_t old_bytes = old_length, new_bytes = new_length;
  if (arb_is_on() && old_length == 0 && arb_is_range(old, &new_bytes)) {
    /* The same shared memory once more, which nobody would change when it moves. */
    int status = arb_give_up(old, new_bytes);
    if (status != 0) return status;
  }
  int is_range = arb_is_range(old, &old_bytes) && arb_is_range(0, &new_bytes);
  if (!is_range) return remap(old, old_length, new_length, flags, new);
  if (!arb_is_on()) return remap_unknown(old, old_bytes, new_bytes, flags, new);
  ArbRange known = arb_ranges_find(old);
  int is_known = known.start <= old && known.end >= old + old_bytes && known.protection != 0;
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) == 0 && is_known) {
    if (new_bytes == old_bytes) return (long)old;
    if (new_bytes < old_bytes) return shrink(old, old_bytes, new_bytes);
    if (!known.is_plain && (arb_tier_overlaps(old, old_bytes) || new_bytes >= ARB_TIER_CHUNK_BYTES))
      return grow(old, old_bytes, new_bytes, flags, known);
  }
  int status = arb_give_up(old, old_bytes);
  if (status != 0) return status;
  if ((flags & MREMAP_FIXED) != 0) {
    /* What lies at the target goes away. */
    status = arb_give_up(new, new_bytes);
    if (status != 0) return status;
  }
  if (is_known) return move_known(old, old_bytes, new_bytes, flags, new, known);
  return remap_unknown(old, old_bytes, new_bytes, flags, new);
}

ARB_EXPORT void *mremap(void *old, size_t old_length, size_t new_length, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  uint64_t target = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0
                        ? (uint64_t)va_arg(rest, void *) : 0;
  va_end(rest);
  return (void *)arb_answer(arb_remap((uint64_t)old, old_length, new_length, flags, target));
}
