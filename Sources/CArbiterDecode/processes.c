/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which memory of a process is code.
 */
#define _GNU_SOURCE
#include "resolver.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Adds a mapping, to the one before where they touch; 0 without memory or room. */
static int add_range(ArbProcess *process, uint32_t *room, uint64_t begin, uint64_t end) {
  if (process->range_count > 0 && process->ranges[process->range_count - 1].end == begin) {
    process->ranges[process->range_count - 1].end = end;
    return 1;
  }
  if (process->range_count == *room) {
    const uint32_t larger = *room == 0 ? 32 : *room * 2;
    if (larger > ARB_RANGE_MAX) return 0;
    ArbRange *ranges = realloc(process->ranges, larger * sizeof *ranges);
    if (ranges == NULL) return 0;
    process->ranges = ranges;
    *room = larger;
  }
  process->ranges[process->range_count++] = (ArbRange){begin, end};
  return 1;
}

/* "begin-end rwxp ..." */
static void read_line(ArbProcess *process, uint32_t *room, const char *line) {
  char *rest;
  const uint64_t begin = strtoull(line, &rest, 16);
  if (*rest != '-') return;
  const uint64_t end = strtoull(rest + 1, &rest, 16);
  if (begin >= end || strlen(rest) < 5 || rest[3] != 'x') return;
  (void)add_range(process, room, begin, end);
}

/* Whether a process runs 64-bit code, as far as its program's file tells. */
static int is_64_bit(int32_t process) {
  char path[32];
  unsigned char head[EI_NIDENT] = {0};
  snprintf(path, sizeof path, "/proc/%d/exe", process);
  const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return 1;
  const ssize_t size = read(file, head, sizeof head);
  close(file);
  return size != (ssize_t)sizeof head || head[EI_CLASS] != ELFCLASS32;
}

static void read_map(ArbProcess *process, int64_t now) {
  char path[32];
  free(process->ranges);
  process->ranges = NULL;
  process->range_count = 0;
  process->read_at = now;
  process->reason = ARB_REASON_NO_CODE;
  snprintf(path, sizeof path, "/proc/%d/maps", process->process);
  FILE *file = fopen(path, "re");
  if (file == NULL) return;
  uint32_t room = 0;
  char *line = NULL;
  size_t line_room = 0;
  while (getline(&line, &line_room, file) > 0) read_line(process, &room, line);
  free(line);
  fclose(file);
  if (process->range_count == 0) return;
  process->reason =
      is_64_bit(process->process) ? ARB_REASON_NONE : ARB_REASON_NOT_64_BIT;
}

void arb_process_forget(ArbResolver *resolver, ArbProcess *process) {
  arb_unwind_forget(resolver, process->generation);
  free(process->ranges);
  memset(process, 0, sizeof *process);
}

ArbProcess *arb_process(ArbResolver *resolver, int32_t number, int64_t now) {
  ArbProcess *set = resolver->processes[arb_set((uint32_t)number, 0, ARB_PROCESS_SETS)];
  ArbProcess *oldest = &set[0];
  for (size_t way = 0; way < ARB_WAYS; way++) {
    ArbProcess *process = &set[way];
    if (process->generation != 0 && process->process == number) {
      process->used = ++resolver->clock;
      if (process->reason != ARB_REASON_NONE &&
          now - process->read_at >= ARB_FRESH_NANOSECONDS) {
        read_map(process, now);
      }
      return process;
    }
    if (process->used < oldest->used) oldest = process;
  }
  arb_process_forget(resolver, oldest);
  oldest->process = number;
  oldest->generation = ++resolver->generation;
  oldest->used = ++resolver->clock;
  read_map(oldest, now);
  return oldest;
}

static const ArbRange *find_range(const ArbProcess *process, uint64_t ip) {
  uint32_t low = 0;
  uint32_t high = process->range_count;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    const ArbRange *range = &process->ranges[middle];
    if (ip < range->begin) {
      high = middle;
    } else if (ip >= range->end) {
      low = middle + 1;
    } else {
      return range;
    }
  }
  return NULL;
}

const ArbRange *arb_process_range(
    ArbResolver *resolver, ArbProcess *process, uint64_t ip, int64_t now) {
  const ArbRange *range = find_range(process, ip);
  if (range != NULL || now - process->read_at < ARB_MAP_NANOSECONDS) return range;
  /* A library that was loaded since is not in the unwind tables either. */
  arb_unwind_forget(resolver, process->generation);
  read_map(process, now);
  return find_range(process, ip);
}
