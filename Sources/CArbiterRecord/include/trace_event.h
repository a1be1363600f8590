/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a recording says of one run of accesses of one thread: the form in which a recorded thread
 * hands it over and in which a reader of trace files gives it out.
 */
#ifndef ARBITER_TRACE_EVENT_H
#define ARBITER_TRACE_EVENT_H

#include <stdint.h>

/* What was done. The numbers are part of the file format. */
typedef enum {
  ARB_TRACE_LOAD = 0,
  ARB_TRACE_STORE = 1,              /* to the cache, written back whenever */
  ARB_TRACE_STORE_NT = 2,           /* non-temporal: past the caches */
  ARB_TRACE_STORE_WRITTEN_BACK = 3, /* to the cache, and written back at once */
  ARB_TRACE_FLUSH = 4,              /* write-back of lines stored before (clwb, clflushopt) */
  ARB_TRACE_FENCE = 5,              /* orders and awaits all before it; no address */
} ArbTraceOperation;

#define ARB_TRACE_OPERATION_COUNT 6

/* A store fence after each access of the run. */
#define ARB_TRACE_FENCED 1u

#define ARB_TRACE_OFFSET_MAX ((1ull << 48) - 1)
#define ARB_TRACE_REGION_COUNT 256

/* `count` accesses of `length` bytes, `stride` bytes from the start of one to that of the next. */
typedef struct {
  uint64_t start;          /* nanoseconds since the recording began; in a lane: time-stamp ticks */
  uint64_t offset : 48;    /* bytes from the start of the region */
  uint64_t region : 8;     /* number of the region */
  uint64_t operation : 4;  /* ArbTraceOperation */
  uint64_t flags : 4;
  uint32_t length;         /* bytes of each access, at least 1; 0 of a fence */
  uint32_t count;          /* at least 1 */
  int32_t stride;          /* 0 where count is 1 */
  uint32_t span;           /* from the start to the end of the run, in the unit of `start`; the
                              largest value stands for all larger ones */
} ArbTraceEvent;

_Static_assert(sizeof(ArbTraceEvent) == 32, "an event is half a cache line");

/* Whether an event is one that a thread could have produced: what comes from a file or from shared
 * memory is asked this before anything relies on it. */
int arb_trace_event_is_sound(const ArbTraceEvent *event);

#endif
