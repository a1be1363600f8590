/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CArbiterGate.h"

#include "CArbiter.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Fence-only passes between two looks at the clock, which costs more than a fence. */
#define PASSES_PER_LOOK 64u

static void add(uint64_t *sum, uint64_t value) { arb_store(sum, arb_load(sum) + value); }

/* Adds what a slot's last owner did to the figures of its session. */
static void fold_departed(ArbPage *page, uint32_t index) {
  const ArbSlot *slot = arb_page_slot(page, index);
  uint32_t number = arb_load_32(&slot->session);
  if (slot->generation == 0 || number >= ARB_SESSION_COUNT) return;
  ArbCounts own;
  arb_slot_read(page, index, &own);
  int status = pthread_mutex_lock(&page->registry);
  if (status == EOWNERDEAD) pthread_mutex_consistent(&page->registry);
  ArbSession *session = &page->sessions[number];
  arb_counts_add(&session->departed, &own);
  session->departed_threads++;
  pthread_mutex_unlock(&page->registry);
}

/* Owns a slot, a fresh one while there are any, since a reused one loses its thread's own row. */
static ArbSlot *take_slot(ArbPage *page, uint32_t *taken) {
  /* Relaxed: a hint that spreads searches; the mutex decides. */
  uint32_t start = __atomic_fetch_add(&page->next_slot, 1, __ATOMIC_RELAXED);
  for (int is_reuse = 0; is_reuse < 2; is_reuse++) {
    for (uint32_t step = 0; step < page->slot_count; step++) {
      uint32_t index = (start + step) % page->slot_count;
      ArbSlot *slot = arb_page_slot(page, index);
      if (!is_reuse && arb_load_32(&slot->generation) != 0) continue;
      int status = pthread_mutex_trylock(&slot->owner);
      if (status == EOWNERDEAD) {
        pthread_mutex_consistent(&slot->owner);
        arb_permit_forget(page, slot);
        __atomic_store_n(&slot->is_attached, 0, __ATOMIC_RELEASE);
      } else if (status != 0) {
        continue;
      }
      *taken = index;
      return slot;
    }
  }
  return NULL;
}

int64_t arb_gate_attach(ArbGate *gate, ArbPage *page, uint32_t set_index, uint32_t session) {
  if (set_index >= ARB_SET_COUNT || session >= ARB_SESSION_COUNT) return -EINVAL;
  uint32_t index = 0;
  ArbSlot *slot = take_slot(page, &index);
  if (slot == NULL) return -EUSERS;
  fold_departed(page, index);
  arb_store(&slot->counts.requested_ticks_max, 0);
  for (size_t word = 0; word < sizeof(ArbCounts) / sizeof(uint64_t); word++) {
    arb_store((uint64_t *)&slot->base + word, arb_load((uint64_t *)&slot->counts + word));
  }
  __atomic_store_n(&slot->set_index, set_index, __ATOMIC_RELAXED);
  slot->session = session;
  /* What the last owner recorded belonged to its set. */
  arb_store(&slot->recording, 0);
  __atomic_store_n(&slot->process, (int32_t)getpid(), __ATOMIC_RELAXED);
  slot->thread = (int32_t)syscall(SYS_gettid);
  memset(slot->name, 0, sizeof slot->name);
  prctl(PR_GET_NAME, slot->name);
  __atomic_store_n(&slot->generation, slot->generation + 1, __ATOMIC_RELAXED);
  memset(gate, 0, sizeof *gate);
  gate->page = page;
  gate->set = &page->sets[set_index];
  gate->slot = slot;
  gate->slot_index = index;
  /* Words that nobody publishes: the first store looks at the settings. */
  gate->pass_word = gate->applied_word = UINT64_MAX;
  gate->access_count = slot->counts.access_count;
  gate->stored_bytes = slot->counts.stored_bytes;
  arb_pace_init(&gate->pace, page->maximum_wait_ticks);
  /* Releases the fields above to whoever looks at attached slots. */
  __atomic_store_n(&slot->is_attached, 1, __ATOMIC_RELEASE);
  uint32_t used = arb_load_32(&page->slots_used);
  /* Releases the flag and the fields to arb_page_slots_used. */
  while (used < index + 1 &&
         !__atomic_compare_exchange_n(&page->slots_used, &used, index + 1, 1, __ATOMIC_RELEASE,
                                      __ATOMIC_RELAXED)) {
  }
  arb_page_ring(page);
  return 0;
}

void arb_gate_detach(ArbGate *gate) {
  ArbSlot *slot = gate->slot;
  if (slot == NULL) return;
  /* In a forked child, whose parent has the slot. */
  if (__atomic_load_n(&slot->process, __ATOMIC_RELAXED) != (int32_t)getpid()) {
    gate->slot = NULL;
    return;
  }
  /* Of a store that the thread left by a jump. */
  if (arb_load_32(&slot->permit_state) != ARB_PERMIT_NONE) arb_permit_release(gate);
  __atomic_store_n(&slot->is_attached, 0, __ATOMIC_RELEASE);
  if (pthread_mutex_unlock(&slot->owner) != 0) {
    /* Another thread attached it, and stays the owner until it ends: the page must not be unmapped
     * under its list of robust mutexes (arb_page_close). */
    __atomic_store_n(&slot->is_attached, 1, __ATOMIC_RELEASE);
  }
  arb_page_ring(gate->page);
  gate->slot = NULL;
}

void arb_pace_init(ArbPace *pace, int64_t maximum_wait_ticks) {
  memset(pace, 0, sizeof *pace);
  pace->maximum_wait_ticks = maximum_wait_ticks;
  pace->by_block = 1;
  pace->is_open = 1;
  pace->last_block = UINT64_MAX;
  pace->next_tick = INT64_MIN / 2;
}

void arb_pace_apply(ArbPace *pace, uint64_t word, double ticks_per_nanosecond) {
  double ticks = (double)(word & ARB_WORD_DELAY_MASK) / 1000 * ticks_per_nanosecond;
  pace->delay_ticks = ticks >= (double)pace->maximum_wait_ticks ? pace->maximum_wait_ticks
                                                                : (int64_t)ticks;
  pace->by_block = (word & ARB_WORD_BY_BLOCK) != 0;
  pace->from_previous = (word & ARB_WORD_FROM_PREVIOUS) != 0;
  pace->is_fenced = (word & ARB_WORD_FENCED) != 0;
  pace->is_open = pace->delay_ticks == 0 && !pace->is_fenced;
}

/* Whether a store needs to be looked at, by itself or at each of its blocks. */
static void update_pass(ArbGate *gate) {
  int is_recording = gate->records_left > 0;
  uint64_t word = gate->applied_word;
  gate->asks_each_block = is_recording || (!gate->pace.is_open && gate->pace.by_block);
  gate->pass_word = gate->pace.is_open && !is_recording ? word : word | ARB_WORD_FOREIGN;
}

/* Spins until `ticks` after `start`. The end is a moment, not a count of pauses: how long a pause
 * takes differs between processors and from minute to minute. A turn costs at least eight ticks, so
 * the count of turns bounds the wait also where the counter jumps back. */
static void wait_ticks(ArbGate *gate, int64_t ticks, int64_t start) {
  int64_t end = start + ticks, now = arb_read_tsc();
  for (int64_t turn = ticks / 8 + 16; now < end && turn > 0; turn--) {
    arb_pause();
    now = arb_read_tsc();
  }
  ArbCounts *counts = &gate->slot->counts;
  uint64_t actual = now > start ? (uint64_t)(now - start) : 0;
  add(&counts->wait_count, 1);
  add(&counts->requested_ticks, (uint64_t)ticks);
  if ((uint64_t)ticks > counts->requested_ticks_max) {
    arb_store(&counts->requested_ticks_max, (uint64_t)ticks);
  }
  add(&counts->actual_ticks, actual);
  add(&counts->delay_histogram[arb_delay_bucket(actual)], 1);
}

/* Whether the controller has not been heard of for too long. */
static int is_stale(const ArbSet *set, int64_t now) {
  int64_t limit = __atomic_load_n(&set->stale_ticks, __ATOMIC_RELAXED);
  return limit > 0 && now - __atomic_load_n(&set->heartbeat_ticks, __ATOMIC_RELAXED) > limit;
}

/* Waits and fences as the settings ask. */
static void pace(ArbGate *gate, uint64_t address, uint64_t length) {
  if (gate->pace.is_open) return;
  int64_t start = 0;
  if (gate->pace.delay_ticks > 0 || gate->passes_unclocked++ >= PASSES_PER_LOOK) {
    start = arb_read_tsc();
    gate->passes_unclocked = 0;
    gate->is_stale = (uint32_t)is_stale(gate->set, start);
  }
  if (gate->is_stale) {
    add(&gate->slot->counts.stale_count, 1);
    return;
  }
  ArbAdmission admission = arb_pace_admit(&gate->pace, address, length, start);
  if (admission.fence_first) {
    arb_fence_store();
    add(&gate->slot->counts.fence_count, 1);
    if (gate->records_left > 1) arb_gate_record_fence(gate);
  }
  if (admission.wait_ticks > 0) wait_ticks(gate, admission.wait_ticks, start);
}

void arb_gate_pass_slowly(ArbGate *gate, uint64_t address, uint64_t length) {
  uint64_t word = arb_load(&gate->set->settings);
  if (word != gate->applied_word) {
    arb_pace_apply(&gate->pace, word, gate->page->ticks_per_nanosecond);
    gate->applied_word = word;
    gate->passes_unclocked = PASSES_PER_LOOK;
    arb_gate_apply_recording(gate, word);
    update_pass(gate);
  }
  pace(gate, address, length);
  if (gate->records_left > 0) {
    /* After the wait: what follows is the thread's own time. */
    arb_gate_record(gate, address, length);
    if (gate->records_left == 0) update_pass(gate);
  }
}
