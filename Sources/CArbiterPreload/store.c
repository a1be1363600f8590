/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * One call of a program, carried out under the scheme in force.
 *
 * A call is cut into pieces only where the scheme asks for it. All pieces but the last are issued
 * without a drain, and the last one as the program asked, so that the fence at its end covers them
 * all: a fence orders every earlier store of its thread. Pieces end with media blocks; libpmem
 * stores 256 bytes and more past the caches, so that whole blocks go the way the whole would have.
 */
#define _GNU_SOURCE
#include "preload.h"

/* Issues one piece. */
static void issue(ArbStore *store, size_t offset, size_t byte_count, int is_last) {
  unsigned flags = is_last ? store->flags : store->flags | ARB_F_NODRAIN;
  char *target = store->target + offset;
  switch (store->kind) {
  case ARB_STORE_COPY:
    store->real.copy(target, store->source + offset, byte_count, flags);
    break;
  case ARB_STORE_SET:
    store->real.set(target, store->value, byte_count, flags);
    break;
  case ARB_STORE_RANGE:
    (is_last ? store->real.range.last : store->real.range.part)(target, byte_count);
    break;
  case ARB_STORE_CHECKED:
    store->result = store->real.checked(target, byte_count);
    break;
  }
}

void arb_store_pass_on(ArbStore *store) { issue(store, 0, store->byte_count, 1); }

/* Issues one piece; calls that the real function makes are not ours meanwhile. */
static void issue_guarded(ArbThread *thread, ArbStore *store, uintptr_t frame, size_t offset,
                          size_t byte_count, int is_last) {
  thread->guard = frame;
  issue(store, offset, byte_count, is_last);
  thread->guard = ARB_GUARD_OWN;
}

/* Whether the copy overwrites its source from the front, so that it has to begin at the end. */
static int is_backward(const ArbStore *store) {
  if (store->kind != ARB_STORE_COPY) return 0;
  uintptr_t target = (uintptr_t)store->target, source = (uintptr_t)store->source;
  return target > source && target - source < store->byte_count;
}

static uint64_t address_of(const ArbStore *store) { return (uint64_t)(uintptr_t)store->target; }

static void perform_whole(ArbThread *thread, ArbStore *store, uintptr_t frame, ArbGate *gate) {
  arb_gate_pass(gate, address_of(store), store->byte_count);
  issue_guarded(thread, store, frame, 0, store->byte_count, 1);
}

static void perform_forward(ArbThread *thread, ArbStore *store, uintptr_t frame, ArbGate *gate) {
  uint64_t address = address_of(store), left = store->byte_count;
  uint64_t piece = arb_gate_begin(gate, address, left);
  for (size_t offset = 0;;) {
    left -= piece;
    issue_guarded(thread, store, frame, offset, piece, left == 0);
    if (left == 0) return;
    offset += piece;
    piece = arb_gate_continue(gate, address + offset, left);
  }
}

/* The bytes of the last block of `left` bytes from `address`. */
static uint64_t tail_of(uint64_t address, uint64_t left) {
  uint64_t tail = ((address + left - 1) & 255) + 1;
  return tail < left ? tail : left;
}

static void perform_backward(ArbThread *thread, ArbStore *store, uintptr_t frame, ArbGate *gate) {
  uint64_t address = address_of(store), left = store->byte_count;
  uint64_t piece = tail_of(address, left);
  if (arb_load(&gate->set->settings) == gate->pass_word) piece = left;
  arb_gate_pass(gate, address + left - piece, piece);
  if (!gate->asks_each_block && piece < left) {
    arb_gate_pass_block(gate, address, left - piece);
    piece = left;
  }
  for (;;) {
    left -= piece;
    issue_guarded(thread, store, frame, left, piece, left == 0);
    if (left == 0) return;
    piece = gate->asks_each_block ? tail_of(address, left) : left;
    arb_gate_pass_block(gate, address + left - piece, piece);
  }
}

/* The bytes that are stored under one permit, from `offset` or, backward, up to `left`. */
static uint64_t span_of(uint64_t address, uint64_t left, uint64_t span_bytes, int from_end) {
  if (span_bytes == 0 || left <= span_bytes) return left;
  uint64_t span;
  if (from_end) {
    span = address + left - ((address + left - span_bytes) & ~255ull);
  } else {
    /* Nearly all of memory would wrap. */
    if (span_bytes > UINT64_MAX / 4) return left;
    span = ((address + span_bytes + 255) & ~255ull) - address;
  }
  return span < left ? span : left;
}

static void count_direct(ArbGate *gate) {
  uint64_t *count = &gate->slot->counts.direct_count;
  arb_store(count, arb_load(count) + 1);
}

static void perform_locked(ArbThread *thread, ArbStore *store, uintptr_t frame, ArbGate *gate) {
  uint64_t address = address_of(store), left = store->byte_count, done = 0;
  uint64_t span_bytes = store->is_whole ? 0 : gate->page->span_bytes;
  int backward = is_backward(store);
  while (left > 0) {
    uint64_t at = backward ? address : address + done;
    uint64_t span = span_of(at, left, span_bytes, backward);
    uint64_t offset = backward ? left - span : done;
    int is_held = arb_permit_acquire(gate) != ARB_NO_TICKET;
    if (!is_held) count_direct(gate);
    if (left == store->byte_count) {
      arb_gate_pass(gate, address + offset, span);
    } else {
      arb_gate_pass_block(gate, address + offset, span);
    }
    left -= span;
    done += span;
    issue_guarded(thread, store, frame, offset, span, left == 0);
    if (is_held) arb_permit_release(gate);
  }
}

void arb_store_perform(ArbThread *thread, ArbStore *store, uintptr_t frame) {
  uint32_t generation = __atomic_load_n(&arb_ranges_generation, __ATOMIC_RELAXED);
  ArbGate *gate = arb_thread_gate(thread, address_of(store), generation);
  if (gate != NULL) arb_gate_count_call(gate, store->call, store->byte_count);
  int stays_in_cache = store->kind <= ARB_STORE_SET && (store->flags & ARB_F_NOFLUSH) != 0;
  if (gate == NULL || store->byte_count == 0 || stays_in_cache) {
    issue_guarded(thread, store, frame, 0, store->byte_count, 1);
  } else if (gate->page->scheme == ARB_SCHEME_LOCK) {
    perform_locked(thread, store, frame, gate);
  } else if (gate->page->scheme == ARB_SCHEME_BASELINE || store->is_whole) {
    perform_whole(thread, store, frame, gate);
  } else if (is_backward(store)) {
    perform_backward(thread, store, frame, gate);
  } else {
    perform_forward(thread, store, frame, gate);
  }
  thread->guard = ARB_GUARD_DOWN;
}
