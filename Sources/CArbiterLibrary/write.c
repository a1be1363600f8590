/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The data path of libarbiter. Nothing here allocates, takes a lock (the lock scheme apart) or
 * makes a system call (msync of page-cache files apart).
 */
#define _GNU_SOURCE
#include "arbiter_handles.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* A write on its way through arb_admit. */
typedef struct {
  ArbMove move;
  ArbFill fill;
  char *target;
  const char *source;
  uint8_t byte;
} Write;

static void issue_move(void *context, size_t offset, size_t byte_count, int is_last) {
  (void)is_last;
  const Write *write = context;
  write->move(write->target + offset, write->source + offset, byte_count);
}

static void issue_fill(void *context, size_t offset, size_t byte_count, int is_last) {
  (void)is_last;
  const Write *write = context;
  write->fill(write->target + offset, write->byte, byte_count);
}

/* Whether a range lies within the thread's region. */
static int is_inside(const arbiter_thread *thread, const void *start, size_t byte_count) {
  uintptr_t offset = (uintptr_t)start - (uintptr_t)thread->region->base;
  return offset <= thread->region->byte_count && byte_count <= thread->region->byte_count - offset;
}

/* Whether a write goes past the caches; the whole decides, whatever pieces it is cut into. */
static int goes_past_caches(const arbiter_thread *thread, size_t byte_count, uint32_t flags) {
  if (flags & ARBITER_NON_TEMPORAL) return 1;
  if (flags & ARBITER_CACHED) return 0;
  return byte_count >= thread->region->ops.stream_bytes_min;
}

/* How a worker does what arbiter_write and arbiter_fill do: the kinds of the region's table, and
 * whether the bytes go past the caches. */
#define DELEGATED_VECTOR_SHIFT 2u
#define DELEGATED_STREAM (1u << 4)

/* A store, by a worker. */
static void store_delegated(void *target, const void *source, size_t byte_count, int32_t value,
                            uint32_t flags) {
  const ArbPersistOps *ops =
      arb_persist_ops_named(flags & 3, flags >> DELEGATED_VECTOR_SHIFT & 3);
  int is_stream = (flags & DELEGATED_STREAM) != 0;
  if (source != NULL) {
    (is_stream ? ops->move_stream : ops->move_cached)(target, source, byte_count);
  } else {
    (is_stream ? ops->fill_stream : ops->fill_cached)(target, (uint8_t)value, byte_count);
  }
}

/* Has a worker store; returns whether one did. The source is the caller's, so this waits. */
static int delegate(arbiter_thread *thread, void *target, const void *source, size_t byte_count,
                    int32_t value, int is_stream) {
  const ArbPersistOps *ops = &thread->region->ops;
  ArbRequest request = {.target = target,
                        .source = source,
                        .byte_count = byte_count,
                        .value = value,
                        .flags = ops->flush_kind | ops->vector_kind << DELEGATED_VECTOR_SHIFT |
                                 (is_stream ? DELEGATED_STREAM : 0),
                        .store = store_delegated};
  arb_gate_pass(&thread->gate, (uint64_t)(uintptr_t)target, byte_count);
  if (arb_lane_submit(&thread->lane, &request) == 0 &&
      arb_lane_wait(&thread->lane, thread->lane.submitted_count) == 0) {
    return 1;
  }
  /* The bytes are the same whoever stores them, and however often. */
  arb_gate_count_direct(&thread->gate);
  return 0;
}

/* Writes the pages of a range back through the kernel. */
static int32_t sync_pages(const void *start, size_t byte_count) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t first = (uintptr_t)start / page * page;
  int saved_errno = errno;
  int status = msync((void *)first, (uintptr_t)start + byte_count - first, MS_SYNC);
  errno = status == 0 ? saved_errno : errno;
  return status == 0 ? ARBITER_OK : ARBITER_SYSTEM;
}

/* Makes bytes survive whose way to the medium has begun. */
static int32_t finish(arbiter_thread *thread, const void *start, size_t byte_count) {
  arb_fence_store();
  arb_gate_note_fence(&thread->gate);
  if (thread->region->granularity != ARBITER_GRANULARITY_PAGE || byte_count == 0) return ARBITER_OK;
  return sync_pages(start, byte_count);
}

int32_t arbiter_write(arbiter_thread *thread, void *target, const void *source, size_t byte_count,
                      uint32_t flags) {
  if (!is_inside(thread, target, byte_count)) return ARBITER_INVALID_ARGUMENT;
  const ArbPersistOps *ops = &thread->region->ops;
  int is_stream = goes_past_caches(thread, byte_count, flags);
  ArbMove move = is_stream ? ops->move_stream : ops->move_cached;
  if (byte_count > 0) {
    if (thread->gate.page->scheme == ARB_SCHEME_BASELINE) {
      arb_gate_pass(&thread->gate, (uint64_t)(uintptr_t)target, byte_count);
      move(target, source, byte_count);
    } else if (thread->lane.pool != NULL) {
      if (!delegate(thread, target, source, byte_count, 0, is_stream)) {
        move(target, source, byte_count);
      }
    } else {
      Write write = {.move = move, .target = target, .source = source};
      ArbRun run = {.address = (uint64_t)(uintptr_t)target,
                    .byte_count = byte_count,
                    .is_from_end = (uint32_t)arb_is_from_end(target, source, byte_count)};
      arb_admit(&thread->gate, &run, issue_move, &write);
    }
  }
  return flags & ARBITER_PERSIST ? finish(thread, target, byte_count) : ARBITER_OK;
}

int32_t arbiter_fill(arbiter_thread *thread, void *target, int32_t value, size_t byte_count,
                     uint32_t flags) {
  if (!is_inside(thread, target, byte_count)) return ARBITER_INVALID_ARGUMENT;
  const ArbPersistOps *ops = &thread->region->ops;
  int is_stream = goes_past_caches(thread, byte_count, flags);
  ArbFill fill = is_stream ? ops->fill_stream : ops->fill_cached;
  if (byte_count > 0) {
    if (thread->lane.pool != NULL) {
      if (!delegate(thread, target, NULL, byte_count, value, is_stream)) {
        fill(target, (uint8_t)value, byte_count);
      }
    } else {
      Write write = {.fill = fill, .target = target, .byte = (uint8_t)value};
      ArbRun run = {.address = (uint64_t)(uintptr_t)target, .byte_count = byte_count};
      arb_admit(&thread->gate, &run, issue_fill, &write);
    }
  }
  return flags & ARBITER_PERSIST ? finish(thread, target, byte_count) : ARBITER_OK;
}

int32_t arbiter_store_u64(arbiter_thread *thread, uint64_t *target, uint64_t value,
                          uint32_t flags) {
  if (!is_inside(thread, target, sizeof *target) || (uintptr_t)target % sizeof *target != 0) {
    return ARBITER_INVALID_ARGUMENT;
  }
  arb_gate_pass(&thread->gate, (uint64_t)(uintptr_t)target, sizeof *target);
  /* Release: other threads that acquire it see what this thread stored before through the cache. */
  __atomic_store_n(target, value, __ATOMIC_RELEASE);
  thread->region->ops.flush(target, sizeof *target);
  return flags & ARBITER_PERSIST ? finish(thread, target, sizeof *target) : ARBITER_OK;
}

/* A write-back on its way through arb_admit. */
typedef struct {
  ArbFlush flush;
  const char *start;
} Flush;

static void issue_flush(void *context, size_t offset, size_t byte_count, int is_last) {
  (void)is_last;
  const Flush *flush = context;
  flush->flush(flush->start + offset, byte_count);
}

int32_t arbiter_flush(arbiter_thread *thread, const void *start, size_t byte_count) {
  if (!is_inside(thread, start, byte_count)) return ARBITER_INVALID_ARGUMENT;
  if (byte_count == 0) return ARBITER_OK;
  Flush flush = {thread->region->ops.flush, start};
  ArbRun run = {.address = (uint64_t)(uintptr_t)start, .byte_count = byte_count};
  arb_admit(&thread->gate, &run, issue_flush, &flush);
  return ARBITER_OK;
}

void arbiter_drain(arbiter_thread *thread) {
  arb_fence_store();
  arb_gate_note_fence(&thread->gate);
}

int32_t arbiter_persist(arbiter_thread *thread, const void *start, size_t byte_count) {
  int32_t status = arbiter_flush(thread, start, byte_count);
  return status == ARBITER_OK ? finish(thread, start, byte_count) : status;
}

const char *arbiter_version(void) { return ARBITER_VERSION; }

void *arbiter_address(const arbiter_region *region) { return region->base; }

size_t arbiter_size(const arbiter_region *region) { return region->byte_count; }

arbiter_granularity arbiter_region_granularity(const arbiter_region *region) {
  return region->granularity;
}
