/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "CArbiterRecord.h"

int arb_trace_event_is_sound(const ArbTraceEvent *event) {
  if (event->operation >= ARB_TRACE_OPERATION_COUNT || event->count == 0) return 0;
  if ((event->flags & ~ARB_TRACE_FENCED) != 0) return 0;
  if (event->operation == ARB_TRACE_FENCE) return event->length == 0 && event->count == 1;
  if (event->length == 0) return 0;
  /* The whole run lies within the region's offsets. The product cannot overflow, the sum can. */
  int64_t last;
  int64_t reach = (int64_t)event->stride * (int64_t)(event->count - 1);
  if (__builtin_add_overflow((int64_t)event->offset, reach, &last) || last < 0) return 0;
  return (uint64_t)last + event->length <= ARB_TRACE_OFFSET_MAX &&
         event->offset + event->length <= ARB_TRACE_OFFSET_MAX;
}
