/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which interleave set and which region of a recording an address belongs to. The kernel's list of
 * mappings names the file behind an address and the device that holds it; the control page names
 * the set of a device, the recording numbers files. Found ranges are kept in a table of the
 * process. An answer that has become wrong costs a delay too many or too few, or puts an event into
 * the wrong region, and never costs a byte: so a thread may use what it knows without asking
 * anybody.
 */
#define _GNU_SOURCE
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define RANGE_COUNT 64u
#define PAGE_MASK (~4095ull)

/* A place of the table. `sequence` is odd while the place is being written; whoever finds it odd or
 * changed takes the place for empty. */
typedef struct {
  uint32_t sequence;
  uint32_t generation;
  uint64_t start;
  uint64_t byte_count;
  uint64_t offset;
  uint64_t set_and_region; /* the region in the upper half */
} Place;

static Place table[RANGE_COUNT];
static uint32_t next_place;
/* 1: the table is empty; counts from there, so that zeroed thread state knows no range. */
uint32_t arb_ranges_generation = 1;

void arb_ranges_forget(void) {
  /* Relaxed: whoever sees the count late takes a stale answer, which is allowed. */
  __atomic_fetch_add(&arb_ranges_generation, 1, __ATOMIC_RELAXED);
}

void arb_ranges_reset(void) {
  memset(table, 0, sizeof table);
  arb_ranges_forget();
}

static int look_up(uint64_t address, uint32_t generation, ArbRange *range) {
  for (uint32_t index = 0; index < RANGE_COUNT; index++) {
    Place *place = &table[index];
    /* Acquires the fields that `insert` released. */
    uint32_t before = __atomic_load_n(&place->sequence, __ATOMIC_ACQUIRE);
    if (before == 0) return 0; /* places are filled in order */
    /* Acquire, so that the second look at the sequence stays behind them. */
    uint64_t start = __atomic_load_n(&place->start, __ATOMIC_ACQUIRE);
    uint64_t byte_count = __atomic_load_n(&place->byte_count, __ATOMIC_ACQUIRE);
    uint64_t offset = __atomic_load_n(&place->offset, __ATOMIC_ACQUIRE);
    uint64_t both = __atomic_load_n(&place->set_and_region, __ATOMIC_ACQUIRE);
    uint32_t of = __atomic_load_n(&place->generation, __ATOMIC_ACQUIRE);
    uint32_t after = __atomic_load_n(&place->sequence, __ATOMIC_RELAXED);
    if ((before & 1) != 0 || before != after || of != generation) continue;
    if (address - start >= byte_count) continue;
    *range = (ArbRange){start, byte_count, offset, (int32_t)(both >> 32), (uint32_t)both,
                        generation};
    return 1;
  }
  return 0;
}

static void insert(const ArbRange *range) {
  uint32_t index = __atomic_fetch_add(&next_place, 1, __ATOMIC_RELAXED) % RANGE_COUNT;
  Place *place = &table[index];
  uint32_t sequence = __atomic_load_n(&place->sequence, __ATOMIC_RELAXED);
  /* Another thread writes the place: the range is not kept. Acquire, so that the fields below are
   * not written before the sequence is odd; the partner is look_up. */
  if ((sequence & 1) != 0 ||
      !__atomic_compare_exchange_n(&place->sequence, &sequence, sequence + 1, 0, __ATOMIC_ACQ_REL,
                                   __ATOMIC_RELAXED)) {
    return;
  }
  /* Release, so that whoever sees a new field sees the odd sequence too. */
  __atomic_store_n(&place->start, range->start, __ATOMIC_RELEASE);
  __atomic_store_n(&place->byte_count, range->byte_count, __ATOMIC_RELEASE);
  __atomic_store_n(&place->offset, range->offset, __ATOMIC_RELEASE);
  uint64_t both = (uint64_t)(uint32_t)range->region << 32 | range->set;
  __atomic_store_n(&place->set_and_region, both, __ATOMIC_RELEASE);
  __atomic_store_n(&place->generation, range->generation, __ATOMIC_RELEASE);
  __atomic_store_n(&place->sequence, sequence + 2, __ATOMIC_RELEASE);
}

/* A line of /proc/self/maps: "start-end rights offset major:minor inode   path". */
typedef struct {
  uint64_t start, end, offset, major, minor, inode;
  const char *path;
} Line;

static const char *read_hexadecimal(const char *text, uint64_t *number) {
  *number = 0;
  for (;; text++) {
    char digit = *text;
    if (digit >= '0' && digit <= '9') {
      *number = *number << 4 | (uint64_t)(digit - '0');
    } else if (digit >= 'a' && digit <= 'f') {
      *number = *number << 4 | (uint64_t)(digit - 'a' + 10);
    } else {
      return text;
    }
  }
}

static const char *skip_word(const char *text) {
  while (*text != 0 && *text != ' ') text++;
  while (*text == ' ') text++;
  return text;
}

static int parse(const char *text, Line *line) {
  text = read_hexadecimal(text, &line->start);
  if (*text++ != '-') return 0;
  text = read_hexadecimal(text, &line->end);
  if (*text != ' ') return 0;
  text = read_hexadecimal(skip_word(skip_word(text)), &line->offset);
  if (*text != ' ') return 0;
  text = read_hexadecimal(skip_word(text), &line->major);
  if (*text++ != ':') return 0;
  text = skip_word(read_hexadecimal(text, &line->minor));
  line->inode = 0;
  for (; *text >= '0' && *text <= '9'; text++) line->inode = line->inode * 10 + (*text - '0');
  line->path = skip_word(text);
  return line->end > line->start;
}

/* The set of a mapping. A device-DAX mapping is one of a character device, and the list names the
 * file system that the device's node lies in. */
static uint32_t set_of(const Line *line) {
  if (arb_preload_page == NULL) return ARB_SET_UNKNOWN;
  struct stat facts;
  uint64_t major = line->major, minor = line->minor;
  if (strncmp(line->path, "/dev/", 5) == 0 && stat(line->path, &facts) == 0 &&
      S_ISCHR(facts.st_mode)) {
    major = major(facts.st_rdev);
    minor = minor(facts.st_rdev);
  }
  return arb_page_set_of_device(arb_preload_page, (uint32_t)major, (uint32_t)minor);
}

/* "anonymous memory at " and the address; `text` has room for it. */
static void name_anonymous(char *text, uint64_t address) {
  static const char words[] = "anonymous memory at 0x";
  memcpy(text, words, sizeof words - 1);
  text += sizeof words - 1;
  int digit = 60;
  while (digit > 0 && (address >> digit & 15) == 0) digit -= 4;
  for (; digit >= 0; digit -= 4) *text++ = "0123456789abcdef"[address >> digit & 15];
  *text = 0;
}

/* The region of a mapping in the recording. */
static void find_region(const Line *line, ArbRange *range) {
  if (arb_preload_trace == NULL) return;
  uint64_t bytes = line->end - line->start;
  if (line->inode != 0) {
    range->offset = line->offset;
    range->region = arb_trace_region_find(
        arb_preload_trace, ARB_TRACE_REGION_FILE, line->major << 32 | line->minor, line->inode,
        line->path, line->offset + bytes);
    return;
  }
  char name[48];
  name_anonymous(name, line->start);
  range->offset = 0;
  range->region =
      arb_trace_region_find(arb_preload_trace, ARB_TRACE_REGION_ANONYMOUS, (uint64_t)getpid(),
                            line->start, *line->path != 0 ? line->path : name, bytes);
}

/* Reads the kernel's list line by line, on the stack. Returns 0 where it cannot be read. */
static int search(uint64_t address, ArbRange *range) {
  int descriptor = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return 0;
  char chunk[1024], text[256];
  size_t used = 0;
  ssize_t count;
  int is_found = 0;
  while (!is_found && ((count = read(descriptor, chunk, sizeof chunk)) > 0 ||
                       (count < 0 && errno == EINTR))) {
    for (ssize_t at = 0; at < count && !is_found; at++) {
      if (chunk[at] != '\n') {
        /* Of a longer line the end of the path is dropped; no device has such a path. */
        if (used < sizeof text - 1) text[used++] = chunk[at];
        continue;
      }
      text[used] = 0;
      used = 0;
      Line line;
      if (!parse(text, &line) || address < line.start || address >= line.end) continue;
      range->start = line.start;
      range->byte_count = line.end - line.start;
      range->set = set_of(&line);
      find_region(&line, range);
      is_found = 1;
    }
  }
  close(descriptor);
  if (!is_found) {
    range->start = address & PAGE_MASK;
    range->byte_count = 4096;
  }
  return 1;
}

ArbRange arb_range_find(uint64_t address) {
  uint32_t generation = __atomic_load_n(&arb_ranges_generation, __ATOMIC_RELAXED);
  ArbRange range;
  if (look_up(address, generation, &range)) return range;
  int saved_errno = errno;
  range = (ArbRange){0, UINT64_MAX, 0, ARB_TRACE_NO_REGION, ARB_SET_UNKNOWN, generation};
  if (arb_preload_page != NULL) range.set = arb_page_set_of_device(arb_preload_page, 0, 0);
  /* Where the list cannot be read (no /proc), all memory is alike, and nobody looks again soon. */
  (void)search(address, &range);
  insert(&range);
  errno = saved_errno;
  return range;
}
