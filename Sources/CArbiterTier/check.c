/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Asks the kernel whether memory is mapped as the table says, before a mapping is put over it: a
 * program can unmap by instruction what the hooks then do not see. Linux 6.11 answers in a
 * microsecond; before it, the hooks are trusted. A mapping that changes between the question and
 * the remap is not seen. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* struct procmap_query, which headers of Linux before 6.11 do not know. */
typedef struct {
  uint64_t size, query_flags, query_address;
  uint64_t start, end, flags, page_size, offset, inode;
  uint32_t device_major, device_minor, name_size, build_id_size;
  uint64_t name_address, build_id_address;
} MappingQuery;

#define QUERY _IOWR('f', 17, MappingQuery)
#define QUERY_SHARED 8u

static int ask(uint64_t address, MappingQuery *query) {
  memset(query, 0, sizeof *query);
  query->size = sizeof *query;
  query->query_address = address;
  return (int)arb_tier_call(
      SYS_ioctl, arb_tier_state.maps_fd, (int64_t)QUERY, (intptr_t)query, 0, 0, 0);
}

void arb_tier_check_open(void) {
  ArbTierState *state = &arb_tier_state;
  state->maps_fd = (int32_t)arb_tier_call(
      SYS_openat, AT_FDCWD, (intptr_t) "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0, 0, 0);
  if (state->maps_fd < 0) {
    state->maps_fd = -1;
    return;
  }
  int64_t window = arb_tier_call(
      SYS_mmap, 0, ARB_TIER_CHUNK_BYTES, PROT_READ, MAP_SHARED, state->slow_fd, 0);
  MappingQuery query;
  int answer = window < 0 ? (int)window : ask((uint64_t)window, &query);
  if (window >= 0) arb_tier_call(SYS_munmap, window, ARB_TIER_CHUNK_BYTES, 0, 0, 0, 0);
  if (answer == 0) {
    state->slow_inode = query.inode;
  } else {
    arb_tier_call(SYS_close, state->maps_fd, 0, 0, 0, 0, 0);
    state->maps_fd = -1;
  }
}

int arb_tier_check(uint32_t index, uint64_t offset, uint64_t length, int is_slow) {
  ArbTierState *state = &arb_tier_state;
  if (state->maps_fd < 0) return 1;
  const ArbTierChunk *chunk = &state->chunks[index];
  uint64_t at = chunk->address + offset, end = at + length;
  while (at < end) {
    MappingQuery query;
    int answer = ask(at, &query);
    if (answer == -ENOENT) return 0;
    if (answer != 0) return 1;
    uint64_t protection = query.flags & (PROT_READ | PROT_WRITE | PROT_EXEC);
    if (protection != chunk->protection) return 0;
    int is_shared = (query.flags & QUERY_SHARED) != 0;
    if (is_slow) {
      uint64_t expected = arb_tier_slot_offset(chunk->slot) + (at - chunk->address);
      if (!is_shared || query.inode != state->slow_inode) return 0;
      if (query.offset + (at - query.start) != expected) return 0;
    } else if (chunk->sharing == ARB_TIER_PRIVATE && (is_shared || query.inode != 0)) {
      return 0;
    }
    at = query.end;
  }
  return 1;
}
