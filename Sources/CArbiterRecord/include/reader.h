/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The side that reads a session and writes the recording down. One thread: the one that made the
 * session. It keeps the sizes of the session for itself, since recorded programs can write to the
 * memory, and hands out nothing that a sound thread could not have produced.
 */
#ifndef ARBITER_TRACE_READER_H
#define ARBITER_TRACE_READER_H

#include "trace_session.h"

typedef struct ArbTraceReader ArbTraceReader;

/* A lane as it is now. */
typedef struct {
  uint32_t is_used;
  uint32_t generation;
  uint32_t source;
  int32_t process, thread;
  uint32_t is_waiting;
  uint64_t lost_count; /* events that its thread lost, or that made no sense */
  uint64_t pending;    /* events published and not read */
  int64_t removed_nanoseconds, waited_nanoseconds;
  char name[16];
} ArbTraceLaneGlance;

/* Prepares to read a session that the caller has made; NULL where there is no memory. */
ArbTraceReader *_Nullable arb_trace_reader_make(ArbTraceSession *_Nonnull session);

/* Frees what arb_trace_reader_make took; the session stays. */
void arb_trace_reader_dispose(ArbTraceReader *_Nullable reader);

/* Says that the reader lives. */
void arb_trace_reader_beat(ArbTraceReader *_Nonnull reader);

/* Lanes that were ever taken. */
uint32_t arb_trace_reader_lanes_used(const ArbTraceReader *_Nonnull reader);

/* Looks at a lane. */
void arb_trace_reader_glance(const ArbTraceReader *_Nonnull reader, uint32_t lane,
                             ArbTraceLaneGlance *_Nonnull glance);

/* Takes up to `capacity` events out of a lane, with starts in nanoseconds since the session was
 * made and spans in nanoseconds. Returns how many it wrote to `events`; 0: nothing was left. */
uint32_t arb_trace_reader_drain(ArbTraceReader *_Nonnull reader, uint32_t lane,
                                ArbTraceEvent *_Nonnull events, uint32_t capacity);

/* Whether the thread of a lane has ended or given it back. If so, the lane is the reader's until
 * arb_trace_reader_free, and a run that was going on has been published. */
int arb_trace_reader_has_left(ArbTraceReader *_Nonnull reader, uint32_t lane);

/* Lets other threads take a lane that arb_trace_reader_has_left gave, once it is drained. */
void arb_trace_reader_free(ArbTraceReader *_Nonnull reader, uint32_t lane);

/* Reads region `number`. Returns 0 where there is none. `name` gets ARB_TRACE_NAME_BYTES. */
int arb_trace_reader_region(const ArbTraceReader *_Nonnull reader, uint32_t number,
                            uint64_t *_Nonnull byte_count, char *_Nonnull name);

/* Events lost of threads that found no lane cannot be counted; these are the threads. */
uint64_t arb_trace_reader_refused_threads(const ArbTraceReader *_Nonnull reader);

/* Sleeps until a thread rings or the time is up. */
void arb_trace_reader_sleep(ArbTraceReader *_Nonnull reader, int64_t nanoseconds);

/* Says that nobody reads any more: threads that wait go on, and lose what they have to say. */
void arb_trace_reader_end(ArbTraceReader *_Nonnull reader);

#endif
