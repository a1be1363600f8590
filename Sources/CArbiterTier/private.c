/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Slots that a fork left mapped privately, in a child or, without userfaultfd, in the parent. They
 * are read and written as anonymous memory, but the kernel would bring a slot's bytes back where
 * the program gives pages up, and map the next slot where it makes the mapping longer. Where they
 * lie the kernel knows best: it is asked, in words, as the child may have no descriptors. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* All of them lie within; only ever growing. Of the process, and its children. */
static uint64_t low = UINT64_MAX, high;
static uint64_t inode;

void arb_tier_private_note(uint64_t start, uint64_t length) {
  if (start < low) __atomic_store_n(&low, start, __ATOMIC_RELAXED);
  if (start + length > high) __atomic_store_n(&high, start + length, __ATOMIC_RELAXED);
}

void arb_tier_private_learn(void) {
  struct stat facts;
  if (arb_tier_state.slow_inode != 0) inode = arb_tier_state.slow_inode;
  else if (arb_tier_call(SYS_fstat, arb_tier_state.slow_fd, (intptr_t)&facts, 0, 0, 0, 0) == 0)
    inode = facts.st_ino;
}

int arb_tier_private_overlaps(uint64_t start, uint64_t length) {
  return start < __atomic_load_n(&high, __ATOMIC_RELAXED) &&
         start + length > __atomic_load_n(&low, __ATOMIC_RELAXED);
}

void arb_tier_private_moved(uint64_t old, uint64_t new_place, uint64_t length) {
  if (arb_tier_private_overlaps(old, length)) arb_tier_private_note(new_place, length);
}

typedef struct {
  uint64_t start, end, inode;
  int protection, is_private;
} Line;

static const char *number(const char *text, uint64_t base, uint64_t *value) {
  for (*value = 0;; text++) {
    uint64_t digit = (uint64_t)(*text >= 'a' ? *text - 'a' + 10 : *text - '0');
    if (*text < '0' || digit >= base) return text;
    *value = *value * base + digit;
  }
}

/* start-end rwxp offset major:minor inode */
static void read_line(const char *text, Line *line) {
  text = number(text, 16, &line->start);
  text = number(text + 1, 16, &line->end) + 1;
  line->protection = (text[0] == 'r' ? PROT_READ : 0) | (text[1] == 'w' ? PROT_WRITE : 0) |
                     (text[2] == 'x' ? PROT_EXEC : 0);
  line->is_private = text[3] == 'p';
  for (int field = 0; field < 3 && text != NULL; field++) {
    text = strchr(text, ' ');
    if (text != NULL) text++;
  }
  line->inode = 0;
  if (text != NULL) number(text, 10, &line->inode);
}

/* Calls body for each line of a range; the first answer that is not 0 ends it. What the body maps
 * anew are lines that were read already. */
static int64_t each_line(
    uint64_t start, uint64_t end, int64_t (*body)(const Line *, void *), void *argument) {
  char text[4096];
  uint64_t used = 0;
  int64_t file = arb_tier_call(
      SYS_openat, AT_FDCWD, (intptr_t) "/proc/thread-self/maps", O_RDONLY | O_CLOEXEC, 0, 0, 0);
  if (file < 0) return file;
  int64_t answer = 0, is_behind = 0;
  while (answer == 0 && !is_behind) {
    int64_t count = arb_tier_call(
        SYS_read, file, (intptr_t)(text + used), (int64_t)(sizeof text - 1 - used), 0, 0, 0);
    if (count <= 0) break;
    used += (uint64_t)count;
    text[used] = 0;
    char *at = text;
    for (char *stop; answer == 0 && !is_behind && (stop = strchr(at, '\n')) != NULL;
         at = stop + 1) {
      Line line;
      *stop = 0;
      read_line(at, &line);
      is_behind = line.start >= end;
      if (!is_behind && line.end > start) answer = body(&line, argument);
    }
    used -= (uint64_t)(at - text);
    memmove(text, at, used);
    /* A name longer than the room: only its line's end is of use. */
    if (used == sizeof text - 1) used = 0;
  }
  arb_tier_call(SYS_close, file, 0, 0, 0, 0, 0);
  return answer;
}

typedef struct {
  uint64_t start, end;
} Range;

static int64_t make_empty(const Line *line, void *argument) {
  const Range *range = argument;
  if (!line->is_private || line->inode != inode || inode == 0) return 0;
  uint64_t from = line->start < range->start ? range->start : line->start;
  uint64_t to = line->end > range->end ? range->end : line->end;
  int64_t answer = arb_tier_call(
      SYS_mmap, (int64_t)from, (int64_t)(to - from), line->protection,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  return answer < 0 ? answer : 0;
}

int arb_tier_private_discard(uint64_t start, uint64_t length) {
  Range range = {start, start + length};
  return (int)each_line(range.start, range.end, make_empty, &range);
}

typedef struct {
  uint64_t reached, end;
  int protection;
} Cover;

static int64_t cover(const Line *line, void *argument) {
  Cover *range = argument;
  int is_first = range->protection < 0;
  if (line->start > range->reached) return -EFAULT;
  if (!line->is_private || (line->inode != 0 && line->inode != inode)) return -EINVAL;
  if (!is_first && line->protection != range->protection) return -EINVAL;
  range->protection = line->protection;
  range->reached = line->end;
  return range->reached >= range->end;
}

int arb_tier_private_protection(uint64_t start, uint64_t length) {
  Cover range = {start, start + length, -1};
  if (inode == 0) return -EINVAL; /* no fork of managed memory, here or in a parent */
  int64_t answer = each_line(start, start + length, cover, &range);
  return answer == 1 ? range.protection : answer == 0 ? -EFAULT : (int)answer;
}
