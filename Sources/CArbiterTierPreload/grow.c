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

int arb_give_up(uint64_t start, uint64_t length) {
  arb_ranges_remove(start, start + length);
  if (!arb_tier_overlaps(start, length)) return 0;
  ArbVisit visit = arb_enter();
  int status = arb_tier_home(start, length);
  arb_leave(visit);
  return status;
}

static long remap(uint64_t old, uint64_t old_length, uint64_t new_length, long flags,
                  uint64_t target) {
  return arb_raw(SYS_mremap, (long)old, (long)old_length, (long)new_length, flags, (long)target, 0);
}

/* Moves plain memory over the fresh memory at the target, in the largest pieces that are one
 * mapping each. Where the kernel refuses even a page, it is copied. Nothing of it stays mapped;
 * what has moved is not unmapped, as another thread may have mapped something there already. */
static void move_pieces(uint64_t old, uint64_t length, uint64_t target) {
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
      if (!arb_is_error(remap(old + done, piece, piece, MREMAP_MAYMOVE | MREMAP_FIXED,
                              target + done)))
        moved = piece;
    }
    if (moved == 0) {
      moved = ARB_PAGE_BYTES;
      memcpy((void *)(target + done), (const void *)(old + done), moved);
      arb_raw(SYS_munmap, (long)(old + done), (long)moved, 0, 0, 0, 0);
    }
    done += moved;
  }
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
  arb_adopt_private(end, end + more, (int)known.protection, 0);
  return 1;
}

/* Memory that is known to be anonymous, private and of one protection. */
static long grow(uint64_t old, uint64_t old_length, uint64_t new_length, long flags,
                 ArbRange known) {
  if (grow_in_place(old, old_length, new_length, known)) return (long)old;
  if ((flags & MREMAP_MAYMOVE) == 0) return -ENOMEM;
  /* Made plain before anything else, so that a failure leaves all as it was. */
  int status = arb_give_up(old, old_length);
  if (status != 0) return status;
  /* Writable for the moment, for what has to be copied. */
  long target =
      arb_map_at_chunk(new_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (arb_is_error(target)) return target;
  move_pieces(old, old_length, (uint64_t)target);
  if (known.protection != (PROT_READ | PROT_WRITE))
    arb_raw(SYS_mprotect, target, (long)new_length, (long)known.protection, 0, 0, 0);
  arb_adopt_private((uint64_t)target, (uint64_t)target + new_length, (int)known.protection, 1);
  return target;
}

static long shrink(uint64_t old, uint64_t old_length, uint64_t new_length) {
  long answer = arb_unmap(old + new_length, old_length - new_length);
  return arb_is_error(answer) ? answer : (long)old;
}

/* MREMAP_DONTUNMAP of memory in pieces: what was there moves, and empty memory takes its place. */
static long move_contents(uint64_t old, uint64_t length, ArbRange known) {
  long target = arb_map_at_chunk(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (arb_is_error(target)) return target;
  move_pieces(old, length, (uint64_t)target);
  if (known.protection != (PROT_READ | PROT_WRITE))
    arb_raw(SYS_mprotect, target, (long)length, (long)known.protection, 0, 0, 0);
  arb_adopt_private((uint64_t)target, (uint64_t)target + length, (int)known.protection, 1);
  long answer = arb_raw(SYS_mmap, (long)old, (long)length, (long)known.protection,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (!arb_is_error(answer))
    arb_adopt_private(old, old + length, (int)known.protection, 0);
  return target;
}

long arb_remap(uint64_t old, uint64_t old_length, uint64_t new_length, long flags, uint64_t new) {
  uint64_t old_bytes = old_length, new_bytes = new_length;
  if (!arb_is_on() || !arb_is_range(old, &old_bytes) || !arb_is_range(0, &new_bytes))
    return remap(old, old_length, new_length, flags, new);
  ArbRange known = arb_ranges_find(old);
  int is_known = known.start <= old && known.end >= old + old_bytes && known.protection != 0;
  long odd = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
  if (!odd && is_known) {
    if (new_bytes == old_bytes) return (long)old;
    if (new_bytes < old_bytes) return shrink(old, old_bytes, new_bytes);
    if (arb_tier_overlaps(old, old_bytes) || new_bytes >= ARB_TIER_CHUNK_BYTES)
      return grow(old, old_bytes, new_bytes, flags, known);
  }
  int status = arb_give_up(old, old_bytes);
  if (status != 0) return status;
  if ((flags & MREMAP_FIXED) == 0) {
    long answer = remap(old, old_length, new_length, flags, new);
    int is_left_empty = (flags & MREMAP_DONTUNMAP) != 0 && new_bytes == old_bytes;
    return answer == -EFAULT && is_known && is_left_empty
               ? move_contents(old, old_bytes, known) : answer;
  }
  /* What lies at the target goes away. */
  status = arb_give_up(new, new_bytes);
  if (status != 0) return status;
  long answer = remap(old, old_length, new_length, flags, new);
  int is_pieces = answer == -EFAULT && is_known && new_bytes <= old_bytes &&
                  (flags & MREMAP_DONTUNMAP) == 0 && new % ARB_PAGE_BYTES == 0 &&
                  (new + new_bytes <= old || old + old_bytes <= new);
  if (!is_pieces) {
    if (is_known && !arb_is_error(answer) && (flags & MREMAP_DONTUNMAP) == 0 &&
        new_bytes <= old_bytes)
      arb_adopt_private(new, new + new_bytes, (int)known.protection, 1);
    return answer;
  }
  answer = arb_raw(SYS_mmap, (long)new, (long)new_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (arb_is_error(answer)) return answer;
  move_pieces(old, new_bytes, new);
  if (old_bytes > new_bytes)
    arb_raw(SYS_munmap, (long)(old + new_bytes), (long)(old_bytes - new_bytes), 0, 0, 0, 0);
  arb_raw(SYS_mprotect, (long)new, (long)new_bytes, (long)known.protection, 0, 0, 0);
  /* Known from now on as what it was: it may have to be moved in pieces again. */
  arb_adopt_private(new, new + new_bytes, (int)known.protection, 1);
  return (long)new;
}

ARB_EXPORT void *mremap(void *old, size_t old_length, size_t new_length, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  uint64_t target = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0
                        ? (uint64_t)va_arg(rest, void *) : 0;
  va_end(rest);
  return (void *)arb_answer(arb_remap((uint64_t)old, old_length, new_length, flags, target));
}
