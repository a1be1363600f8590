/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Slow islands while forks live: their slots are lent, and do not change. In this process they are
 * empty memory that is registered with userfaultfd, and whoever touches an island makes the watcher
 * copy it home; it is fast memory from then on. */
#define _GNU_SOURCE
#include "fork_state.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static int64_t control(uint64_t command, void *argument) {
  return arb_tier_call(
      SYS_ioctl, arb_tier_state.uffd, (int64_t)command, (intptr_t)argument, 0, 0, 0);
}

/* Fills missing pages; those that are there stay. -EAGAIN while the kernel has a remap to report,
 * which is for the watcher to read: perhaps the caller. */
static int64_t fill(uint64_t address, const char *bytes, uint64_t length) {
  uint64_t done = 0;
  while (done < length) {
    struct uffdio_copy copy = {
        .dst = address + done, .src = (uintptr_t)(bytes + done), .len = length - done};
    int64_t answer = control(UFFDIO_COPY, &copy);
    if (answer == 0) return 0;
    if (copy.copy > 0) done += (uint64_t)copy.copy;
    else if (answer == -EEXIST) done += 4096;
    else return answer;
  }
  /* A page that was there woke nobody. */
  arb_tier_wake(address, length);
  return 0;
}

int arb_tier_fetch(uint32_t slot, uint64_t offset, uint64_t address) {
  static char bytes[ARB_TIER_ISLAND_BYTES] __attribute__((aligned(4096)));
  int64_t answer = arb_tier_copy_in(slot, offset, (uintptr_t)bytes, sizeof bytes);
  if (answer != 0) return (int)answer;
  answer = -EAGAIN;
  for (int turn = 0; turn < 100 && answer == -EAGAIN; turn++) {
    uint32_t never = 0;
    if (turn != 0) arb_tier_sleep(&never, 0, 100000);
    answer = fill(address, bytes, sizeof bytes);
  }
  return (int)answer;
}

int arb_tier_lent_home(uint32_t index, uint64_t islands) {
  static char bytes[ARB_TIER_ISLAND_BYTES] __attribute__((aligned(4096)));
  ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  ArbTierForkChunk *fork = arb_tier_fork_chunk(index);
  islands &= fork->lent;
  while (islands != 0) {
    uint32_t island = (uint32_t)__builtin_ctzll(islands);
    uint64_t bit = 1ull << island, offset = island * ARB_TIER_ISLAND_BYTES;
    islands &= ~bit;
    int64_t answer = arb_tier_copy_in(
        chunk->slot, offset, (uintptr_t)bytes, ARB_TIER_ISLAND_BYTES);
    if (answer == 0) answer = fill(chunk->address + offset, bytes, ARB_TIER_ISLAND_BYTES);
    /* Nothing is registered there any more: the program mapped something else. */
    if (answer == -ENOENT) answer = 0;
    if (answer == -EAGAIN) return -EAGAIN;
    if (answer != 0) {
      int64_t why = answer;
      /* Who reads it has to do with the device alone; what is stored stays in memory. */
      answer = arb_tier_map_slot(
          chunk->address + offset, chunk->slot, offset, ARB_TIER_ISLAND_BYTES, chunk->protection,
          MAP_PRIVATE);
      if (answer != 0) return (int)answer;
      chunk->held |= ARB_TIER_HELD_MIXED;
      arb_tier_private_note(chunk->address + offset, ARB_TIER_ISLAND_BYTES);
      arb_tier_wake(chunk->address + offset, ARB_TIER_ISLAND_BYTES);
      arb_tier_remark(ARB_TIER_REMARK_DEVICE, "slow memory cannot be read after a fork",
          (int)-why);
    }
    fork->lent &= ~bit;
    arb_tier_state.locals[index].stale_islands |= bit;
    arb_tier_note_islands(index, chunk->slow_islands & ~bit);
  }
  return 0;
}

static void give_zero_page(uint64_t page) {
  struct uffdio_zeropage zero = {.range = {page, 4096}};
  if (control(UFFDIO_ZEROPAGE, &zero) != 0) arb_tier_wake(page, 4096);
}

int arb_tier_fork_fault(uint64_t page) {
  if (!__atomic_load_n(&arb_tier_fork.is_ready, __ATOMIC_ACQUIRE)) return 0;
  uint64_t start = page & ~(ARB_TIER_CHUNK_BYTES - 1);
  uint32_t index = arb_tier_find(start);
  if (index == ARB_TIER_NONE) return 0;
  arb_tier_fork_lock();
  ArbTierForkChunk *fork = arb_tier_fork_chunk(index);
  uint64_t bit = 1ull << ((page - start) / ARB_TIER_ISLAND_BYTES);
  int is_ours = (fork->placed & bit) != 0;
  if (is_ours && (fork->lent & bit) != 0) {
    /* Where it fails, the thread tries again, and is met here again. */
    if (arb_tier_lent_home(index, bit) != 0) arb_tier_wake(page, 4096);
  } else if (is_ours) {
    give_zero_page(page); /* the program gave the page up since the island came home */
  }
  arb_tier_fork_unlock();
  return is_ours;
}

/* Islands that are home, or slow again, need no watcher. */
static void withdraw(uint32_t index) {
  ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  ArbTierForkChunk *fork = arb_tier_fork_chunk(index);
  uint64_t islands = fork->placed & ~chunk->slow_islands;
  fork->placed = fork->lent;
  while (islands != 0) {
    uint32_t first, count;
    arb_tier_next_run(&islands, &first, &count);
    struct uffdio_range range = {
        chunk->address + first * ARB_TIER_ISLAND_BYTES, count * ARB_TIER_ISLAND_BYTES};
    /* One by one, where an island that could not be read is mapped to the slot. */
    if (control(UFFDIO_UNREGISTER, &range) != 0 && count > 1)
      for (uint32_t each = 0; each < count; each++) {
        struct uffdio_range one = {
            range.start + each * ARB_TIER_ISLAND_BYTES, ARB_TIER_ISLAND_BYTES};
        control(UFFDIO_UNREGISTER, &one);
      }
    arb_tier_wake(range.start, range.len);
  }
}

/* An island that could not be read is still mapped to the slot. */
static int is_done_with_slot(const ArbTierChunk *chunk) {
  return chunk->slow_islands == 0 && chunk->slot < arb_tier_state.slot_count &&
         (chunk->held & ARB_TIER_HELD_MIXED) == 0;
}

/* The same, with patience: for whoever does not read events. Gives way to the watcher. */
static int lent_home_patiently(uint32_t index) {
  int error = -EAGAIN;
  for (int turn = 0; turn < 2000 && error == -EAGAIN; turn++) {
    uint32_t never = 0;
    if (turn != 0) {
      arb_tier_fork_unlock();
      arb_tier_sleep(&never, 0, 100000);
      arb_tier_fork_lock();
    }
    error = arb_tier_lent_home(index, UINT64_MAX);
  }
  return error;
}

int arb_tier_lent_settle(uint32_t index) {
  ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  arb_tier_fork_lock();
  ArbTierForkChunk *fork = arb_tier_fork_chunk(index);
  int error = 0;
  if (fork->placed != 0) {
    error = lent_home_patiently(index);
    withdraw(index);
    if (error == 0 && is_done_with_slot(chunk)) {
      arb_tier_fork.slots[chunk->slot] |= ARB_TIER_LEFT;
      __atomic_store_n(&chunk->slot, ARB_TIER_NO_SLOT, __ATOMIC_RELAXED);
      arb_tier_state.locals[index].stale_islands = 0;
      chunk->held &= (uint8_t)~ARB_TIER_HELD_FORKED;
    }
  }
  arb_tier_fork_unlock();
  return error;
}

void arb_tier_fork_slot_left(uint32_t slot) {
  if (arb_tier_fork.is_ready && slot < arb_tier_state.slot_count)
    arb_tier_fork.slots[slot] |= ARB_TIER_LEFT;
}

/* Maps the slot over what is still lent. What cannot be mapped stays lent, and is fetched when it
 * is touched. */
static void map_again(uint32_t index) {
  ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  ArbTierForkChunk *fork = arb_tier_fork_chunk(index);
  uint64_t islands = fork->lent;
  while (islands != 0) {
    uint32_t first, count;
    uint64_t run = arb_tier_next_run(&islands, &first, &count);
    uint64_t offset = first * ARB_TIER_ISLAND_BYTES, length = count * ARB_TIER_ISLAND_BYTES;
    uint64_t address = chunk->address + offset;
    if (arb_tier_map_slot(
            address, chunk->slot, offset, length, chunk->protection, MAP_SHARED) != 0)
      continue;
    fork->lent &= ~run;
    arb_tier_wake(address, length);
  }
  withdraw(index);
}

static int fold_chunk(uint32_t index) {
  ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  if (chunk->address == 0 || (chunk->held & ARB_TIER_HELD_FORKED) == 0) return 0;
  if (arb_tier_fork_chunk(index)->for_good) return 0;
  arb_tier_fork_lock();
  ArbTierForkChunk *fork = arb_tier_fork_chunk(index);
  map_again(index);
  int is_left = fork->lent != 0;
  if (!is_left) {
    chunk->held &= (uint8_t)~ARB_TIER_HELD_FORKED;
    if (is_done_with_slot(chunk)) {
      arb_tier_fork.slots[chunk->slot] |= ARB_TIER_LEFT;
      __atomic_store_n(&chunk->slot, ARB_TIER_NO_SLOT, __ATOMIC_RELAXED);
      arb_tier_state.locals[index].stale_islands = 0;
    }
  }
  arb_tier_fork_unlock();
  return is_left;
}

void arb_tier_fold_back(void) {
  ArbTierFork *fork = &arb_tier_fork;
  uint32_t high = arb_tier_high(), left = 0;
  for (uint32_t index = 0; index < high; index++) left += (uint32_t)fold_chunk(index);
  for (uint32_t slot = 0; slot < arb_tier_state.slot_count; slot++) {
    uint8_t word = fork->slots[slot];
    if (word == 0) continue;
    fork->slots[slot] = 0;
    if ((word & ARB_TIER_LEFT) != 0) arb_tier_slot_free(slot, 1);
  }
  __atomic_store_n(&fork->is_pending, left != 0, __ATOMIC_RELAXED);
}
