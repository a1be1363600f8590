/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Events as columns: all tags, then all starts, and so on, so that what repeats stands together and
 * compresses well. A column holds a value only where the tag says so; all others follow from the
 * events before, within the chunk.
 */
#include <string.h>

#include "trace_file.h"
#include "varint.h"

enum {
  TAG_OPERATION = 7,
  TAG_FENCED = 1 << 3,
  TAG_REGION = 1 << 4, /* another region than the event before */
  TAG_LENGTH = 1 << 5, /* another length than the last event of this operation */
  TAG_RUN = 1 << 6,    /* more than one access */
  TAG_MOVED = 1 << 7,  /* begins elsewhere than where the last run in the region led */
};

enum { TAGS, STARTS, SPANS, OFFSETS, REGIONS, LENGTHS, COUNTS, STRIDES };

/* Bytes that an event takes at most in each column. */
static const uint32_t widths[ARB_TRACE_COLUMN_COUNT] = {1, 10, 5, 7, 1, 5, 5, 5};

/* What the next event is foretold from. */
typedef struct {
  uint64_t time;                                    /* end of the event before */
  uint64_t places[ARB_TRACE_REGION_COUNT];          /* where the last run in a region led */
  uint32_t lengths[ARB_TRACE_OPERATION_COUNT];      /* of the last event of an operation */
  uint32_t region;
} Context;

static uint64_t next_place(const ArbTraceEvent *event) {
  uint64_t step = event->count == 1 ? event->length
                                    : (uint64_t)((int64_t)event->stride * (int64_t)event->count);
  return (event->offset + step) & ARB_TRACE_OFFSET_MAX;
}

/* Whether all accesses of a sound event lie inside its region. */
static int is_inside(const uint64_t *limits, const ArbTraceEvent *event) {
  if (event->operation == ARB_TRACE_FENCE) return 1;
  int64_t reach = (int64_t)event->stride * (int64_t)(event->count - 1);
  uint64_t highest = event->offset + (reach > 0 ? (uint64_t)reach : 0) + event->length;
  return highest <= limits[event->region];
}

/* What has no meaning is zero, so that equal events are equal bytes. */
static void tidy(ArbTraceEvent *event) {
  if (event->count == 1) event->stride = 0;
  if (event->operation != ARB_TRACE_FENCE) return;
  event->offset = 0;
  event->region = 0;
}

size_t arb_trace_accept(
    const uint64_t *limits, const ArbTraceEvent *events, size_t count, ArbTraceEvent *out) {
  size_t taken = 0;
  for (size_t i = 0; i < count; i++) {
    /* A copy: what lies in shared memory may change between a look and the next. */
    ArbTraceEvent event = events[i];
    if (!arb_trace_event_is_sound(&event) || !is_inside(limits, &event)) continue;
    tidy(&event);
    out[taken++] = event;
  }
  return taken;
}

void arb_trace_encode(
    const ArbTraceEvent *events, uint32_t count, uint8_t *out, ArbTraceChunk *chunk) {
  Context context;
  memset(&context, 0, sizeof context);
  /* Every column gets the most room that it can need; they are pushed together at the end. */
  uint8_t *columns[ARB_TRACE_COLUMN_COUNT], *starts[ARB_TRACE_COLUMN_COUNT];
  uint8_t *at = out + ARB_TRACE_COLUMN_COUNT * 4;
  for (int c = 0; c < ARB_TRACE_COLUMN_COUNT; c++) {
    columns[c] = starts[c] = at;
    at += (size_t)widths[c] * count;
  }
  uint64_t first = UINT64_MAX, last = 0;
  for (uint32_t i = 0; i < count; i++) {
    const ArbTraceEvent *event = &events[i];
    uint8_t tag = (uint8_t)(event->operation | (event->flags ? TAG_FENCED : 0));
    uint64_t end = event->start + event->span;
    columns[STARTS] = put_varint(columns[STARTS], zigzag((int64_t)(event->start - context.time)));
    columns[SPANS] = put_varint(columns[SPANS], event->span);
    context.time = end;
    if (event->start < first) first = event->start;
    if (end < event->start) end = UINT64_MAX;
    if (end > last) last = end;
    if (event->operation != ARB_TRACE_FENCE) {
      uint32_t region = event->region;
      if (region != context.region) {
        tag |= TAG_REGION;
        *columns[REGIONS]++ = (uint8_t)region;
        context.region = region;
      }
      if (event->length != context.lengths[event->operation]) {
        tag |= TAG_LENGTH;
        columns[LENGTHS] = put_varint(columns[LENGTHS], event->length);
        context.lengths[event->operation] = event->length;
      }
      if (event->count > 1) {
        tag |= TAG_RUN;
        columns[COUNTS] = put_varint(columns[COUNTS], event->count);
        columns[STRIDES] = put_varint(columns[STRIDES], zigzag(event->stride));
      }
      int64_t moved = (int64_t)event->offset - (int64_t)context.places[region];
      if (moved != 0) {
        tag |= TAG_MOVED;
        columns[OFFSETS] = put_varint(columns[OFFSETS], zigzag(moved));
      }
      context.places[region] = next_place(event);
    }
    *columns[TAGS]++ = tag;
  }
  at = out + ARB_TRACE_COLUMN_COUNT * 4;
  for (int c = 0; c < ARB_TRACE_COLUMN_COUNT; c++) {
    uint32_t size = (uint32_t)(columns[c] - starts[c]);
    memmove(at, starts[c], size);
    memcpy(out + 4 * c, &size, 4);
    at += size;
  }
  chunk->count = count;
  chunk->raw_size = (uint32_t)(at - out);
  chunk->first = first;
  chunk->last = last;
}

/* The columns of a chunk while they are read. */
typedef struct {
  const uint8_t *at[ARB_TRACE_COLUMN_COUNT];
  const uint8_t *end[ARB_TRACE_COLUMN_COUNT];
} Columns;

/* Finds the columns; returns 0 unless they fill the payload exactly and there is a tag for each
 * event. */
static int find_columns(const ArbTraceChunk *chunk, const uint8_t *raw, Columns *columns) {
  const uint8_t *at = raw + ARB_TRACE_COLUMN_COUNT * 4;
  size_t left = chunk->raw_size - ARB_TRACE_COLUMN_COUNT * 4;
  for (int c = 0; c < ARB_TRACE_COLUMN_COUNT; c++) {
    uint32_t size;
    memcpy(&size, raw + 4 * c, 4);
    if (size > left) return 0;
    columns->at[c] = at;
    at += size;
    left -= size;
    columns->end[c] = at;
  }
  return left == 0 && (size_t)(columns->end[TAGS] - columns->at[TAGS]) == chunk->count;
}

static inline int take(Columns *columns, int column, uint64_t most, uint64_t *value) {
  return take_varint(&columns->at[column], columns->end[column], value) && *value <= most;
}

/* The part of an event that fences lack. */
static int take_access(Columns *columns, Context *context, uint8_t tag, ArbTraceEvent *event) {
  uint64_t value;
  if (tag & TAG_REGION) {
    if (columns->at[REGIONS] == columns->end[REGIONS]) return 0;
    context->region = *columns->at[REGIONS]++;
  }
  event->region = (uint8_t)context->region;
  if (tag & TAG_LENGTH) {
    if (!take(columns, LENGTHS, UINT32_MAX, &value)) return 0;
    context->lengths[event->operation] = (uint32_t)value;
  }
  event->length = context->lengths[event->operation];
  event->count = 1;
  event->stride = 0;
  if (tag & TAG_RUN) {
    if (!take(columns, COUNTS, UINT32_MAX, &value) || value < 2) return 0;
    event->count = (uint32_t)value;
    if (!take(columns, STRIDES, UINT32_MAX, &value)) return 0;
    event->stride = (int32_t)(int64_t)unzigzag(value);
  }
  uint64_t offset = context->places[context->region];
  if (tag & TAG_MOVED) {
    if (!take(columns, OFFSETS, UINT64_MAX, &value)) return 0;
    offset += unzigzag(value);
    if (offset > ARB_TRACE_OFFSET_MAX) return 0;
  }
  event->offset = offset & ARB_TRACE_OFFSET_MAX;
  context->places[context->region] = next_place(event);
  return 1;
}

static int take_event(Columns *columns, Context *context, ArbTraceEvent *event) {
  uint64_t value;
  uint8_t tag = *columns->at[TAGS]++;
  if ((tag & TAG_OPERATION) >= ARB_TRACE_OPERATION_COUNT) return 0;
  memset(event, 0, sizeof *event);
  event->operation = tag & TAG_OPERATION;
  event->flags = tag & TAG_FENCED ? ARB_TRACE_FENCED : 0;
  if (!take(columns, STARTS, UINT64_MAX, &value)) return 0;
  event->start = context->time + unzigzag(value);
  if (!take(columns, SPANS, UINT32_MAX, &value)) return 0;
  event->span = (uint32_t)value;
  context->time = event->start + event->span;
  if (event->operation != ARB_TRACE_FENCE) return take_access(columns, context, tag, event);
  event->count = 1;
  return tag < TAG_REGION;
}

ArbTraceFault arb_trace_decode(
    const ArbTraceChunk *chunk, const uint8_t *raw, const uint64_t *limits,
    ArbTraceEvent *events, uint32_t *place) {
  Context context;
  Columns columns;
  memset(&context, 0, sizeof context);
  *place = 0;
  if (chunk->count == 0) return ARB_TRACE_GOOD;
  if (!find_columns(chunk, raw, &columns)) return ARB_TRACE_BAD_RECORD;
  uint64_t first = UINT64_MAX, last = 0;
  for (uint32_t i = 0; i < chunk->count; i++) {
    ArbTraceEvent *event = &events[i];
    *place = i;
    if (!take_event(&columns, &context, event)) return ARB_TRACE_BAD_RECORD;
    if (!arb_trace_event_is_sound(event)) return ARB_TRACE_BAD_EVENT;
    if (!is_inside(limits, event)) return ARB_TRACE_OUTSIDE_REGION;
    uint64_t end = event->start + event->span;
    if (end < event->start) end = UINT64_MAX;
    if (event->start < first) first = event->start;
    if (end > last) last = end;
  }
  for (int c = 0; c < ARB_TRACE_COLUMN_COUNT; c++) {
    if (columns.at[c] != columns.end[c]) return ARB_TRACE_BAD_RECORD;
  }
  return first == chunk->first && last == chunk->last ? ARB_TRACE_GOOD : ARB_TRACE_BAD_TIMES;
}
