/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The ranges in which accesses are recorded: few, changed seldom, read on every access that leaves
 * a thread's range. Changes are made under a lock, into a copy of the table, which then replaces
 * the one that is read; a reader that meets a change looks again.
 */
#define _GNU_SOURCE
#include "hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define RANGE_COUNT 64

uint64_t arb_hooks_low, arb_hooks_bytes;
uint32_t arb_hooks_generation;

/* The newest range first, so that a range inside another one is found first. `sequence` is odd
 * while the table is being written. */
static struct {
  uint32_t sequence;
  uint32_t count;
  uint64_t words[RANGE_COUNT][4];
} table;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static ArbHookRange range_at(uint32_t index) {
  /* Acquire, so that the second look at the sequence stays behind. */
  uint64_t *words = table.words[index];
  return (ArbHookRange){__atomic_load_n(&words[0], __ATOMIC_ACQUIRE),
                        __atomic_load_n(&words[1], __ATOMIC_ACQUIRE),
                        __atomic_load_n(&words[2], __ATOMIC_ACQUIRE),
                        (int32_t)__atomic_load_n(&words[3], __ATOMIC_ACQUIRE)};
}

/* One look; 1 found, 0 not there, -1 the table was being written. */
static int look(uint64_t address, ArbHookRange *range) {
  /* Acquires what `publish` released. */
  uint32_t before = __atomic_load_n(&table.sequence, __ATOMIC_ACQUIRE);
  if ((before & 1) != 0) return -1;
  uint32_t count = __atomic_load_n(&table.count, __ATOMIC_ACQUIRE);
  int is_found = 0;
  /* A range in front of the one found, and inside it, ends it where it begins. */
  uint64_t low = 0, high = UINT64_MAX;
  for (uint32_t index = 0; index < count && index < RANGE_COUNT && !is_found; index++) {
    ArbHookRange each = range_at(index);
    if (address - each.start < each.bytes) {
      *range = each;
      is_found = 1;
    } else if (address < each.start) {
      if (each.start < high) high = each.start;
    } else if (each.start + each.bytes > low) {
      low = each.start + each.bytes;
    }
  }
  if (__atomic_load_n(&table.sequence, __ATOMIC_RELAXED) != before) return -1;
  if (!is_found) return 0;
  if (low > range->start) {
    range->offset += low - range->start;
    range->bytes -= low - range->start;
    range->start = low;
  }
  if (high - range->start < range->bytes) range->bytes = high - range->start;
  return 1;
}

int arb_hook_range_find(uint64_t address, ArbHookRange *range) {
  /* Bounded: whoever writes the table may be the thread that a handler has interrupted. */
  for (int turn = 0; turn < 1000; turn++) {
    int answer = look(address, range);
    if (answer >= 0) return answer;
    arb_pause();
  }
  return 0;
}

/* Puts ranges in force. Called under the lock. */
static void publish(const ArbHookRange *ranges, uint32_t count) {
  uint32_t sequence = __atomic_load_n(&table.sequence, __ATOMIC_RELAXED);
  /* Acquire-release, so that the fields below are not written before the sequence is odd. */
  __atomic_exchange_n(&table.sequence, sequence | 1, __ATOMIC_ACQ_REL);
  uint64_t low = UINT64_MAX, high = 0;
  for (uint32_t index = 0; index < count; index++) {
    const ArbHookRange *range = &ranges[index];
    uint64_t words[4] = {range->start, range->bytes, range->offset, (uint64_t)range->region};
    for (int word = 0; word < 4; word++) {
      __atomic_store_n(&table.words[index][word], words[word], __ATOMIC_RELEASE);
    }
    if (range->start < low) low = range->start;
    if (range->start + range->bytes > high) high = range->start + range->bytes;
  }
  __atomic_store_n(&table.count, count, __ATOMIC_RELEASE);
  __atomic_store_n(&table.sequence, (sequence | 1) + 1, __ATOMIC_RELEASE);
  /* Relaxed: an access in between is looked up in the table, which is whole. */
  __atomic_store_n(&arb_hooks_bytes, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&arb_hooks_low, low, __ATOMIC_RELAXED);
  __atomic_store_n(&arb_hooks_bytes, count == 0 ? 0 : high - low, __ATOMIC_RELAXED);
  __atomic_fetch_add(&arb_hooks_generation, 1, __ATOMIC_RELAXED);
}

int arb_hook_range_add(const ArbHookRange *range) {
  int status = -ENOSPC;
  ArbHookRange ranges[RANGE_COUNT];
  pthread_mutex_lock(&lock);
  if (table.count < RANGE_COUNT) {
    ranges[0] = *range;
    for (uint32_t index = 0; index < table.count; index++) ranges[index + 1] = range_at(index);
    publish(ranges, table.count + 1);
    status = 0;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

void arb_hook_range_remove(uint64_t start, uint64_t bytes) {
  ArbHookRange ranges[RANGE_COUNT];
  uint32_t count = 0;
  uint64_t end = start + bytes;
  pthread_mutex_lock(&lock);
  for (uint32_t index = 0; index < table.count; index++) {
    ArbHookRange range = range_at(index);
    uint64_t range_end = range.start + range.bytes;
    if (range_end <= start || range.start >= end) {
      if (count < RANGE_COUNT) ranges[count++] = range;
      continue;
    }
    if (range.start < start && count < RANGE_COUNT) {
      ranges[count++] =
          (ArbHookRange){range.start, start - range.start, range.offset, range.region};
    }
    if (range_end > end && count < RANGE_COUNT) {
      ranges[count++] =
          (ArbHookRange){end, range_end - end, range.offset + (end - range.start), range.region};
    }
  }
  publish(ranges, count);
  pthread_mutex_unlock(&lock);
}

uint64_t arb_hook_range_bytes(uint64_t start) {
  uint64_t bytes = 0;
  pthread_mutex_lock(&lock);
  for (uint32_t index = 0; index < table.count && bytes == 0; index++) {
    ArbHookRange range = range_at(index);
    if (range.start == start) bytes = range.bytes;
  }
  pthread_mutex_unlock(&lock);
  return bytes;
}

void arb_hook_ranges_reset(void) {
  /* Whoever held the lock stayed in the parent, perhaps in the middle of a change. */
  pthread_mutex_init(&lock, NULL);
  if ((table.sequence & 1) != 0) {
    table.sequence++;
    table.count = 0;
  }
}

void arb_hook_mapped(uint64_t start, uint64_t bytes, int descriptor, uint64_t offset) {
  int saved_errno = errno;
  struct stat facts;
  if (fstat(descriptor, &facts) == 0 && offset + bytes <= ARB_TRACE_OFFSET_MAX) {
    char link[64], name[ARB_TRACE_NAME_BYTES];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, name, sizeof name - 1);
    name[length > 0 ? length : 0] = 0;
    /* As in the kernel's list of mappings, so that the preload and the hooks mean the same. */
    uint64_t device = (uint64_t)major(facts.st_dev) << 32 | minor(facts.st_dev);
    ArbHookRange range = {start, bytes, offset, 0};
    range.region = arb_trace_region_find(arb_hooks_session, ARB_TRACE_REGION_FILE, device,
                                         facts.st_ino, name, offset + bytes);
    if (range.region >= 0) (void)arb_hook_range_add(&range);
  }
  errno = saved_errno;
}

void arb_hook_region_reach(int32_t region, uint64_t end) {
  ArbTraceRegionEntry *entry = &arb_trace_regions(arb_hooks_session)[region];
  uint64_t known = __atomic_load_n(&entry->byte_count, __ATOMIC_RELAXED);
  while (known < end && !__atomic_compare_exchange_n(&entry->byte_count, &known, end, 0,
                                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}
