/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "CArbiterGate.h"

#include "CArbiter.h"

#include <string.h>

#define LIMIT_BITS 16
#define LIMIT_MASK ((1ull << LIMIT_BITS) - 1)
#define LINES_MAX ((1ull << 20) - 1)

/* What of a word says how stores are paced. */
static uint64_t pacing_of(uint64_t word) {
  return word & ~(ARB_WORD_VERSION_MASK << ARB_WORD_VERSION_SHIFT) & ~ARB_WORD_RECORDING;
}

void arb_set_begin_recording(ArbSet *set, uint64_t name, uint32_t limit) {
  uint64_t allowed = limit < ARB_RECORD_COUNT ? limit : ARB_RECORD_COUNT;
  arb_store(&set->recording, name << LIMIT_BITS | allowed);
}

void arb_gate_apply_recording(ArbGate *gate, uint64_t word) {
  if ((word & ARB_WORD_RECORDING) == 0) {
    gate->records_left = 0;
    return;
  }
  /* The word was loaded before; its partner is the release in arb_set_publish. */
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  uint64_t recording = arb_load(&gate->set->recording);
  uint64_t settings = pacing_of(word);
  if (recording == gate->recording && settings == gate->recorded_settings) return;
  gate->recording = recording;
  gate->recorded_settings = settings;
  gate->records_left = (uint32_t)(recording & LIMIT_MASK);
  ArbSlot *slot = gate->slot;
  /* A reader that sees any of the three sees the name cleared or changed when it looks again. */
  arb_store(&slot->recording, 0);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  arb_store(&slot->record_settings, settings);
  arb_store(&slot->record_start, arb_load(&slot->counts.record_count));
  /* Releases the two to arb_slot_read_recording. */
  __atomic_store_n(&slot->recording, recording, __ATOMIC_RELEASE);
}

static void put(ArbGate *gate, uint64_t lines) {
  ArbCounts *counts = &gate->slot->counts;
  uint64_t count = counts->record_count;
  ArbRecord *place = arb_page_records(gate->page, gate->slot_index) + count % ARB_RECORD_COUNT;
  arb_store_signed(&place->ticks, arb_read_tsc());
  arb_store(&place->lines, lines);
  /* Releases the record to the controller, which acquires the count. */
  __atomic_store_n(&counts->record_count, count + 1, __ATOMIC_RELEASE);
  gate->records_left--;
}

void arb_gate_record(ArbGate *gate, uint64_t address, uint64_t length) {
  uint64_t first = address >> 6;
  uint64_t lines = ((address + length - 1) >> 6) - first + 1;
  put(gate, first << 20 | (lines < LINES_MAX ? lines : LINES_MAX));
}

void arb_gate_record_fence(ArbGate *gate) { put(gate, 0); }

void arb_slot_read_recording(const ArbPage *page, uint32_t index, ArbRecord *records,
                             ArbRecordingView *view) {
  const ArbSlot *slot = arb_page_slot(page, index);
  memset(view, 0, sizeof *view);
  /* Acquires start and settings (arb_gate_apply_recording). */
  uint64_t recording = __atomic_load_n(&slot->recording, __ATOMIC_ACQUIRE);
  if (recording == 0) return;
  uint64_t start = arb_load(&slot->record_start);
  uint64_t settings = arb_load(&slot->record_settings);
  /* Acquires the records (put). */
  uint64_t end = __atomic_load_n(&slot->counts.record_count, __ATOMIC_ACQUIRE);
  /* Differences survive a count that wraps. */
  uint64_t count = end - start;
  if (count > ARB_RECORD_COUNT) count = ARB_RECORD_COUNT;
  const ArbRecord *ring = arb_page_records(page, index);
  for (uint64_t place = 0; place < count; place++) {
    const ArbRecord *record = ring + (end - count + place) % ARB_RECORD_COUNT;
    records[place].ticks = arb_load_signed(&record->ticks);
    records[place].lines = arb_load(&record->lines);
  }
  /* Orders the copies before the two looks that judge them. */
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  if (arb_load(&slot->recording) != recording) return;
  uint64_t overwritten = arb_load(&slot->counts.record_count) - (end - count);
  overwritten = overwritten > ARB_RECORD_COUNT ? overwritten - ARB_RECORD_COUNT : 0;
  /* One more place may be half written. */
  if (overwritten > 0 || count == ARB_RECORD_COUNT) overwritten++;
  if (overwritten >= count) return;
  memmove(records, records + overwritten, (size_t)(count - overwritten) * sizeof *records);
  view->count = (uint32_t)(count - overwritten);
  view->ends_early = end - start >= (recording & LIMIT_MASK);
  view->name = recording >> LIMIT_BITS;
  view->settings = settings;
  view->process = __atomic_load_n(&slot->process, __ATOMIC_RELAXED);
}
