/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * One migration. Islands that lie side by side move together; each such run either moves whole or
 * stays as it was. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* A migration, or a homecoming, while it goes on. */
typedef struct {
  uint32_t index;
  uint32_t slot;
  int is_locked; /* the caller keeps the lock all the while */
  ArbTierOutcome *outcome;
  uint64_t offset, length; /* of the run, in the chunk */
  uint64_t address;        /* of the run */
  int64_t protected_since;
  uint32_t faults_before;
} Move;

static void take_lock(const Move *move) {
  if (!move->is_locked) arb_tier_mover_lock();
}

static void leave_lock(const Move *move) {
  if (!move->is_locked) arb_tier_mover_unlock();
}

static ArbTierChunk *chunk_of(const Move *move) { return &arb_tier_state.chunks[move->index]; }

/* Sets the run to the next islands of the set that lie side by side, and takes them out of it. */
static uint64_t next_run(Move *move, uint64_t *islands) {
  uint32_t first = (uint32_t)__builtin_ctzll(*islands);
  uint64_t rest = ~(*islands >> first);
  uint32_t count = rest == 0 ? 64 : (uint32_t)__builtin_ctzll(rest);
  if (count > 64 - first) count = 64 - first;
  uint64_t run = (count == 64 ? UINT64_MAX : (1ull << count) - 1) << first;
  *islands &= ~run;
  move->offset = first * ARB_TIER_ISLAND_BYTES;
  move->length = count * ARB_TIER_ISLAND_BYTES;
  move->address = chunk_of(move)->address + move->offset;
  return run;
}

static int status_of(int error) {
  switch (error) {
    case 0: return ARB_TIER_MOVED;
    case -ESTALE: return ARB_TIER_STALE;
    case -EBUSY: return ARB_TIER_BUSY;
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
    case -ENOMEM: return ARB_TIER_FULL;
    default: return ARB_TIER_FAILED;
  }
}

/* Memory that is not mapped as the table says is let alone from now on. */
static int check(const Move *move, int is_slow) {
  if (arb_tier_check(move->index, move->offset, move->length, is_slow)) return 0;
  chunk_of(move)->held |= ARB_TIER_HELD_MIXED;
  arb_tier_remark(
      ARB_TIER_REMARK_MAPPING, "memory was mapped anew unseen: it is no longer moved", 0);
  return -ESTALE;
}

static void begin_stalls(Move *move) {
  move->faults_before = __atomic_load_n(&arb_tier_state.fault_count, __ATOMIC_RELAXED);
  move->protected_since = arb_tier_now();
}

/* Counts who waits, and lets all go on. */
static void release(Move *move) {
  arb_tier_drain_events();
  arb_tier_wake(move->address, move->length);
  uint64_t lasted = (uint64_t)(arb_tier_now() - move->protected_since);
  uint32_t faults = __atomic_load_n(&arb_tier_state.fault_count, __ATOMIC_RELAXED);
  uint32_t stalls = faults - move->faults_before;
  ArbTierCounts *counts = &arb_tier_state.seat->counts;
  move->outcome->protected_ns += lasted;
  move->outcome->stall_count += stalls;
  __atomic_fetch_add(&counts->stalls, stalls, __ATOMIC_RELAXED);
  __atomic_fetch_add(&counts->stall_ns, stalls * lasted, __ATOMIC_RELAXED);
  if (stalls != 0 && lasted > counts->stall_ns_max)
    __atomic_store_n(&counts->stall_ns_max, lasted, __ATOMIC_RELAXED);
}

/* 1 if nothing is mapped there: a remap that failed after it had made room. */
static int is_hole(uint64_t address) {
  unsigned char page;
  return arb_tier_call(SYS_mincore, (int64_t)address, 4096, (intptr_t)&page, 0, 0, 0) == -ENOMEM;
}

static int map_slow(const Move *move) {
  const ArbTierChunk *chunk = chunk_of(move);
  int answer = -EAGAIN;
  for (int turn = 0; turn < 3 && answer != 0; turn++) {
    answer = arb_tier_map_slot(
        move->address, move->slot, move->offset, move->length, chunk->protection, MAP_SHARED);
    if (answer != 0 && !is_hole(move->address)) break;
  }
  return answer;
}

/* --- To slow memory --- */

static void punch_fast_file(const Move *move) {
  const ArbTierLocal *local = &arb_tier_state.locals[move->index];
  if (chunk_of(move)->sharing != ARB_TIER_SHARED) return;
  arb_tier_call(
      SYS_fallocate, arb_tier_state.fast_files[local->fast_file].descriptor, 3,
      (int64_t)(local->fast_offset + move->offset), (int64_t)move->length, 0, 0);
}

static int demote_run(Move *move, uint64_t run) {
  ArbTierLocal *local = &arb_tier_state.locals[move->index];
  int error = check(move, 0);
  if (error != 0) return error;
  leave_lock(move);
  begin_stalls(move);
  uint64_t bytes = 0;
  error = arb_tier_protect_begin(move->address, move->length);
  int is_protected = error == 0;
  if (is_protected)
    error = arb_tier_copy_present(
        move->index, move->slot, move->offset, move->length,
        (local->stale_islands & run) != 0, &bytes);
  take_lock(move);
  local->stale_islands |= run;
  if (error == 0) error = check(move, 0);
  if (error == 0) error = map_slow(move);
  if (error != 0) {
    if (is_protected) arb_tier_protect_undo(move->address, move->length);
    if (is_protected) release(move);
    return error;
  }
  ArbTierChunk *chunk = chunk_of(move);
  __atomic_store_n(&chunk->slot, move->slot, __ATOMIC_RELAXED);
  arb_tier_note_islands(move->index, chunk->slow_islands | run);
  release(move);
  punch_fast_file(move);
  move->outcome->bytes_copied += bytes;
  return 0;
}

/* The slot behind that of the chunk before, so that the two mappings become one. */
static uint32_t wished_slot(const Move *move) {
  uint32_t before = arb_tier_find(chunk_of(move)->address - ARB_TIER_CHUNK_BYTES);
  if (before == ARB_TIER_NONE) return ARB_TIER_NO_SLOT;
  uint32_t slot = arb_tier_state.chunks[before].slot;
  return slot == ARB_TIER_NO_SLOT ? slot : slot + 1;
}

static int demote(Move *move, uint64_t islands) {
  ArbTierChunk *chunk = chunk_of(move);
  if ((chunk->protection & PROT_READ) == 0) return -EBUSY;
  if (chunk->sharing == ARB_TIER_SHARED && (arb_tier_state.features & (1 << 12)) == 0) {
    arb_tier_remark(ARB_TIER_REMARK_SHARED, "shared memory is moved from Linux 5.19 on", 0);
    return -EBUSY;
  }
  int error = 0;
  if (chunk->slot == ARB_TIER_NO_SLOT) {
    uint32_t wish = wished_slot(move);
    leave_lock(move);
    int is_stale = 0;
    move->slot = arb_tier_slot_claim(wish, &error, &is_stale);
    take_lock(move);
    if (move->slot == ARB_TIER_NO_SLOT) return error;
    arb_tier_state.locals[move->index].stale_islands = is_stale ? UINT64_MAX : 0;
  }
  while (islands != 0 && error == 0) {
    uint64_t run = next_run(move, &islands);
    error = demote_run(move, run);
  }
  if (chunk->slow_islands == 0) {
    leave_lock(move);
    arb_tier_slot_free(move->slot, 1);
    take_lock(move);
  }
  return error;
}

/* --- To fast memory --- */

static void unmap(uint64_t address, uint64_t length) {
  if (length != 0)
    arb_tier_call(SYS_munmap, (int64_t)address, (int64_t)length, 0, 0, 0, 0);
}

static int64_t map_anonymous(uint64_t length, int protection) {
  return arb_tier_call(
      SYS_mmap, 0, (int64_t)length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Whole chunks are aligned, so that they can be one huge page. */
static int64_t map_aligned(uint64_t length) {
  const uint64_t unit = ARB_TIER_CHUNK_BYTES;
  int64_t first = map_anonymous(length, PROT_READ | PROT_WRITE);
  if (first < 0 || length < unit || (uint64_t)first % unit == 0) return first;
  unmap((uint64_t)first, length);
  first = map_anonymous(2 * unit, PROT_READ | PROT_WRITE);
  if (first < 0) return first;
  uint64_t start = (uint64_t)first, aligned = (start + unit - 1) / unit * unit;
  unmap(start, aligned - start);
  unmap(aligned + unit, start + unit - aligned);
  return (int64_t)aligned;
}

/* Fast memory for the run, with all its pages, mapped elsewhere. */
static int64_t make_fresh(const Move *move) {
  const ArbTierLocal *local = &arb_tier_state.locals[move->index];
  int64_t fresh;
  if (chunk_of(move)->sharing == ARB_TIER_SHARED)
    fresh = arb_tier_call(
        SYS_mmap, 0, (int64_t)move->length, PROT_READ | PROT_WRITE, MAP_SHARED,
        arb_tier_state.fast_files[local->fast_file].descriptor,
        (int64_t)(local->fast_offset + move->offset));
  else
    fresh = map_aligned(move->length);
  if (fresh < 0) return fresh;
  int64_t length = (int64_t)move->length;
  if ((arb_tier_state.header->options & ARB_TIER_HUGE) != 0)
    arb_tier_call(SYS_madvise, fresh, length, MADV_HUGEPAGE, 0, 0, 0);
  int64_t answer = arb_tier_call(SYS_madvise, fresh, length, MADV_POPULATE_WRITE, 0, 0, 0);
  /* Linux before 5.14 does not know it: the copy makes the pages then. */
  if (answer == 0 || answer == -EINVAL) return fresh;
  unmap((uint64_t)fresh, move->length);
  punch_fast_file(move);
  return answer == -EFAULT ? -ENOMEM : answer;
}

/* Puts an empty mapping over the run where whoever touches it waits. On failure all is as
 * before. */
static int put_placeholder(Move *move) {
  int64_t empty = map_anonymous(move->length, chunk_of(move)->protection);
  if (empty < 0) return (int)empty;
  int64_t answer = arb_tier_register_missing((uint64_t)empty, move->length);
  if (answer == 0) {
    begin_stalls(move);
    answer = arb_tier_call(
        SYS_mremap, empty, (int64_t)move->length, (int64_t)move->length,
        MREMAP_MAYMOVE | MREMAP_FIXED, (int64_t)move->address, 0);
    if (answer >= 0) return 0;
    if (is_hole(move->address)) map_slow(move);
  }
  unmap((uint64_t)empty, move->length);
  return (int)answer;
}

static int put_fresh(const Move *move, uint64_t fresh) {
  const ArbTierChunk *chunk = chunk_of(move);
  const ArbTierLocal *local = &arb_tier_state.locals[move->index];
  int64_t answer, length = (int64_t)move->length;
  if (chunk->sharing == ARB_TIER_SHARED) {
    answer = arb_tier_call(
        SYS_mmap, (int64_t)move->address, length, chunk->protection, MAP_SHARED | MAP_FIXED,
        arb_tier_state.fast_files[local->fast_file].descriptor,
        (int64_t)(local->fast_offset + move->offset));
    if (answer >= 0) unmap(fresh, move->length);
    return answer < 0 ? (int)answer : 0;
  }
  if (chunk->protection != (PROT_READ | PROT_WRITE)) {
    answer = arb_tier_call(
        SYS_mprotect, (int64_t)fresh, length, chunk->protection, 0, 0, 0);
    if (answer < 0) return (int)answer;
  }
  answer = arb_tier_call(
      SYS_mremap, (int64_t)fresh, length, length, MREMAP_MAYMOVE | MREMAP_FIXED,
      (int64_t)move->address, 0);
  return answer < 0 ? (int)answer : 0;
}

/* The placeholder was unmapped in part, unseen: only what is left of it is replaced, page by page,
 * so that nobody waits there for ever and nothing else is mapped over. */
static int put_what_fits(Move *move, uint64_t fresh, uint64_t run) {
  for (uint64_t at = 0; at < move->length; at += 4096) {
    int64_t answer = -ESTALE;
    if (arb_tier_check(move->index, move->offset + at, 4096, 0))
      answer = arb_tier_call(
          SYS_mremap, (int64_t)(fresh + at), 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED,
          (int64_t)(move->address + at), 0);
    /* Not what has moved: others may have mapped something in its place already. */
    if (answer < 0) unmap(fresh + at, 4096);
  }
  arb_tier_note_islands(move->index, chunk_of(move)->slow_islands & ~run);
  release(move);
  return -ESTALE;
}

static int promote_run(Move *move, uint64_t run) {
  int error = check(move, 1);
  if (error != 0) return error;
  leave_lock(move);
  int64_t fresh = make_fresh(move);
  take_lock(move);
  if (fresh < 0) return (int)fresh;
  error = check(move, 1);
  if (error == 0) error = put_placeholder(move);
  if (error != 0) {
    unmap((uint64_t)fresh, move->length);
    punch_fast_file(move);
    return error;
  }
  leave_lock(move);
  error = arb_tier_copy_in(move->slot, move->offset, (uint64_t)fresh, move->length);
  take_lock(move);
  if (error == 0 && check(move, 0) != 0) return put_what_fits(move, (uint64_t)fresh, run);
  if (error == 0) error = put_fresh(move, (uint64_t)fresh);
  if (error != 0) {
    /* Back to the slot, which nobody could change meanwhile. */
    map_slow(move);
    release(move);
    unmap((uint64_t)fresh, move->length);
    punch_fast_file(move);
    return error;
  }
  arb_tier_note_islands(move->index, chunk_of(move)->slow_islands & ~run);
  release(move);
  move->outcome->bytes_copied += move->length;
  return 0;
}

static int promote(Move *move, uint64_t islands) {
  ArbTierChunk *chunk = chunk_of(move);
  int error = 0;
  while (islands != 0 && error == 0) {
    uint64_t run = next_run(move, &islands);
    error = promote_run(move, run);
  }
  if (chunk->slow_islands == 0) {
    chunk->slot = ARB_TIER_NO_SLOT;
    leave_lock(move);
    arb_tier_slot_free(move->slot, 1);
    take_lock(move);
  }
  return error;
}

int arb_tier_run(uint32_t index, uint64_t islands, int is_to_slow, ArbTierOutcome *outcome) {
  uint32_t slot = arb_tier_state.chunks[index].slot;
  Move move = {.index = index, .slot = slot, .outcome = outcome};
  int error = arb_tier_slots_check();
  if (error == 0) error = is_to_slow ? demote(&move, islands) : promote(&move, islands);
  int status = status_of(error);
  /* Whether it is the claim of a slot or the copy that meets a full device, one line says so. */
  if (status == ARB_TIER_FULL)
    arb_tier_remark(
        arb_tier_is_full(error) ? ARB_TIER_REMARK_SLOT : ARB_TIER_REMARK_MEMORY,
        "there was no room for a migration: chunks stay where they are", -error);
  if (status == ARB_TIER_FAILED)
    arb_tier_remark(
        error == -EIO ? ARB_TIER_REMARK_DEVICE : ARB_TIER_REMARK_PROTECT,
        "a migration failed, and the chunk stays where it is", -error);
  return status;
}

int arb_tier_bring_home(uint32_t index, uint64_t islands) {
  ArbTierOutcome outcome = {0};
  ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  Move move = {.index = index, .slot = chunk->slot, .is_locked = 1, .outcome = &outcome};
  islands &= chunk->slow_islands;
  if (islands == 0) return 0;
  if (!arb_tier_state.is_movable) return -EPERM;
  if (arb_tier_slots_check() != 0) return -EIO;
  uint64_t busy = arb_tier_state.busy_address;
  arb_tier_state.busy_address = chunk->address;
  int error = promote(&move, islands);
  arb_tier_state.busy_address = busy;
  if (error == 0) __atomic_fetch_add(&arb_tier_state.seat->counts.homes, 1, __ATOMIC_RELAXED);
  return error;
}
