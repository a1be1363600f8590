/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "CArbiterGate.h"

/* Bytes of the last media block of `left` bytes from `address`. */
static uint64_t tail_of(uint64_t address, uint64_t left) {
  uint64_t tail = ((address + left - 1) & 255) + 1;
  return tail < left ? tail : left;
}

static void admit_forward(ArbGate *gate, const ArbRun *run, ArbIssue issue, void *context) {
  uint64_t left = run->byte_count, offset = 0;
  uint64_t piece = arb_gate_begin(gate, run->address, left);
  for (;;) {
    left -= piece;
    issue(context, offset, piece, left == 0);
    if (left == 0) return;
    offset += piece;
    piece = arb_gate_continue(gate, run->address + offset, left);
  }
}

static void admit_from_end(ArbGate *gate, const ArbRun *run, ArbIssue issue, void *context) {
  uint64_t left = run->byte_count;
  uint64_t piece = tail_of(run->address, left);
  if (arb_load(&gate->set->settings) == gate->pass_word) piece = left;
  arb_gate_pass(gate, run->address + left - piece, piece);
  if (!gate->asks_each_block && piece < left) {
    arb_gate_pass_block(gate, run->address, left - piece);
    piece = left;
  }
  for (;;) {
    left -= piece;
    issue(context, left, piece, left == 0);
    if (left == 0) return;
    piece = gate->asks_each_block ? tail_of(run->address, left) : left;
    arb_gate_pass_block(gate, run->address + left - piece, piece);
  }
}

/* Bytes that are stored under one permit: at least `span_bytes`, up to the end of a block. */
static uint64_t span_of(uint64_t address, uint64_t left, uint64_t span_bytes, int is_from_end) {
  if (span_bytes == 0 || left <= span_bytes) return left;
  uint64_t span = is_from_end
                      ? address + left - ((address + left - span_bytes) & ~255ull)
                      : ((address + span_bytes + 255) & ~255ull) - address;
  return span < left ? span : left;
}

static void admit_under_permit(ArbGate *gate, const ArbRun *run, ArbIssue issue, void *context) {
  uint64_t left = run->byte_count, done = 0;
  uint64_t span_bytes = run->is_whole ? 0 : gate->page->span_bytes;
  while (left > 0) {
    uint64_t at = run->is_from_end ? run->address : run->address + done;
    uint64_t span = span_of(at, left, span_bytes, (int)run->is_from_end);
    uint64_t offset = run->is_from_end ? left - span : done;
    int is_held = arb_permit_acquire(gate) != ARB_NO_TICKET;
    if (!is_held) arb_gate_count_direct(gate);
    if (done == 0) {
      arb_gate_pass(gate, run->address + offset, span);
    } else {
      arb_gate_pass_block(gate, run->address + offset, span);
    }
    left -= span;
    done += span;
    issue(context, offset, span, left == 0);
    if (is_held) arb_permit_release(gate);
  }
}

void arb_admit(ArbGate *gate, const ArbRun *run, ArbIssue issue, void *context) {
  if (gate->page->scheme == ARB_SCHEME_LOCK) {
    admit_under_permit(gate, run, issue, context);
  } else if (gate->page->scheme == ARB_SCHEME_BASELINE || run->is_whole) {
    arb_gate_pass(gate, run->address, run->byte_count);
    issue(context, 0, run->byte_count, 1);
  } else if (run->is_from_end) {
    admit_from_end(gate, run, issue, context);
  } else {
    admit_forward(gate, run, issue, context);
  }
}
