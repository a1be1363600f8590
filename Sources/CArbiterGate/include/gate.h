/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * One thread's gate to one interleave set. While settings ask for nothing, passing costs one
 * relaxed load, one comparison and two plain stores to a line of the thread's own: the published
 * word is compared with `pass_word`, which equals no published word while settings ask for
 * anything, so that one comparison covers both "settings changed" and "settings are active".
 */
#ifndef ARBITER_GATE_H
#define ARBITER_GATE_H

#include "control_page.h"

/* The arithmetic of a gate; the C twin of ArbiterScheduler's Pace, which the model uses. A test
 * drives both with the same streams. */
typedef struct {
  int64_t delay_ticks;
  int64_t maximum_wait_ticks;
  int64_t next_tick;
  uint64_t last_block;
  uint8_t by_block;
  uint8_t from_previous;
  uint8_t is_fenced;
  uint8_t is_open;
} ArbPace;

/* What a gate asks of its thread before a store. */
typedef struct {
  int64_t wait_ticks;
  int32_t fence_first;
} ArbAdmission;

/* A gate. Belongs to the thread that attached it. */
typedef struct {
  ArbPage *_Nullable page;
  ArbSet *_Nullable set;
  ArbSlot *_Nullable slot;
  uint32_t slot_index;
  uint32_t asks_each_block; /* settings act on every block of a long store */
  uint64_t pass_word;
  uint64_t applied_word;
  uint64_t access_count; /* mirrors of the slot's counts, which only this thread writes */
  uint64_t stored_bytes;
  uint64_t recording; /* the set's, as this gate took it in */
  uint64_t recorded_settings;
  uint32_t records_left; /* stores and fences that are still to be recorded */
  uint32_t is_copy; /* 1: in a forked child that goes on with its parent's store; takes no permit */
  uint32_t passes_unclocked; /* fence-only passes since the heartbeat was looked at */
  uint32_t is_stale;
  ArbPace pace;
} ArbGate;

/* Takes a slot and makes a gate of it. Returns 0, or -EUSERS where all slots are taken. Some
 * microseconds: two system calls. */
int64_t arb_gate_attach(ArbGate *_Nonnull gate, ArbPage *_Nonnull page, uint32_t set_index,
                        uint32_t session);

/* Gives the slot back; by the thread that took it. */
void arb_gate_detach(ArbGate *_Nonnull gate);

/* Applies the settings in force to one store: waits, fences, records. */
void arb_gate_pass_slowly(ArbGate *_Nonnull gate, uint64_t address, uint64_t length);

/* Returns when the thread may issue a store of `length` bytes, at least 1. */
static inline void arb_gate_pass(ArbGate *_Nonnull gate, uint64_t address, uint64_t length) {
  /* Relaxed: the word is the whole message; its partner is the controller's publication. */
  if (arb_load(&gate->set->settings) != gate->pass_word) {
    arb_gate_pass_slowly(gate, address, length);
  }
  gate->access_count += 1;
  gate->stored_bytes += length;
  arb_store(&gate->slot->counts.access_count, gate->access_count);
  arb_store(&gate->slot->counts.stored_bytes, gate->stored_bytes);
}

/* Returns when the thread may issue the next piece of a store that it has begun, from the start of
 * a media block. */
static inline void arb_gate_pass_block(ArbGate *_Nonnull gate, uint64_t address, uint64_t length) {
  if (gate->asks_each_block) arb_gate_pass_slowly(gate, address, length);
  gate->stored_bytes += length;
  arb_store(&gate->slot->counts.stored_bytes, gate->stored_bytes);
}

/* Passes the gate for a store of `length` bytes and returns how many of them may be issued before
 * arb_gate_continue is asked: all while settings ask for nothing at blocks, else those up to the
 * end of the media block. */
static inline uint64_t arb_gate_begin(ArbGate *_Nonnull gate, uint64_t address, uint64_t length) {
  uint64_t to_end = 256 - (address & 255);
  uint64_t piece = length < to_end ? length : to_end;
  if (arb_load(&gate->set->settings) == gate->pass_word) {
    piece = length;
  } else {
    arb_gate_pass_slowly(gate, address, piece);
    if (!gate->asks_each_block) piece = length;
  }
  gate->access_count += 1;
  gate->stored_bytes += piece;
  arb_store(&gate->slot->counts.access_count, gate->access_count);
  arb_store(&gate->slot->counts.stored_bytes, gate->stored_bytes);
  return piece;
}

/* As arb_gate_begin, for the rest of a store; `address` starts a media block. */
static inline uint64_t arb_gate_continue(ArbGate *_Nonnull gate, uint64_t address, uint64_t left) {
  uint64_t piece = left < 256 || !gate->asks_each_block ? left : 256;
  arb_gate_pass_block(gate, address, piece);
  return piece;
}

/* Counts one library call. */
static inline void arb_gate_count_call(ArbGate *_Nonnull gate, ArbCallKind kind, uint64_t bytes) {
  ArbCounts *counts = &gate->slot->counts;
  /* The slot has one writer, so that a load and a store make an addition. */
  arb_store(&counts->call_count[kind], arb_load(&counts->call_count[kind]) + 1);
  arb_store(&counts->call_bytes[kind], arb_load(&counts->call_bytes[kind]) + bytes);
}

/* Counts a store that went ahead without permit or worker. */
static inline void arb_gate_count_direct(ArbGate *_Nonnull gate) {
  uint64_t *count = &gate->slot->counts.direct_count;
  arb_store(count, arb_load(count) + 1);
}

/* Settings of a word, as ticks of the page's clock. */
void arb_pace_apply(ArbPace *_Nonnull pace, uint64_t word, double ticks_per_nanosecond);

/* Makes an open pace. */
void arb_pace_init(ArbPace *_Nonnull pace, int64_t maximum_wait_ticks);

/* Decides on a store that the thread wants to issue at `now`. Pure. */
static inline ArbAdmission arb_pace_admit(ArbPace *_Nonnull pace, uint64_t address,
                                          uint64_t length, int64_t now) {
  ArbAdmission admission = {0, 0};
  if (pace->is_open) return admission;
  uint64_t first = address >> 8;
  uint64_t final = (address + length - 1) >> 8;
  int enters = first != pace->last_block || final != first;
  /* One delay per media block begun; an access inside the current block begins none. */
  uint64_t begun = final - first + (first == pace->last_block ? 0 : 1);
  pace->last_block = final;
  if (pace->by_block && !enters) return admission;
  int64_t units = !pace->by_block ? 1 : begun < (1u << 20) ? (int64_t)begun : (1 << 20);
  int64_t due, maximum = pace->maximum_wait_ticks;
  if (__builtin_mul_overflow(pace->delay_ticks, units, &due) || due > maximum) due = maximum;
  int64_t wait = due;
  if (pace->from_previous) {
    /* What the previous access owes; time that passed anyway has paid for it already. */
    wait = (int64_t)((uint64_t)pace->next_tick - (uint64_t)now);
    wait = wait < 0 ? 0 : wait > maximum ? maximum : wait;
    pace->next_tick = now + wait + due;
  }
  admission.wait_ticks = wait;
  admission.fence_first = pace->is_fenced && enters;
  return admission;
}

/* The bucket of a wait of `ticks`: four to each power of two, so that a bucket is at most a quarter
 * wide. */
static inline uint32_t arb_delay_bucket(uint64_t ticks) {
  if (ticks < 4) return (uint32_t)ticks;
  uint32_t exponent = 63 - (uint32_t)__builtin_clzll(ticks);
  uint32_t bucket = ((exponent - 1) << 2) + (uint32_t)((ticks >> (exponent - 2)) & 3);
  return bucket < ARB_DELAY_BUCKETS ? bucket : ARB_DELAY_BUCKETS - 1;
}

/* The shortest wait of a bucket, in ticks. */
static inline uint64_t arb_delay_bucket_start(uint32_t bucket) {
  if (bucket < 4) return bucket;
  uint32_t exponent = (bucket >> 2) + 1;
  return (uint64_t)(4 + (bucket & 3)) << (exponent - 2);
}

#endif
