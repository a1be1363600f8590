/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * mmap and munmap. New anonymous memory is put under management, chunk by chunk; large mappings
 * begin at a multiple of a chunk, so that all of them is managed. */
#define _GNU_SOURCE
#include "preload.h"

#include <sys/types.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

uint32_t arb_locks_future;

/* 1 if the memory that a call asks for may be managed. What may execute is a compiler's, small, and
 * the slow file's file system may forbid it. */
static int is_wanted(uint64_t length, long protection, long flags) {
  long unwanted = MAP_STACK | MAP_GROWSDOWN | MAP_HUGETLB | MAP_32BIT | MAP_LOCKED;
  if ((flags & MAP_ANONYMOUS) == 0 || (flags & unwanted) != 0) return 0;
  if (length < ARB_RANGE_BYTES_MIN || (protection & PROT_EXEC) != 0) return 0;
  if ((protection & ~(long)(PROT_READ | PROT_WRITE)) != 0) return 0;
  long sharing = flags & MAP_TYPE;
  if (sharing == MAP_SHARED && (length < ARB_TIER_CHUNK_BYTES || protection == PROT_NONE)) return 0;
  if (sharing != MAP_SHARED && sharing != MAP_PRIVATE) return 0;
  return !__atomic_load_n(&arb_locks_future, __ATOMIC_RELAXED);
}

/* A reservation that no two tiers could hold is not memory that the program will use up. Allocators
 * map their heaps so too, bit by bit; of those only what is larger than both tiers is let alone. */
static int is_reservation(uint64_t length, long flags) {
  return (flags & MAP_NORESERVE) != 0 && length > arb_tier_capacity();
}

static void adopt_touched(uint64_t chunk, ArbRange whole) {
  if (chunk < whole.start || chunk + ARB_TIER_CHUNK_BYTES > whole.end) return;
  if (arb_tier_overlaps(chunk, ARB_TIER_CHUNK_BYTES)) return;
  arb_tier_adopt_touched(chunk, ARB_TIER_CHUNK_BYTES, (int)whole.protection);
}

/* Chunks that lie wholly in [start, end), and those at its ends that the neighbours complete. */
static void adopt_range(uint64_t start, uint64_t end, ArbRange whole, int is_touched) {
  uint64_t first = arb_round_up(start, ARB_TIER_CHUNK_BYTES);
  uint64_t last = arb_round_down(end, ARB_TIER_CHUNK_BYTES);
  if (first < last && !is_touched) {
    arb_tier_adopt(first, last - first, (int)whole.protection, ARB_TIER_PRIVATE);
  }
  for (uint64_t chunk = first; is_touched && chunk < last; chunk += ARB_TIER_CHUNK_BYTES)
    adopt_touched(chunk, whole);
  uint64_t before = arb_round_down(start, ARB_TIER_CHUNK_BYTES);
  if (before < start) adopt_touched(before, whole);
  if (last < end && last >= start) adopt_touched(last, whole);
}

void arb_adopt_known(uint64_t start, uint64_t end, ArbRange whole, int is_touched) {
  if (whole.is_plain) return;
  if (end - start < ARB_TIER_CHUNK_BYTES &&
      arb_round_down(whole.end, ARB_TIER_CHUNK_BYTES) <
          arb_round_up(whole.start, ARB_TIER_CHUNK_BYTES) + ARB_TIER_CHUNK_BYTES)
    return; /* no chunk is complete */
  ArbVisit visit = arb_enter();
  adopt_range(start, end, whole, is_touched);
  arb_leave(visit);
}

void arb_adopt_private(uint64_t start, uint64_t end, int protection, int is_touched) {
  ArbVisit visit = arb_enter();
  uint32_t touched = is_touched || protection != PROT_NONE;
  ArbRange whole = arb_ranges_insert((ArbRange){start, end, (uint32_t)protection, touched, 0});
  /* What has no room to be remembered could not be moved by mremap later. */
  if (protection != PROT_NONE && whole.end != 0) adopt_range(start, end, whole, is_touched);
  arb_leave(visit);
}

static void note_new(uint64_t start, uint64_t length, long protection, long flags) {
  if ((flags & MAP_TYPE) == MAP_PRIVATE) {
    arb_adopt_private(start, start + length, (int)protection, 0);
    return;
  }
  ArbVisit visit = arb_enter();
  uint64_t first = arb_round_up(start, ARB_TIER_CHUNK_BYTES);
  uint64_t last = arb_round_down(start + length, ARB_TIER_CHUNK_BYTES);
  if (first < last) arb_tier_adopt(first, last - first, (int)protection, ARB_TIER_SHARED);
  arb_leave(visit);
}

long arb_map_at_chunk(uint64_t length, long protection, long flags) {
  uint64_t unit = ARB_TIER_CHUNK_BYTES;
  long answer = arb_raw(SYS_mmap, 0, (long)length, protection, flags, -1, 0);
  if (arb_is_error(answer) || (uint64_t)answer % unit == 0) return answer;
  /* First a place, at which nobody else can then map anything, and there the memory. */
  long place = arb_raw(SYS_mmap, 0, (long)(length + unit), PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (arb_is_error(place)) return answer;
  uint64_t start = arb_round_up((uint64_t)place, unit);
  long better = arb_raw(SYS_mmap, (long)start, (long)length, protection, flags | MAP_FIXED, -1, 0);
  if (arb_is_error(better)) {
    arb_raw(SYS_munmap, place, (long)(length + unit), 0, 0, 0, 0);
    return answer;
  }
  uint64_t front = start - (uint64_t)place;
  if (front != 0) arb_raw(SYS_munmap, place, (long)front, 0, 0, 0, 0);
  if (front != unit)
    arb_raw(SYS_munmap, (long)(start + length), (long)(unit - front), 0, 0, 0, 0);
  arb_raw(SYS_munmap, answer, (long)length, 0, 0, 0, 0);
  return better;
}

/* A mapping over others. */
static long map_over(uint64_t address, uint64_t length, long protection, long flags, long fd,
                     long offset) {
  arb_ranges_remove(address, address + length);
  if (!arb_tier_overlaps(address, length))
    return arb_raw(SYS_mmap, (long)address, (long)length, protection, flags, fd, offset);
  ArbVisit visit = arb_enter();
  long answer = arb_tier_release_begin(address, length);
  if (answer == 0) {
    answer = arb_raw(SYS_mmap, (long)address, (long)length, protection, flags, fd, offset);
    if (arb_is_error(answer)) arb_tier_release_failed();
    arb_tier_unlock();
  }
  arb_leave(visit);
  return answer;
}

long arb_map(uint64_t address, uint64_t length, long protection, long flags, long fd,
             long offset) {
  uint64_t bytes = length;
  int is_fixed = (flags & MAP_FIXED) != 0 && (flags & MAP_FIXED_NOREPLACE) == 0;
  int wants = is_wanted(length, protection, flags) && arb_is_range(0, &bytes);
  if (wants && !arb_is_on()) wants = length >= ARB_TIER_CHUNK_BYTES && arb_join_again();
  if (!arb_is_on())
    return arb_raw(SYS_mmap, (long)address, (long)length, protection, flags, fd, offset);
  if (is_reservation(length, flags)) wants = 0;
  long populate = flags & MAP_POPULATE;
  if (wants) flags &= ~(long)MAP_POPULATE;
  long answer;
  if (is_fixed && arb_is_range(address, &bytes)) {
    answer = map_over(address, bytes, protection, flags, fd, offset);
  } else if (wants && address == 0 && bytes >= ARB_TIER_CHUNK_BYTES && protection != PROT_NONE) {
    answer = arb_map_at_chunk(bytes, protection, flags);
  } else {
    answer = arb_raw(SYS_mmap, (long)address, (long)length, protection, flags, fd, offset);
  }
  if (arb_is_error(answer)) return answer;
  if (!is_fixed && arb_tier_overlaps((uint64_t)answer, length)) {
    /* What was managed here was unmapped behind our back. Nobody knows the new memory yet, so it
     * can be mapped once more, while nothing moves. */
    long again = map_over((uint64_t)answer, arb_round_up(length, ARB_PAGE_BYTES), protection,
                          (flags & ~(long)MAP_FIXED_NOREPLACE) | MAP_FIXED, fd, offset);
    if (arb_is_error(again)) return answer;
  }
  if (!wants) return answer;
  note_new((uint64_t)answer, bytes, protection, flags);
  if (populate != 0 && protection != PROT_NONE) {
    /* Once it lies where it is to lie. That it may fail is in the promise of MAP_POPULATE. */
    int advice = (protection & PROT_WRITE) != 0 ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
    arb_raw(SYS_madvise, answer, (long)bytes, advice, 0, 0, 0);
  }
  return answer;
}

long arb_unmap(uint64_t address, uint64_t length) {
  uint64_t bytes = length;
  if (!arb_is_on() || !arb_is_range(address, &bytes))
    return arb_raw(SYS_munmap, (long)address, (long)length, 0, 0, 0, 0);
  arb_ranges_remove(address, address + bytes);
  if (!arb_tier_overlaps(address, bytes))
    return arb_raw(SYS_munmap, (long)address, (long)length, 0, 0, 0, 0);
  ArbVisit visit = arb_enter();
  long answer = arb_tier_release_begin(address, bytes);
  if (answer == 0) {
    answer = arb_raw(SYS_munmap, (long)address, (long)bytes, 0, 0, 0, 0);
    if (arb_is_error(answer)) arb_tier_release_failed();
    arb_tier_unlock();
  }
  arb_leave(visit);
  return answer;
}

ARB_EXPORT void *mmap(void *address, size_t length, int protection, int flags, int fd,
                      off_t offset) {
  return (void *)arb_answer(arb_map((uint64_t)address, length, protection, flags, fd, offset));
}

ARB_EXPORT void *mmap64(void *address, size_t length, int protection, int flags, int fd,
                        int64_t offset) {
  return (void *)arb_answer(arb_map((uint64_t)address, length, protection, flags, fd, offset));
}

ARB_EXPORT int munmap(void *address, size_t length) {
  return (int)arb_answer(arb_unmap((uint64_t)address, length));
}
