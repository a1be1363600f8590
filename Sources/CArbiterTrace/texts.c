/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Regions and notes: numbers and texts one after the other.
 */
#include "trace_file.h"
#include "varint.h"

static int take_number(ArbTraceSpan *rest, uint64_t *value) {
  const uint8_t *at = rest->bytes;
  if (!take_varint(&at, rest->bytes + rest->count, value)) return 0;
  rest->count -= (size_t)(at - rest->bytes);
  rest->bytes = at;
  return 1;
}

static int take_text(ArbTraceSpan *rest, ArbTraceSpan *text) {
  uint64_t count;
  if (!take_number(rest, &count) || count > ARB_TRACE_TEXT_MAX || count > rest->count) return 0;
  text->bytes = rest->bytes;
  text->count = (size_t)count;
  rest->bytes += count;
  rest->count -= (size_t)count;
  return 1;
}

ArbTraceFault arb_trace_next_region(
    ArbTraceSpan *rest, uint8_t *number, uint64_t *byte_count, ArbTraceSpan *name) {
  uint64_t value;
  if (!take_number(rest, &value) || value >= ARB_TRACE_REGION_COUNT) return ARB_TRACE_BAD_TEXT;
  *number = (uint8_t)value;
  if (!take_number(rest, byte_count) || *byte_count > ARB_TRACE_OFFSET_MAX) {
    return ARB_TRACE_BAD_TEXT;
  }
  return take_text(rest, name) ? ARB_TRACE_GOOD : ARB_TRACE_BAD_TEXT;
}

ArbTraceFault arb_trace_next_note(ArbTraceSpan *rest, ArbTraceSpan *key, ArbTraceSpan *value) {
  return take_text(rest, key) && take_text(rest, value) ? ARB_TRACE_GOOD : ARB_TRACE_BAD_TEXT;
}
