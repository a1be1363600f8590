/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Copies between the program's memory and the slow file, all through the kernel: what is gone or
 * poisoned, on either side, is an error here and no signal. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define INTERRUPTIONS_MAX 1000

/* A device that can only be mapped: one process's memory copied into the same one's. */
static int copy_mapped(
    uint32_t slot, uint64_t offset, uint64_t address, uint64_t length, int is_out) {
  int64_t window = arb_tier_call(
      SYS_mmap, 0, ARB_TIER_CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
      arb_tier_state.slow_fd, (int64_t)arb_tier_slot_offset(slot));
  if (window < 0) return (int)window;
  int64_t process = arb_tier_call(SYS_getpid, 0, 0, 0, 0, 0, 0), answer = 0;
  uint64_t done = 0;
  while (done < length) {
    void *there = (void *)(window + (int64_t)(offset + done)), *here = (void *)(address + done);
    struct iovec local = {is_out ? there : here, length - done};
    struct iovec remote = {is_out ? here : there, length - done};
    answer = arb_tier_call(
        SYS_process_vm_readv, process, (intptr_t)&local, 1, (intptr_t)&remote, 1, 0);
    if (answer <= 0) break;
    done += (uint64_t)answer;
  }
  arb_tier_call(SYS_munmap, window, ARB_TIER_CHUNK_BYTES, 0, 0, 0, 0);
  return done == length ? 0 : answer < 0 ? (int)answer : -EIO;
}

static int copy_file(
    int64_t call, uint32_t slot, uint64_t offset, uint64_t address, uint64_t length) {
  uint64_t at = arb_tier_slot_offset(slot) + offset, done = 0;
  int interruptions = 0;
  while (done < length) {
    int64_t count = arb_tier_call(
        call, arb_tier_state.slow_fd, (int64_t)(address + done), (int64_t)(length - done),
        (int64_t)(at + done), 0, 0);
    if (count == -EINTR && ++interruptions < INTERRUPTIONS_MAX) continue;
    if (count < 0) return (int)count;
    if (count == 0) return -EIO; /* the file ends here: somebody has cut it */
    done += (uint64_t)count;
  }
  return 0;
}

int arb_tier_copy_out(uint32_t slot, uint64_t offset, uint64_t address, uint64_t length) {
  if (arb_tier_state.slow_kind == ARB_TIER_SLOW_DEVICE_DAX)
    return copy_mapped(slot, offset, address, length, 1);
  return copy_file(SYS_pwrite64, slot, offset, address, length);
}

int arb_tier_copy_in(uint32_t slot, uint64_t offset, uint64_t address, uint64_t length) {
  if (arb_tier_state.slow_kind == ARB_TIER_SLOW_DEVICE_DAX)
    return copy_mapped(slot, offset, address, length, 0);
  return copy_file(SYS_pread64, slot, offset, address, length);
}

/* Which pages of private memory are there: in memory, or in swap. */
static int find_present(uint64_t address, uint64_t length, uint64_t *entries) {
  int64_t bytes = (int64_t)(length / PAGE_BYTES * sizeof *entries);
  if (arb_tier_state.pagemap_fd < 0) return 0;
  return arb_tier_call(
             SYS_pread64, arb_tier_state.pagemap_fd, (intptr_t)entries, bytes,
             (int64_t)(address / PAGE_BYTES * sizeof *entries), 0, 0) == bytes;
}

/* Which pages of a shared chunk's memfd are there; whoever mapped them. */
static int find_data(uint32_t index, uint64_t offset, uint64_t length, uint64_t *entries) {
  const ArbTierLocal *local = &arb_tier_state.locals[index];
  int64_t file = arb_tier_state.fast_files[local->fast_file].descriptor;
  int64_t start = (int64_t)(local->fast_offset + offset), end = start + (int64_t)length;
  for (uint64_t page = 0; page < length / PAGE_BYTES; page++) entries[page] = 0;
  for (int64_t at = start; at < end;) {
    int64_t data = arb_tier_call(SYS_lseek, file, at, SEEK_DATA, 0, 0, 0);
    if (data == -ENXIO || data >= end) break;
    int64_t hole = data < 0 ? data : arb_tier_call(SYS_lseek, file, data, SEEK_HOLE, 0, 0, 0);
    if (hole < 0) return 0;
    for (at = data; at < hole && at < end; at += PAGE_BYTES)
      entries[(at - start) / PAGE_BYTES] = 1ull << 63;
  }
  return 1;
}

int arb_tier_copy_present(
    uint32_t index, uint32_t slot, uint64_t offset, uint64_t length, int is_stale,
    uint64_t *bytes) {
  static uint64_t entries[ARB_TIER_CHUNK_BYTES / PAGE_BYTES]; /* the mover's: there is one */
  const uint64_t there = 3ull << 62;
  const ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  uint64_t address = chunk->address + offset, pages = length / PAGE_BYTES;
  int is_known = chunk->sharing == ARB_TIER_PRIVATE
                     ? find_present(address, length, entries)
                     : find_data(index, offset, length, entries);
  for (uint64_t page = 0; page < pages && !is_known; page++) entries[page] = there;
  for (uint64_t page = 0; page < pages;) {
    uint64_t first = page;
    int is_there = (entries[page] & there) != 0;
    while (page < pages && ((entries[page] & there) != 0) == is_there) page++;
    uint64_t at = first * PAGE_BYTES, size = (page - first) * PAGE_BYTES;
    int answer = 0;
    if (is_there) {
      answer = arb_tier_copy_out(slot, offset + at, address + at, size);
      *bytes += size;
    } else if (is_stale) {
      answer = arb_tier_slot_zero(slot, offset + at, size);
    }
    if (answer != 0) return answer;
  }
  return 0;
}
