/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which anonymous private memory the program has mapped, so that neighbouring mappings add up to
 * chunks, and reservations are noticed when they become accessible. A sorted array of fixed size in
 * memory of our own. When it is full, new mappings are not remembered and stay unmanaged.
 *
 * What is forgotten too early costs management; what is forgotten too late could cost the program
 * its data. So a range is removed before the call that unmaps it and inserted after the one that
 * maps it, and no lock is held over the call.
 */
#define _GNU_SOURCE
#include "preload.h"

#include <linux/futex.h>
#include <string.h>

#define RANGE_COUNT_MAX 32768u

static ArbRange *ranges;
static uint32_t range_count;
static uint32_t lock_word; /* 0 free, 1 held, 2 held and waited for */

/* Bounds of all that was ever remembered: most calls are for memory outside. */
static uint64_t lowest = UINT64_MAX, highest;

void arb_ranges_lock(void) {
  uint32_t expected = 0;
  /* Acquire, with the release of arb_ranges_unlock. */
  if (__atomic_compare_exchange_n(&lock_word, &expected, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
    return;
  while (__atomic_exchange_n(&lock_word, 2, __ATOMIC_ACQUIRE) != 0)
    arb_raw(SYS_futex, (long)&lock_word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 2, 0, 0, 0);
}

void arb_ranges_unlock(void) {
  if (__atomic_exchange_n(&lock_word, 0, __ATOMIC_RELEASE) == 2)
    arb_raw(SYS_futex, (long)&lock_word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0);
}

void arb_ranges_reset(void) {
  range_count = 0;
  lowest = UINT64_MAX;
  highest = 0;
  lock_word = 0;
}

/* The first range that ends after the address. */
static uint32_t find(uint64_t address) {
  uint32_t low = 0, high = range_count;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (ranges[middle].end > address) high = middle;
    else low = middle + 1;
  }
  return low;
}

static int has_room(uint32_t more) {
  if (ranges == NULL) {
    long answer = arb_raw(SYS_mmap, 0, RANGE_COUNT_MAX * sizeof *ranges, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arb_is_error(answer)) return 0;
    ranges = (ArbRange *)answer;
  }
  return range_count + more <= RANGE_COUNT_MAX;
}

static void erase(uint32_t index, uint32_t count) {
  memmove(&ranges[index], &ranges[index + count],
          (range_count - index - count) * sizeof *ranges);
  range_count -= count;
}

static void put(uint32_t index, ArbRange range) {
  memmove(&ranges[index + 1], &ranges[index], (range_count - index) * sizeof *ranges);
  ranges[index] = range;
  range_count++;
}

static void cut(uint64_t start, uint64_t end) {
  uint32_t index = find(start);
  if (index < range_count && ranges[index].start < start) {
    if (ranges[index].end > end) {
      ArbRange rest = ranges[index];
      rest.start = end;
      ranges[index].end = start;
      /* Without room for the rest it is forgotten. */
      if (has_room(1)) put(index + 1, rest);
      return;
    }
    ranges[index].end = start;
    index++;
  }
  uint32_t last = index;
  while (last < range_count && ranges[last].end <= end) last++;
  if (last > index) erase(index, last - index);
  if (index < range_count && ranges[index].start < end) ranges[index].start = end;
}

static int are_alike(const ArbRange *one, const ArbRange *other) {
  return one->protection == other->protection && one->is_plain == other->is_plain &&
         (one->protection != PROT_NONE || one->is_touched == other->is_touched);
}

/* Joins neighbours of one kind from the one before `start` to the one after `end`. */
static void join(uint64_t start, uint64_t end) {
  uint32_t index = find(start);
  if (index > 0) index--;
  while (index + 1 < range_count && ranges[index].start <= end) {
    ArbRange *one = &ranges[index], *next = &ranges[index + 1];
    if (one->end != next->start || !are_alike(one, next)) {
      index++;
      continue;
    }
    one->end = next->end;
    one->is_touched |= next->is_touched;
    erase(index + 1, 1);
  }
}

static ArbRange at(uint64_t address) {
  uint32_t index = find(address);
  if (index < range_count && ranges[index].start <= address) return ranges[index];
  return (ArbRange){0};
}

/* 1 if no remembered range can overlap. Relaxed: whoever unmaps memory has seen it mapped, and the
 * program orders the two. */
static int is_outside(uint64_t start, uint64_t end) {
  return end <= __atomic_load_n(&lowest, __ATOMIC_RELAXED) ||
         start >= __atomic_load_n(&highest, __ATOMIC_RELAXED);
}

void arb_ranges_remove(uint64_t start, uint64_t end) {
  if (is_outside(start, end)) return;
  ArbVisit visit = arb_enter();
  arb_ranges_lock();
  cut(start, end);
  arb_ranges_unlock();
  arb_leave(visit);
}

ArbRange arb_ranges_insert(ArbRange range) {
  ArbRange answer = {0};
  arb_ranges_lock();
  if (has_room(2)) {
    cut(range.start, range.end);
    put(find(range.start), range);
    join(range.start, range.end);
    answer = at(range.start);
    if (range.start < lowest) __atomic_store_n(&lowest, range.start, __ATOMIC_RELAXED);
    if (range.end > highest) __atomic_store_n(&highest, range.end, __ATOMIC_RELAXED);
  }
  arb_ranges_unlock();
  return answer;
}

/* Splits the range that holds an address, so that one begins there. */
static void split(uint64_t address) {
  uint32_t index = find(address);
  if (index >= range_count || ranges[index].start >= address) return;
  ArbRange rest = ranges[index];
  rest.start = address;
  ranges[index].end = address;
  put(index + 1, rest);
}

void arb_ranges_make_plain(uint64_t start, uint64_t end) {
  if (is_outside(start, end)) return;
  ArbVisit visit = arb_enter();
  arb_ranges_lock();
  if (has_room(2)) {
    split(start);
    split(end);
    for (uint32_t index = find(start); index < range_count && ranges[index].end <= end; index++)
      ranges[index].is_plain = 1;
    join(start, end);
  } else {
    cut(start, end);
  }
  arb_ranges_unlock();
  arb_leave(visit);
}

ArbRange arb_ranges_protect(uint64_t start, uint64_t end, int protection, int *was_fresh) {
  ArbRange none = {0}, answer = none;
  *was_fresh = 0;
  if (is_outside(start, end)) return none;
  arb_ranges_lock();
  if (!has_room(2)) {
    cut(start, end);
    arb_ranges_unlock();
    return none;
  }
  split(start);
  split(end);
  uint64_t reached = start;
  int is_fresh = 1;
  for (uint32_t index = find(start); index < range_count && ranges[index].end <= end; index++) {
    if (ranges[index].start != reached || ranges[index].is_touched) is_fresh = 0;
    reached = ranges[index].end;
    ranges[index].protection = (uint32_t)protection;
    if (protection != PROT_NONE) ranges[index].is_touched = 1;
  }
  if (reached != end) is_fresh = 0;
  join(start, end);
  answer = at(start);
  *was_fresh = is_fresh;
  arb_ranges_unlock();
  return answer;
}

ArbRange arb_ranges_find(uint64_t address) {
  ArbRange answer = {0};
  if (is_outside(address, address + 1)) return answer;
  ArbVisit visit = arb_enter();
  arb_ranges_lock();
  answer = at(address);
  arb_ranges_unlock();
  arb_leave(visit);
  return answer;
}
