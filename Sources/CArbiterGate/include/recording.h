/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Recordings: what gates let pass, for whoever estimates what the module makes of it.
 *
 * The controller opens a recording by naming it in its set and by publishing a settings word that
 * asks for one. A gate that sees such a word records its next stores and fences, as many as the set
 * allows, and then passes as if nobody had asked: what a recording costs a thread is bounded by its
 * limit, however late the controller returns to it. Other settings begin a recording anew, so that
 * all of it was stored under one delay.
 */
#ifndef ARBITER_RECORDING_H
#define ARBITER_RECORDING_H

#include "gate.h"

/* Names the recording that the next word with ARB_WORD_RECORDING asks for; `limit` is at most
 * ARB_RECORD_COUNT. Before arb_set_publish. */
void arb_set_begin_recording(ArbSet *_Nonnull set, uint64_t name, uint32_t limit);

/* Takes in a settings word that may ask for a recording. */
void arb_gate_apply_recording(ArbGate *_Nonnull gate, uint64_t word);

/* Records a store that has just been let pass. While `records_left` is above 0. */
void arb_gate_record(ArbGate *_Nonnull gate, uint64_t address, uint64_t length);

/* Records a fence that has just ended. While `records_left` is above 1. */
void arb_gate_record_fence(ArbGate *_Nonnull gate);

/* Says that the program has fenced its stores, after it did; what a drain costs, and whether blocks
 * were complete at it, shows in a recording. */
static inline void arb_gate_note_fence(ArbGate *_Nonnull gate) {
  /* The last place is for a store, which ends the recording. */
  if (gate->records_left > 1) arb_gate_record_fence(gate);
}

/* What a slot holds of a recording. */
typedef struct {
  uint32_t count;      /* records copied */
  uint32_t ends_early; /* the gate had recorded as many as it was allowed */
  uint64_t name;       /* of the recording */
  uint64_t settings;   /* word in force, without its version */
  int32_t process;
} ArbRecordingView;

/* Copies what slot `index` recorded last into `records`, ARB_RECORD_COUNT places, oldest first.
 * Where older records were overwritten, the newest are copied; where the slot began another
 * recording meanwhile, none. Waits for nobody. */
void arb_slot_read_recording(const ArbPage *_Nonnull page, uint32_t index,
                             ArbRecord *_Nonnull records, ArbRecordingView *_Nonnull view);

#endif
