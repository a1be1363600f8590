/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * One call of a program, carried out under the scheme in force.
 *
 * A call is cut into pieces only where the scheme asks for it (admission.h). All pieces but the
 * last are issued without a drain, and the last one as the program asked, so that the fence at its
 * end covers them all: a fence orders every earlier store of its thread. libpmem stores 256 bytes
 * and more past the caches, so that whole blocks go the way the whole call would have gone.
 */
#define _GNU_SOURCE
#include "preload.h"

void arb_store_issue(ArbStore *store, size_t offset, size_t byte_count, int is_last) {
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

static void issue(void *store, size_t offset, size_t byte_count, int is_last) {
  arb_store_issue(store, offset, byte_count, is_last);
}

static uint64_t address_of(const ArbStore *store) { return (uint64_t)(uintptr_t)store->target; }

void arb_store_perform(ArbThread *thread, ArbStore *store) {
  uint32_t generation = __atomic_load_n(&arb_ranges_generation, __ATOMIC_RELAXED);
  int64_t start = arb_record_start(thread, address_of(store));
  ArbGate *gate = NULL;
  if (arb_preload_page != NULL) gate = arb_thread_gate(thread, address_of(store), generation);
  if (gate != NULL) arb_gate_count_call(gate, store->call, store->byte_count);
  int stays_in_cache = store->kind <= ARB_STORE_SET && (store->flags & ARB_F_NOFLUSH) != 0;
  if (gate == NULL || store->byte_count == 0 || stays_in_cache) {
    arb_store_issue(store, 0, store->byte_count, 1);
  } else if (gate->page->scheme == ARB_SCHEME_DELEGATION) {
    arb_gate_pass(gate, address_of(store), store->byte_count);
    if (!arb_store_delegate(thread, store)) {
      arb_gate_count_direct(gate);
      arb_store_issue(store, 0, store->byte_count, 1);
    }
  } else {
    ArbRun run = {.address = address_of(store), .byte_count = store->byte_count,
                  .is_whole = store->is_whole};
    if (store->kind == ARB_STORE_COPY) {
      run.is_from_end =
          (uint32_t)arb_is_from_end(store->target, store->source, store->byte_count);
    }
    arb_admit(gate, &run, issue, store);
  }
  if (arb_store_drains(store)) arb_thread_note_fence(thread);
  if (start != ARB_NO_START) arb_record_store(thread, store, start);
  thread->guard = ARB_GUARD_DOWN;
}
