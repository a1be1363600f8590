/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Slots of the slow file. A slot gets its room on the device when it is claimed, so that a full
 * device is met before anything is moved and never by a store of the program; and it reads as zero
 * then, so that pages which were never touched need no copy. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int64_t allocate(int mode, uint64_t offset, uint64_t length) {
  int64_t answer;
  int turns = 0;
  do {
    answer = arb_tier_call(
        SYS_fallocate, arb_tier_state.slow_fd, mode, (int64_t)offset, (int64_t)length, 0, 0);
  } while (answer == -EINTR && ++turns < 1000);
  return answer;
}

static int write_zeros(uint64_t offset, uint64_t length) {
  static const char zeros[ARB_TIER_ISLAND_BYTES];
  while (length > 0) {
    uint64_t part = length < sizeof zeros ? length : sizeof zeros;
    int64_t count = arb_tier_call(
        SYS_pwrite64, arb_tier_state.slow_fd, (intptr_t)zeros, (int64_t)part, (int64_t)offset, 0,
        0);
    if (count == -EINTR) continue;
    if (count <= 0) return count == 0 ? -EIO : (int)count;
    offset += (uint64_t)count;
    length -= (uint64_t)count;
  }
  return 0;
}

/* A character device can only be mapped; the bytes are read from zeros through the kernel, so that
 * a poisoned line is an error. */
static int zero_device(uint32_t slot, uint64_t offset, uint64_t length) {
  int64_t zero = arb_tier_call(SYS_openat, AT_FDCWD, (intptr_t) "/dev/zero", O_RDONLY, 0, 0, 0);
  if (zero < 0) return (int)zero;
  int64_t window = arb_tier_call(
      SYS_mmap, 0, ARB_TIER_CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
      arb_tier_state.slow_fd, (int64_t)arb_tier_slot_offset(slot));
  int64_t answer = window < 0 ? window : 0;
  while (answer >= 0 && length > 0) {
    answer = arb_tier_call(
        SYS_read, zero, window + (int64_t)offset, (int64_t)length, 0, 0, 0);
    if (answer == -EINTR) answer = 0;
    if (answer < 0) break;
    offset += (uint64_t)answer;
    length -= (uint64_t)answer;
  }
  if (window >= 0) arb_tier_call(SYS_munmap, window, ARB_TIER_CHUNK_BYTES, 0, 0, 0, 0);
  arb_tier_call(SYS_close, zero, 0, 0, 0, 0, 0);
  return answer < 0 ? (int)answer : 0;
}

int arb_tier_slot_zero(uint32_t slot, uint64_t offset, uint64_t length) {
  if (arb_tier_state.slow_kind == ARB_TIER_SLOW_DEVICE_DAX)
    return zero_device(slot, offset, length);
  uint64_t start = arb_tier_slot_offset(slot) + offset;
  int64_t answer = allocate(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, start, length);
  if (answer == 0) return 0;
  answer = allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, length);
  if (answer == 0) answer = allocate(FALLOC_FL_KEEP_SIZE, start, length);
  if (answer == 0) return 0;
  return write_zeros(start, length);
}

/* Gives a claimed slot its room, and zeroes where it has old bytes. */
static int prepare(uint32_t slot, int is_stale) {
  if (arb_tier_state.slow_kind == ARB_TIER_SLOW_DEVICE_DAX)
    return zero_device(slot, 0, ARB_TIER_CHUNK_BYTES);
  uint64_t offset = arb_tier_slot_offset(slot);
  if (is_stale) return arb_tier_slot_zero(slot, 0, ARB_TIER_CHUNK_BYTES);
  int64_t answer = allocate(FALLOC_FL_KEEP_SIZE, offset, ARB_TIER_CHUNK_BYTES);
  /* A file system that cannot set room aside: bytes that are written have theirs. */
  if (answer == -EOPNOTSUPP || answer == -ENOSYS)
    return write_zeros(offset, ARB_TIER_CHUNK_BYTES);
  return (int)answer;
}

/* 1 claimed, with what is in it as a free slot's word tells; 0 somebody's, ours too. */
static int try_claim(uint32_t slot, uint32_t *word) {
  ArbTierState *state = &arb_tier_state;
  if ((state->slot_notes[slot] & ARB_TIER_SLOT_IS_OURS) != 0) return 0;
  *word = __atomic_load_n(&state->slots[slot], __ATOMIC_RELAXED);
  if (*word != 0 && *word != ARB_TIER_SLOT_STALE && *word != ARB_TIER_SLOT_KEPT) return 0;
  /* Acquire, with the release of whoever gave the slot back: its bytes are gone before. */
  if (!__atomic_compare_exchange_n(
          &state->slots[slot], word, state->seat_number + 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
    return 0;
  int has_bytes = (state->slot_notes[slot] & ARB_TIER_SLOT_HAS_BYTES) != 0;
  state->slot_notes[slot] = ARB_TIER_SLOT_IS_OURS;
  /* What another process has kept may have lost its room by now; what we have kept is not zero. */
  if (!has_bytes && *word == ARB_TIER_SLOT_KEPT) *word = ARB_TIER_SLOT_STALE;
  if (has_bytes && *word == 0) *word = ARB_TIER_SLOT_STALE;
  return 1;
}

/* A slot that was ours is anybody's. */
static void give_back(uint32_t slot, uint32_t word) {
  ArbTierState *state = &arb_tier_state;
  state->slot_notes[slot] = word == 0 ? 0 : ARB_TIER_SLOT_HAS_BYTES;
  __atomic_store_n(&state->slots[slot], word, __ATOMIC_RELEASE);
  __atomic_fetch_sub(&state->header->slots_used, 1, __ATOMIC_RELAXED);
}

uint32_t arb_tier_slot_claim(uint32_t near, int *why, int *is_stale) {
  ArbTierState *state = &arb_tier_state;
  uint32_t count = state->slot_count, word = 0;
  uint32_t slot = near;
  int is_claimed = near < count && try_claim(near, &word);
  uint32_t hint = __atomic_load_n(&state->header->slot_hint, __ATOMIC_RELAXED);
  for (uint32_t turn = 0; !is_claimed && turn < count; turn++) {
    slot = (uint32_t)(((uint64_t)hint + turn) % count);
    is_claimed = try_claim(slot, &word);
  }
  if (!is_claimed) {
    *why = -ENOSPC;
    return ARB_TIER_NO_SLOT;
  }
  __atomic_fetch_add(&state->header->slots_used, 1, __ATOMIC_RELAXED);
  __atomic_store_n(&state->header->slot_hint, slot + 1, __ATOMIC_RELAXED);
  int is_kept = word == ARB_TIER_SLOT_KEPT;
  if (is_kept && state->kept_count > 0) state->kept_count--;
  *why = 0;
  if (is_stale != NULL) *is_stale = is_kept;
  if (is_kept && is_stale != NULL) return slot;
  *why = prepare(slot, word != 0);
  if (*why == 0) return slot;
  arb_tier_remark(
      arb_tier_is_full(*why) ? ARB_TIER_REMARK_SLOT : ARB_TIER_REMARK_DEVICE,
      "the slow file cannot take another 2 MiB: free some room on its device", -*why);
  /* What was written of it is unknown. */
  give_back(slot, ARB_TIER_SLOT_STALE);
  return ARB_TIER_NO_SLOT;
}

/* A few slots keep their room and their bytes: to take room and to give it back costs as much as a
 * copy. */
#define KEPT_MAX 64u

void arb_tier_slot_free(uint32_t slot, uint32_t count) {
  ArbTierState *state = &arb_tier_state;
  if (slot >= state->slot_count || count > state->slot_count - slot) return;
  for (uint32_t each = slot; each < slot + count; each++)
    if ((state->slot_notes[each] & ARB_TIER_SLOT_IS_OURS) == 0) return;
  int64_t answer = -EOPNOTSUPP;
  uint32_t word = ARB_TIER_SLOT_KEPT;
  if (count == 1 && state->kept_count < KEPT_MAX) {
    state->kept_count++;
  } else if (state->slow_kind == ARB_TIER_SLOW_FILE) {
    answer = allocate(
        FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, arb_tier_slot_offset(slot),
        (uint64_t)count * ARB_TIER_CHUNK_BYTES);
    word = answer == 0 ? 0 : ARB_TIER_SLOT_STALE;
  }
  for (uint32_t each = slot; each < slot + count; each++) give_back(each, word);
  if (slot < __atomic_load_n(&state->header->slot_hint, __ATOMIC_RELAXED))
    __atomic_store_n(&state->header->slot_hint, slot, __ATOMIC_RELAXED);
}

int arb_tier_slots_check(void) {
  ArbTierState *state = &arb_tier_state;
  struct stat facts;
  if (state->slow_kind == ARB_TIER_SLOW_DEVICE_DAX) return 0;
  if (arb_tier_call(SYS_fstat, state->slow_fd, (intptr_t)&facts, 0, 0, 0, 0) != 0) return -EIO;
  return (uint64_t)facts.st_size < state->slow_bytes ? -EIO : 0;
}

int arb_tier_map_slot(
    uint64_t address, uint32_t slot, uint64_t offset, uint64_t length, int protection,
    int flags) {
  /* Numbers from the page are looked at before use: whoever has it may have written them. */
  if (slot >= arb_tier_state.slot_count) return -EIO;
  int64_t answer = arb_tier_call(
      SYS_mmap, (int64_t)address, (int64_t)length, protection, flags | MAP_FIXED,
      arb_tier_state.slow_fd, (int64_t)(arb_tier_slot_offset(slot) + offset));
  return answer < 0 ? (int)answer : 0;
}
