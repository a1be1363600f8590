/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Forks. Fast memory of one's own is the kernel's business. A slow island would be shared by parent
 * and child, as a slot is mapped shared, so before the fork
 *
 *   - each slot in use is lent: it neither changes nor is freed while a fork lives;
 *   - the parent's islands become empty memory, registered with userfaultfd: whoever touches one
 *     makes the watcher copy it home (lend.c);
 *   - the slots are mapped privately elsewhere, for the child to move over its empty islands.
 *
 * So at the moment of the fork an island is either empty, with its bytes in a slot that nobody
 * changes, or fast memory as any other, and the kernel's copy of the page tables is the snapshot.
 * Where userfaultfd is not to be had, parent and child both map the slot privately, for good.
 * * sentinel.c tells how long forks live. */
#define _GNU_SOURCE
#include "fork_state.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define LOOK_NS 20000000ll

ArbTierFork arb_tier_fork;

void arb_tier_fork_lock(void) {
  uint32_t expected = 0;
  /* Acquire, with the release of whoever had it. */
  if (__atomic_compare_exchange_n(
          &arb_tier_fork.lock, &expected, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
    return;
  while (__atomic_exchange_n(&arb_tier_fork.lock, 2, __ATOMIC_ACQUIRE) != 0)
    arb_tier_sleep(&arb_tier_fork.lock, 2, 10000000);
}

void arb_tier_fork_unlock(void) {
  if (__atomic_exchange_n(&arb_tier_fork.lock, 0, __ATOMIC_RELEASE) == 2)
    arb_tier_wake_all(&arb_tier_fork.lock);
}

ArbTierForkChunk *arb_tier_fork_chunk(uint32_t index) {
  ArbTierForkChunk *fork = &arb_tier_fork.chunks[index];
  uint64_t generation = arb_tier_state.chunks[index].generation;
  if (fork->generation != generation) *fork = (ArbTierForkChunk){.generation = generation};
  return fork;
}

static uint64_t map_empty(uint64_t bytes, int protection) {
  int64_t answer = arb_tier_call(
      SYS_mmap, 0, (int64_t)bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
      0);
  return answer < 0 ? 0 : (uint64_t)answer;
}

static void unmap(uint64_t *address, uint64_t bytes) {
  if (*address != 0) arb_tier_call(SYS_munmap, (int64_t)*address, (int64_t)bytes, 0, 0, 0, 0);
  *address = 0;
}

static int make_tables(void) {
  ArbTierFork *fork = &arb_tier_fork;
  if (fork->is_ready) return 1;
  fork->chunks_bytes = arb_tier_state.chunk_capacity * sizeof(ArbTierForkChunk);
  fork->slots_bytes = (uint64_t)arb_tier_state.slot_count + 1;
  uint64_t bytes = fork->chunks_bytes + fork->slots_bytes;
  uint64_t tables = map_empty(bytes, PROT_READ | PROT_WRITE);
  if (tables == 0) return 0;
  fork->chunks = (ArbTierForkChunk *)tables;
  fork->slots = (uint8_t *)(tables + fork->chunks_bytes);
  /* Release, with arb_tier_fork_fault. */
  __atomic_store_n(&fork->is_ready, 1, __ATOMIC_RELEASE);
  return 1;
}

/* --- Before --- */

/* Both sides map the slot privately, and it is taken for as long as the process lives. */
static void map_for_good(const ArbTierForkRun *run, uint64_t offset) {
  ArbTierChunk *chunk = &arb_tier_state.chunks[run->index];
  int error = arb_tier_map_slot(
      run->address, chunk->slot, offset, run->length, chunk->protection, MAP_PRIVATE);
  arb_tier_private_note(run->address, run->length);
  if (error == 0) return;
  /* Better a child without the memory than one that shares it. */
  arb_tier_call(
      SYS_madvise, (int64_t)run->address, (int64_t)run->length, MADV_DONTFORK, 0, 0, 0);
  arb_tier_remark(ARB_TIER_REMARK_FORK, "slow memory cannot be mapped for a fork", -error);
}

/* Makes the parent's run empty; 0 or a negative errno, with all as before. */
static int64_t lend(const ArbTierForkRun *run) {
  uint64_t empty = map_empty(run->length, run->protection);
  if (empty == 0) return -ENOMEM;
  int64_t answer = arb_tier_register_missing(empty, run->length);
  if (answer == 0)
    answer = arb_tier_call(
        SYS_mremap, (int64_t)empty, (int64_t)run->length, (int64_t)run->length,
        MREMAP_MAYMOVE | MREMAP_FIXED, (int64_t)run->address, 0);
  if (answer < 0) unmap(&empty, run->length);
  return answer < 0 ? answer : 0;
}

static uint64_t islands_of(const ArbTierForkRun *run, const ArbTierChunk *chunk) {
  uint64_t count = run->length / ARB_TIER_ISLAND_BYTES;
  uint64_t run_islands = count == 64 ? UINT64_MAX : (1ull << count) - 1;
  return run_islands << (run->address - chunk->address) / ARB_TIER_ISLAND_BYTES;
}

static void prepare_run(ArbTierForkRun *run) {
  ArbTierChunk *chunk = &arb_tier_state.chunks[run->index];
  ArbTierForkChunk *fork = arb_tier_fork_chunk(run->index);
  uint64_t offset = run->address - chunk->address, islands = islands_of(run, chunk);
  int error = arb_tier_map_slot(
      run->staging, chunk->slot, offset, run->length, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_NORESERVE);
  if (run->is_lent) {
    /* To an older fork already. Without a mapping for the child it comes home; what came home since
     * the walk, the child finds present. */
    arb_tier_fork_lock();
    if (error != 0 && arb_tier_lent_home(run->index, islands) == 0) run->index = ARB_TIER_NONE;
    arb_tier_fork_unlock();
    return;
  }
  if (error == 0) {
    arb_tier_fork_lock();
    fork->lent |= islands;
    fork->placed |= islands;
    arb_tier_fork_unlock();
    error = (int)lend(run);
    if (error == 0) return;
    arb_tier_fork_lock();
    fork->lent &= ~islands;
    fork->placed &= ~islands;
    arb_tier_fork_unlock();
  }
  run->index = ARB_TIER_NONE;
}

/* Counts runs of slow islands, or notes them. */
static uint32_t walk(ArbTierForkRun *runs, uint64_t *bytes) {
  uint32_t high = arb_tier_high(), run_count = 0;
  *bytes = 0;
  for (uint32_t index = 0; index < high; index++) {
    ArbTierChunk *chunk = &arb_tier_state.chunks[index];
    if (chunk->address == 0) continue;
    int is_shared = chunk->sharing == ARB_TIER_SHARED;
    uint64_t islands = chunk->slot >= arb_tier_state.slot_count ? 0 : chunk->slow_islands;
    if (islands == 0 && !is_shared) continue;
    if (arb_tier_fork_chunk(index)->for_good) continue;
    chunk->held |= ARB_TIER_HELD_FORKED;
    arb_tier_show(index);
    if (chunk->slot < arb_tier_state.slot_count) arb_tier_fork.slots[chunk->slot] |= ARB_TIER_LENT;
    while (islands != 0 && !is_shared) {
      uint32_t first, count;
      arb_tier_next_run(&islands, &first, &count);
      if (runs != NULL)
        runs[run_count] = (ArbTierForkRun){
            .address = chunk->address + first * ARB_TIER_ISLAND_BYTES,
            .length = count * ARB_TIER_ISLAND_BYTES, .staging = *bytes, .index = index,
            .protection = chunk->protection,
            .is_lent = (arb_tier_fork_chunk(index)->lent >> first & 1) != 0};
      *bytes += count * ARB_TIER_ISLAND_BYTES;
      run_count++;
    }
  }
  return run_count;
}

/* What could not be lent is mapped for good, and its chunk stays where it is. */
static void give_up(uint32_t index) {
  ArbTierChunk *chunk = &arb_tier_state.chunks[index];
  if (arb_tier_lent_settle(index) != 0) return;
  uint64_t islands = chunk->slow_islands;
  while (islands != 0) {
    uint32_t first, count;
    arb_tier_next_run(&islands, &first, &count);
    uint64_t offset = first * ARB_TIER_ISLAND_BYTES;
    ArbTierForkRun run = {.address = chunk->address + offset,
                          .length = count * ARB_TIER_ISLAND_BYTES, .index = index};
    map_for_good(&run, offset);
  }
  chunk->held |= ARB_TIER_HELD_FORKED;
  arb_tier_show(index);
  arb_tier_fork_chunk(index)->for_good = 1;
}

/* Where nothing can be lent: all slow memory comes home, or is mapped for good. */
static void give_all_up(int is_tracked) {
  uint32_t high = arb_tier_high();
  for (uint32_t index = 0; index < high; index++) {
    ArbTierChunk *chunk = &arb_tier_state.chunks[index];
    if (chunk->address == 0 || chunk->sharing == ARB_TIER_SHARED ||
        chunk->slot >= arb_tier_state.slot_count || chunk->slow_islands == 0 ||
        arb_tier_fork_chunk(index)->for_good)
      continue;
    int is_file = arb_tier_state.slow_kind == ARB_TIER_SLOW_FILE;
    /* A device cannot be mapped privately, and a slot must not be lent to who is not seen. */
    if ((!is_file || !is_tracked) && arb_tier_lent_settle(index) == 0) {
      chunk->held &= (uint8_t)~ARB_TIER_HELD_FORKED;
      int is_home = chunk->slow_islands == 0 || arb_tier_bring_home(index, UINT64_MAX) == 0;
      arb_tier_show(index);
      if (is_home) continue;
    }
    give_up(index);
  }
}

/* Room for the runs and their mappings for the child; 0 where there is none. */
static int make_room(int is_lendable) {
  ArbTierFork *fork = &arb_tier_fork;
  uint64_t bytes = 0;
  arb_tier_fork_lock();
  uint32_t count = walk(NULL, &bytes);
  uint64_t runs = 0;
  fork->run_count = 0;
  fork->runs_bytes = count * sizeof(ArbTierForkRun);
  fork->staging_bytes = bytes;
  if (count != 0 && is_lendable) {
    runs = map_empty(fork->runs_bytes, PROT_READ | PROT_WRITE);
    if (runs != 0) fork->staging = map_empty(bytes, PROT_NONE);
    if (fork->staging != 0) fork->run_count = walk((ArbTierForkRun *)runs, &bytes);
    else unmap(&runs, fork->runs_bytes);
  }
  fork->runs = (ArbTierForkRun *)runs;
  arb_tier_fork_unlock();
  return count == 0 || fork->run_count != 0;
}

static int64_t prepare(void *unused) {
  (void)unused;
  ArbTierFork *fork = &arb_tier_fork;
  int is_tracked = arb_tier_make_sentinel();
  arb_tier_pool_drop();
  arb_tier_private_learn();
  int is_lendable = arb_tier_state.is_movable && arb_tier_state.is_started && is_tracked &&
                    arb_tier_state.slow_kind == ARB_TIER_SLOW_FILE;
  if (!make_room(is_lendable)) give_all_up(is_tracked);
  for (uint32_t each = 0; each < fork->run_count; each++) {
    ArbTierForkRun *run = &fork->runs[each];
    uint32_t index = run->index;
    run->staging += fork->staging;
    int is_lent = (int)run->is_lent;
    prepare_run(run);
    if (is_lent || run->index != ARB_TIER_NONE) continue;
    /* All of the chunk goes: what was prepared of it comes home, what was not is never lent. */
    give_up(index);
    for (uint32_t other = 0; other < fork->run_count; other++)
      if (fork->runs[other].index == index) fork->runs[other].index = ARB_TIER_NONE;
  }
  return 0;
}

void arb_tier_fork_prepare(void) {
  ArbTierState *state = &arb_tier_state;
  if (!arb_tier_is_joined()) return;
  /* Waits for the migration under way, whichever it is. */
  arb_tier_lock();
  while (__atomic_load_n(&state->busy_address, __ATOMIC_ACQUIRE) != 0) {
    uint32_t quiet = __atomic_load_n(&state->quiet, __ATOMIC_ACQUIRE);
    arb_tier_unlock();
    arb_tier_sleep(&state->quiet, quiet, 10000000);
    arb_tier_lock();
  }
  arb_tier_fork.is_prepared = 1;
  if (make_tables()) arb_tier_on_mover(prepare, NULL);
}

/* --- After --- */

void arb_tier_fork_parent(void) {
  ArbTierFork *fork = &arb_tier_fork;
  if (!fork->is_prepared) return;
  fork->is_prepared = 0;
  uint64_t runs = (uint64_t)fork->runs;
  unmap(&fork->staging, fork->staging_bytes);
  unmap(&fork->sentinel, fork->sentinel_bytes);
  unmap(&runs, fork->runs_bytes);
  fork->runs = NULL;
  __atomic_store_n(&fork->is_pending, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&arb_tier_state.seat->counts.forks, 1, __ATOMIC_RELAXED);
  arb_tier_unlock();
}

/* Pages that the watcher brought home at the moment of the fork are newer than the slot. */
static void keep_present(const ArbTierForkRun *run) {
  unsigned char pages[ARB_TIER_CHUNK_BYTES / 4096];
  int64_t answer = arb_tier_call(
      SYS_mincore, (int64_t)run->address, (int64_t)run->length, (intptr_t)pages, 0, 0, 0);
  if (answer != 0) return;
  for (uint64_t page = 0; page < run->length / 4096; page++) {
    if ((pages[page] & 1) == 0) continue;
    if ((run->protection & PROT_READ) == 0)
      arb_tier_call(SYS_mprotect, (int64_t)run->address, (int64_t)run->length, PROT_READ, 0, 0, 0);
    memcpy((void *)(run->staging + page * 4096), (void *)(run->address + page * 4096), 4096);
  }
}

static void take_run(const ArbTierForkRun *run) {
  keep_present(run);
  if (run->protection != (PROT_READ | PROT_WRITE))
    arb_tier_call(
        SYS_mprotect, (int64_t)run->staging, (int64_t)run->length, run->protection, 0, 0, 0);
  int64_t answer = arb_tier_call(
      SYS_mremap, (int64_t)run->staging, (int64_t)run->length, (int64_t)run->length,
      MREMAP_MAYMOVE | MREMAP_FIXED, (int64_t)run->address, 0);
  arb_tier_private_note(run->address, run->length);
  if (answer >= 0) return;
  /* No room for mappings: better no memory, and a signal to whoever reads it, than other bytes. */
  arb_tier_call(SYS_munmap, (int64_t)run->address, (int64_t)run->length, 0, 0, 0, 0);
}

void arb_tier_fork_child(void) {
  ArbTierFork *fork = &arb_tier_fork;
  if (!fork->is_prepared) return;
  sigset_t before = arb_tier_state.lock_mask;
  for (uint32_t each = 0; each < fork->run_count && fork->runs != NULL; each++)
    if (fork->runs[each].index != ARB_TIER_NONE) take_run(&fork->runs[each]);
  unmap(&fork->staging, fork->staging_bytes);
  uint64_t runs = (uint64_t)fork->runs, tables = (uint64_t)fork->chunks;
  unmap(&runs, fork->runs_bytes);
  if (fork->is_ready) unmap(&tables, fork->chunks_bytes + fork->slots_bytes);
  /* The sentinel stays. */
  memset(fork, 0, sizeof *fork);
  arb_tier_leave();
  arb_tier_call(SYS_rt_sigprocmask, SIG_SETMASK, (intptr_t)&before, 0, 8, 0, 0);
}

/* --- Later, on the mover --- */

void arb_tier_fork_tend(void) {
  ArbTierFork *fork = &arb_tier_fork;
  if (!__atomic_load_n(&fork->is_pending, __ATOMIC_RELAXED)) return;
  int64_t now = arb_tier_now();
  if (now - fork->looked_ns < LOOK_NS) return;
  fork->looked_ns = now;
  /* Not between another thread's preparation and its fork: that thread has the lock. */
  arb_tier_mover_lock();
  if (!arb_tier_is_locked(arb_tier_state.slow_fd, arb_tier_state.seat_number)) arb_tier_fold_back();
  arb_tier_mover_unlock();
}

typedef struct {
  uint64_t start, end;
  int error;
} Settlement;

static int64_t settle(void *argument) {
  Settlement *range = argument;
  uint64_t at = range->start;
  for (uint32_t index; (index = arb_tier_next(&at, range->end)) != ARB_TIER_NONE;) {
    int error = arb_tier_lent_settle(index);
    if (error != 0) range->error = error;
  }
  return 0;
}

int arb_tier_fork_settle(uint64_t start, uint64_t end) {
  if (!__atomic_load_n(&arb_tier_fork.is_pending, __ATOMIC_RELAXED)) return 0;
  Settlement range = {start, end, 0};
  arb_tier_on_mover(settle, &range);
  return range.error;
}
