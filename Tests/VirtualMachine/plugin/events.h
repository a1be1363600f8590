/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-or-later
 *
 * What the plug-in records of a guest that writes to persistent memory: a file of fixed-size
 * events in the order in which they happened. Shared by the plug-in, the program in the guest
 * (which needs the marks) and the replay on the host.
 */
#ifndef ARBITER_VM_EVENTS_H
#define ARBITER_VM_EVENTS_H

#include <stdint.h>

/* First event of a file: `value` is ARB_LOG_MAGIC, `offset` the version of the layout. */
#define ARB_LOG_MAGIC 0x676f4c6568636143ULL
#define ARB_LOG_VERSION 1

enum arb_event_kind {
  ARB_EVENT_HEAD = 1,       /* see above */
  ARB_EVENT_STORE,          /* `size` bytes of `value` went to the cache at `offset` */
  ARB_EVENT_STORE_NT,       /* the same past the cache */
  ARB_EVENT_WRITE_BACK,     /* clwb or clflushopt of the line at `offset` */
  ARB_EVENT_FLUSH,          /* clflush of the line at `offset`, which is ordered by itself */
  ARB_EVENT_FENCE,          /* sfence, mfence, a locked instruction, after one of the above */
  ARB_EVENT_ACKNOWLEDGED,   /* the program said: `value` records of log `offset` are safe */
};

/* One event; `offset` counts from the start of the watched area. Little-endian. */
struct arb_event {
  uint8_t kind;
  uint8_t cpu;
  uint8_t size;
  uint8_t reserved;
  uint32_t offset;
  uint64_t value;
};

/* A mark is a no-operation with a 32-bit displacement that no compiler emits, and its value in
 * rax: `nopl MARK(%rax)`. It does nothing on any processor and faults nowhere. */
enum arb_mark {
  ARB_MARK_START = 0x41524230, /* watch from now on; the value is not read */
  ARB_MARK_AREA,               /* the address of the watched area, after a short rest */
  ARB_MARK_ACKNOWLEDGED,       /* log number << 32 | records that are safe */
  ARB_MARK_STOP,               /* the end */
};

#endif
