/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Islands on their way to fast memory: an empty mapping is put over them, where whoever touches
 * them waits until they are copied and fresh memory is put there.
 *
 * That mapping costs as much as the copy of some islands, as the kernel holds the mover until the
 * watcher knows of it. So islands that lie near each other, with nothing but slow memory between,
 * share one, and the slot is mapped again over what lies between. */
#define _GNU_SOURCE
#include "move.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Slow islands between two that move together, at most: whoever needs them waits too. */
#define GAP_MAX 8u

/* Huge pages stay whole; otherwise whoever needs an island waits for the copy of few. */
static uint32_t islands_max(void) {
  return arb_tier_is_huge() ? ARB_TIER_CHUNK_ISLANDS : arb_tier_piece_islands();
}

static void unmap(uint64_t address, uint64_t length) {
  if (length != 0) arb_tier_call(SYS_munmap, (int64_t)address, (int64_t)length, 0, 0, 0, 0);
}

/* Bits first to end. */
static uint64_t islands_between(uint32_t first, uint32_t end) {
  uint64_t below_end = end >= 64 ? UINT64_MAX : (1ull << end) - 1;
  return first >= 64 ? 0 : below_end & ~((1ull << first) - 1);
}

static uint64_t bytes_of(uint64_t islands) {
  return (uint64_t)__builtin_popcountll(islands) * ARB_TIER_ISLAND_BYTES;
}

/* Aims at the next islands that can move together, takes them out of the set and returns them. */
static uint64_t next_span(ArbTierMove *move, uint64_t *islands) {
  const ArbTierChunk *chunk = arb_tier_move_chunk(move);
  uint32_t start, count, left = islands_max();
  uint64_t span = arb_tier_next_piece(islands, left, &start, &count);
  uint32_t end = start + count;
  while (*islands != 0 && chunk->sharing == ARB_TIER_PRIVATE && (left -= count) != 0) {
    uint64_t later = *islands;
    uint32_t next;
    uint64_t run = arb_tier_next_piece(&later, left, &next, &count);
    if (next - end > GAP_MAX || (islands_between(end, next) & ~chunk->slow_islands) != 0) break;
    span |= run;
    end = next + count;
    *islands = later;
  }
  arb_tier_move_aim(move, start, end - start);
  return span;
}

/* Fast memory for so many bytes, with all its pages, mapped elsewhere; shared memory for the
 * islands at hand. */
static int64_t make_fresh(const ArbTierMove *move, uint64_t bytes) {
  const ArbTierLocal *local = &arb_tier_state.locals[move->index];
  int is_shared = arb_tier_move_chunk(move)->sharing == ARB_TIER_SHARED;
  int64_t fresh = (int64_t)arb_tier_pool_take(move->index, bytes);
  if (fresh != 0) return fresh;
  if (is_shared)
    fresh = arb_tier_call(
        SYS_mmap, 0, (int64_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
        arb_tier_state.fast_files[local->fast_file].descriptor,
        (int64_t)(local->fast_offset + move->offset));
  else
    fresh = (int64_t)arb_tier_map_aligned(bytes);
  if (fresh <= 0) return fresh == 0 ? -ENOMEM : fresh;
  if ((arb_tier_state.header->options & ARB_TIER_HUGE) != 0)
    arb_tier_call(SYS_madvise, fresh, (int64_t)bytes, MADV_HUGEPAGE, 0, 0, 0);
  int64_t answer = arb_tier_call(
      SYS_madvise, fresh, (int64_t)bytes, MADV_POPULATE_WRITE, 0, 0, 0);
  /* Linux before 5.14 does not know it: the copy makes the pages then. */
  if (answer == 0 || answer == -EINVAL) return fresh;
  unmap((uint64_t)fresh, bytes);
  arb_tier_move_punch(move);
  return answer == -EFAULT ? -ENOMEM : answer;
}

/* Puts an empty mapping over the islands at hand where whoever touches it waits. On failure all is
 * as before. */
static int put_placeholder(ArbTierMove *move) {
  int64_t length = (int64_t)move->length;
  int64_t empty = arb_tier_call(
      SYS_mmap, 0, length, arb_tier_move_chunk(move)->protection, MAP_PRIVATE | MAP_ANONYMOUS, -1,
      0);
  if (empty < 0) return (int)empty;
  int64_t answer = arb_tier_register_missing((uint64_t)empty, move->length);
  if (answer == 0) {
    arb_tier_move_begin(move);
    answer = arb_tier_call(
        SYS_mremap, empty, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, (int64_t)move->address,
        0);
    if (answer >= 0) return 0;
    if (arb_tier_is_hole(move->address)) arb_tier_move_map_slow(move);
  }
  unmap((uint64_t)empty, move->length);
  return (int)answer;
}

static int put_fresh(const ArbTierMove *move, uint64_t fresh) {
  const ArbTierChunk *chunk = arb_tier_move_chunk(move);
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
  return arb_tier_fresh_put(fresh, move->length, move->address);
}

/* Maps the slot over islands that stay slow. Where the kernel refuses, for want of memory or of
 * mappings, they come home, into the empty mapping that lies there; returns those that did. */
static uint64_t put_slow(const ArbTierMove *move) {
  if (arb_tier_move_map_slow(move) == 0) return 0;
  uint64_t home = 0;
  uint32_t first = (uint32_t)(move->offset / ARB_TIER_ISLAND_BYTES);
  for (uint64_t at = 0; at < move->length; at += ARB_TIER_ISLAND_BYTES, first++) {
    if (arb_tier_fetch(move->slot, move->offset + at, move->address + at) != 0) continue;
    arb_tier_unregister(move->address + at, ARB_TIER_ISLAND_BYTES);
    move->outcome->bytes_copied += ARB_TIER_ISLAND_BYTES;
    home |= 1ull << first;
  }
  /* Whoever touches what is left is helped by the watcher. */
  if (bytes_of(home) != move->length) arb_tier_move_chunk(move)->held |= ARB_TIER_HELD_MIXED;
  return home;
}

static int copy_islands(const ArbTierMove *move, uint64_t islands, uint64_t fresh) {
  int error = 0;
  while (islands != 0 && error == 0) {
    uint32_t first, count;
    arb_tier_next_run(&islands, &first, &count);
    uint64_t length = count * ARB_TIER_ISLAND_BYTES;
    error = arb_tier_copy_in(move->slot, first * ARB_TIER_ISLAND_BYTES, fresh, length);
    fresh += length;
  }
  return error;
}

/* Replaces the empty mapping: by fresh memory where the islands are, unless there is an error
 * already, and by the slot elsewhere. Returns the islands that are home. */
static uint64_t replace_placeholder(
    const ArbTierMove *move, uint64_t islands, uint64_t fresh, int *error) {
  ArbTierMove part = *move;
  uint64_t home = 0, left = bytes_of(islands);
  uint32_t done = (uint32_t)(move->offset / ARB_TIER_ISLAND_BYTES);
  const uint32_t end = done + (uint32_t)(move->length / ARB_TIER_ISLAND_BYTES);
  while (islands != 0 && *error == 0) {
    uint32_t first, count;
    uint64_t run = arb_tier_next_run(&islands, &first, &count);
    if (first > done) {
      arb_tier_move_aim(&part, done, first - done);
      home |= put_slow(&part);
      done = first;
    }
    arb_tier_move_aim(&part, first, count);
    *error = put_fresh(&part, fresh);
    if (*error != 0) break;
    home |= run;
    done = first + count;
    fresh += part.length;
    left -= part.length;
    move->outcome->bytes_copied += part.length;
  }
  if (done < end) {
    arb_tier_move_aim(&part, done, end - done);
    home |= put_slow(&part);
  }
  arb_tier_fresh_drop(fresh, left);
  return home;
}

/* The empty mapping was unmapped in part, unseen: only what is left of it is replaced, page by
 * page, so that nobody waits there for ever and nothing else is mapped over. */
static void replace_what_is_left(const ArbTierMove *move, uint64_t islands, uint64_t fresh) {
  for (uint64_t at = move->offset; at < move->offset + move->length; at += 4096) {
    uint64_t address = arb_tier_move_chunk(move)->address + at;
    int is_ours = arb_tier_check(move->index, at, 4096, 0);
    if ((islands >> at / ARB_TIER_ISLAND_BYTES & 1) == 0) {
      if (is_ours)
        arb_tier_map_slot(
            address, move->slot, at, 4096, arb_tier_move_chunk(move)->protection, MAP_SHARED);
      continue;
    }
    int error = is_ours ? arb_tier_fresh_put(fresh, 4096, address) : -ESTALE;
    /* Not what has moved: others may have mapped something in its place already. */
    if (error != 0) arb_tier_fresh_drop(fresh, 4096);
    fresh += 4096;
  }
}

static int promote_span(ArbTierMove *move, uint64_t islands) {
  const ArbTierChunk *chunk = arb_tier_move_chunk(move);
  int error = arb_tier_move_check(move, 1);
  if (error != 0) return error;
  arb_tier_move_unlock(move);
  int64_t fresh = make_fresh(move, bytes_of(islands));
  arb_tier_move_lock(move);
  if (fresh < 0) return (int)fresh;
  error = arb_tier_move_check(move, 1);
  if (error == 0) error = put_placeholder(move);
  if (error != 0) {
    arb_tier_fresh_drop((uint64_t)fresh, bytes_of(islands));
    arb_tier_move_punch(move);
    return error;
  }
  arb_tier_move_unlock(move);
  error = copy_islands(move, islands, (uint64_t)fresh);
  arb_tier_move_lock(move);
  if (error == 0) error = arb_tier_move_check(move, 0);
  if (error == -ESTALE) {
    replace_what_is_left(move, islands, (uint64_t)fresh);
  } else {
    islands = replace_placeholder(move, islands, (uint64_t)fresh, &error);
    if (error != 0 && islands == 0) arb_tier_move_punch(move);
  }
  arb_tier_note_islands(move->index, chunk->slow_islands & ~islands);
  arb_tier_move_release(move);
  return error;
}

int arb_tier_promote(ArbTierMove *move, uint64_t islands) {
  ArbTierChunk *chunk = arb_tier_move_chunk(move);
  int error = 0;
  while (islands != 0 && error == 0) {
    uint64_t span = next_span(move, &islands);
    error = promote_span(move, span);
    /* What could not stay slow is home already. */
    islands &= chunk->slow_islands;
  }
  if (chunk->slow_islands == 0) {
    chunk->slot = ARB_TIER_NO_SLOT;
    arb_tier_move_unlock(move);
    arb_tier_slot_free(move->slot, 1);
    arb_tier_move_lock(move);
  }
  return error;
}
