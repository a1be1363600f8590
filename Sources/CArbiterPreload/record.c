/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What calls do to memory, for recordings. A call is one event, and its span is the time that the
 * call took, waits at the gate included.
 *
 * Which stores a copy makes is libpmem's choice: past the caches from PMEM_MOVNT_THRESHOLD bytes on
 * (256 unless the environment says otherwise), below that to the cache with a write-back, unless
 * the call's flags say which. (Source: pmem_memmove_persist(3), libpmem(7).) The few bytes before
 * the first and after the last whole line of a copy past the caches are recorded with it.
 */
#define _GNU_SOURCE
#include "preload.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define F_NONTEMPORAL (1u << 1)
#define F_TEMPORAL (1u << 2)
#define F_WC (1u << 3)
#define F_WB (1u << 4)

#define EVENT_BYTES_MAX (1u << 31)

static size_t threshold = 256;

void arb_record_read_threshold(void) {
  const char *text = getenv("PMEM_MOVNT_THRESHOLD");
  char *end;
  if (text != NULL && *text != 0) {
    unsigned long long number = strtoull(text, &end, 10);
    if (*end == 0 && *text != '-') threshold = (size_t)number;
  }
  text = getenv("PMEM_NO_MOVNT");
  if (text != NULL && strcmp(text, "1") == 0) threshold = SIZE_MAX;
}

static void find(ArbThread *thread, uint64_t address) {
  int state;
  /* As in arb_thread_find_gate. */
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
  if (thread->recorder.lane == NULL && !thread->is_unrecorded) {
    thread->is_unrecorded =
        arb_recorder_attach(&thread->recorder, arb_preload_trace, ARB_TRACE_FROM_PRELOAD) != 0;
  }
  if (address != 0) arb_thread_find_range(thread, address);
  pthread_setcancelstate(state, NULL);
}

int64_t arb_record_find(ArbThread *thread, uint64_t address, uint32_t generation) {
  int knows_range = address == 0 || arb_thread_knows(thread, address, generation);
  ArbRecorder *recorder = &thread->recorder;
  if (knows_range && recorder->lane != NULL) {
    if (address != 0) thread->calls_left--;
    return arb_recorder_now(recorder);
  }
  if (knows_range && thread->is_unrecorded) {
    if (address != 0) thread->calls_left--;
    return ARB_NO_START;
  }
  /* The search is no time of the thread's. */
  if (recorder->lane != NULL) arb_recorder_now(recorder);
  find(thread, address);
  if (recorder->lane == NULL) return ARB_NO_START;
  arb_recorder_exclude(recorder);
  return arb_recorder_now(recorder);
}

static uint64_t kind_of_store(const ArbStore *store) {
  unsigned flags = store->flags;
  if ((flags & ARB_F_NOFLUSH) != 0) return ARB_TRACE_STORE;
  if ((flags & (F_NONTEMPORAL | F_WC)) != 0) return ARB_TRACE_STORE_NT;
  if ((flags & (F_TEMPORAL | F_WB)) != 0 || store->is_whole) return ARB_TRACE_STORE_WRITTEN_BACK;
  return store->byte_count < threshold ? ARB_TRACE_STORE_WRITTEN_BACK : ARB_TRACE_STORE_NT;
}

/* Records a range; of one that is too long for an event, parts of which the last has the time. */
static void append(ArbThread *thread, uint64_t operation, uint64_t address, uint64_t byte_count,
                   uint64_t flags, int64_t start) {
  ArbRecorder *recorder = &thread->recorder;
  if (recorder->lane == NULL) return; /* the child of a fork in the middle of a call */
  int64_t end = arb_recorder_now(recorder);
  uint64_t offset = thread->last.offset + (address - thread->last.start);
  if (address - thread->last.start >= thread->last.byte_count || thread->last.region < 0 ||
      offset + byte_count > ARB_TRACE_OFFSET_MAX || byte_count > ARB_TRACE_OFFSET_MAX) {
    arb_recorder_count_lost(recorder, 1);
    return;
  }
  ArbTraceEvent event = {.start = (uint64_t)start, .operation = (uint8_t)operation,
                         .region = (uint8_t)thread->last.region, .count = 1};
  while (byte_count > EVENT_BYTES_MAX) {
    event.offset = offset & ARB_TRACE_OFFSET_MAX;
    event.length = EVENT_BYTES_MAX;
    arb_recorder_append(recorder, &event);
    offset += EVENT_BYTES_MAX;
    byte_count -= EVENT_BYTES_MAX;
  }
  event.offset = offset & ARB_TRACE_OFFSET_MAX;
  event.length = (uint32_t)byte_count;
  event.flags = flags & 15;
  event.span = arb_trace_span(start, end);
  arb_recorder_append(recorder, &event);
}

void arb_record_store(ArbThread *thread, const ArbStore *store, int64_t start) {
  uint64_t address = (uint64_t)(uintptr_t)store->target;
  int drains = arb_store_drains(store);
  if (store->byte_count == 0) {
    if (drains) arb_record_fence(thread, start);
    return;
  }
  uint64_t operation =
      store->kind >= ARB_STORE_RANGE ? (uint64_t)ARB_TRACE_FLUSH : kind_of_store(store);
  append(thread, operation, address, store->byte_count, drains ? ARB_TRACE_FENCED : 0, start);
}

void arb_record_flush(ArbThread *thread, const void *address, size_t byte_count, int64_t start) {
  if (start == ARB_NO_START || byte_count == 0) return;
  append(thread, ARB_TRACE_FLUSH, (uint64_t)(uintptr_t)address, byte_count, ARB_TRACE_FENCED,
         start);
}

void arb_record_fence(ArbThread *thread, int64_t start) {
  ArbRecorder *recorder = &thread->recorder;
  if (start == ARB_NO_START || recorder->lane == NULL) return;
  ArbTraceEvent event = {.start = (uint64_t)start, .operation = ARB_TRACE_FENCE, .count = 1,
                         .span = arb_trace_span(start, arb_recorder_now(recorder))};
  arb_recorder_append(recorder, &event);
}
