/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CArbiter.h"
#include "CArbiterRecord.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What the reader remembers of a lane. */
typedef struct {
  uint64_t tail;
  uint64_t start_nanoseconds; /* of the last event: starts of a thread never run backwards */
  uint64_t lost_count;        /* events that no sound thread produces, dropped */
} LaneMemory;

struct ArbTraceReader {
  ArbTraceSession *session;
  ArbTraceRegionEntry *regions;
  ArbTraceLane *lanes;
  ArbTraceEvent *rings;
  uint32_t lane_count;
  uint32_t ring_events;
  int64_t start_ticks;
  double ticks_per_nanosecond;
  LaneMemory memory[ARB_TRACE_LANE_COUNT_MAX];
};

ArbTraceReader *arb_trace_reader_make(ArbTraceSession *session) {
  ArbTraceReader *reader = calloc(1, sizeof *reader);
  if (reader == NULL) return NULL;
  reader->session = session;
  reader->regions = arb_trace_regions(session);
  reader->lanes = arb_trace_lane(session, 0);
  reader->rings = arb_trace_ring(session, 0);
  reader->lane_count = session->lane_count;
  reader->ring_events = session->ring_events;
  reader->start_ticks = session->start_ticks;
  reader->ticks_per_nanosecond = session->ticks_per_nanosecond;
  return reader;
}

void arb_trace_reader_dispose(ArbTraceReader *reader) { free(reader); }

void arb_trace_reader_beat(ArbTraceReader *reader) {
  __atomic_store_n(&reader->session->heartbeat_ticks, arb_read_tsc(), __ATOMIC_RELAXED);
}

uint32_t arb_trace_reader_lanes_used(const ArbTraceReader *reader) {
  uint32_t used = __atomic_load_n(&reader->session->lanes_used, __ATOMIC_RELAXED);
  return used < reader->lane_count ? used : reader->lane_count;
}

static int64_t nanoseconds_of(const ArbTraceReader *reader, int64_t ticks) {
  double nanoseconds = (double)ticks / reader->ticks_per_nanosecond;
  return nanoseconds < 0 ? 0 : nanoseconds > 9e18 ? INT64_MAX : (int64_t)nanoseconds;
}

void arb_trace_reader_glance(const ArbTraceReader *reader, uint32_t index,
                             ArbTraceLaneGlance *glance) {
  const ArbTraceLane *lane = &reader->lanes[index];
  const LaneMemory *memory = &reader->memory[index];
  memset(glance, 0, sizeof *glance);
  /* Acquires the fields of the thread that took the lane (take in recorder.c). */
  glance->is_used = __atomic_load_n(&lane->use, __ATOMIC_ACQUIRE) == ARB_TRACE_LANE_USED;
  if (!glance->is_used) return;
  glance->generation = lane->generation;
  glance->source = lane->source;
  glance->process = lane->process;
  glance->thread = lane->thread;
  memcpy(glance->name, lane->name, sizeof glance->name - 1);
  glance->is_waiting = __atomic_load_n(&lane->is_waiting, __ATOMIC_RELAXED);
  glance->lost_count = __atomic_load_n(&lane->lost_count, __ATOMIC_RELAXED) + memory->lost_count;
  uint64_t pending = __atomic_load_n(&lane->head, __ATOMIC_RELAXED) - memory->tail;
  glance->pending = pending <= reader->ring_events ? pending : 0;
  glance->removed_nanoseconds =
      nanoseconds_of(reader, __atomic_load_n(&lane->removed_ticks, __ATOMIC_RELAXED));
  glance->waited_nanoseconds =
      nanoseconds_of(reader, __atomic_load_n(&lane->waited_ticks, __ATOMIC_RELAXED));
}

/* Turns an event into what a file says; returns 0 where it is not sound. */
static int translate(ArbTraceReader *reader, LaneMemory *memory, ArbTraceEvent *event) {
  if (!arb_trace_event_is_sound(event)) return 0;
  uint64_t start = (uint64_t)nanoseconds_of(
      reader, (int64_t)(event->start - (uint64_t)reader->start_ticks));
  if (start < memory->start_nanoseconds) start = memory->start_nanoseconds;
  memory->start_nanoseconds = start;
  event->start = start;
  if (event->span != UINT32_MAX) {
    double span = (double)event->span / reader->ticks_per_nanosecond;
    event->span = span >= (double)UINT32_MAX ? UINT32_MAX : (uint32_t)span;
  }
  return 1;
}

static void make_room(ArbTraceLane *lane, uint64_t tail) {
  /* Releases the places up to here to the thread (has_room in recorder.c). */
  __atomic_store_n(&lane->tail, tail, __ATOMIC_RELEASE);
  /* Sequentially consistent: see arb_recorder_wait_for_room. */
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (__atomic_load_n(&lane->is_waiting, __ATOMIC_SEQ_CST) == 0) return;
  __atomic_fetch_add(&lane->room, 1, __ATOMIC_RELAXED);
  syscall(SYS_futex, &lane->room, FUTEX_WAKE, 1, NULL, NULL, 0);
}

uint32_t arb_trace_reader_drain(ArbTraceReader *reader, uint32_t index, ArbTraceEvent *events,
                                uint32_t capacity) {
  ArbTraceLane *lane = &reader->lanes[index];
  LaneMemory *memory = &reader->memory[index];
  const ArbTraceEvent *ring = reader->rings + (size_t)index * reader->ring_events;
  uint32_t count = 0;
  while (count < capacity) {
    /* Acquires the events up to here (arb_recorder_publish). */
    uint64_t head = __atomic_load_n(&lane->head, __ATOMIC_ACQUIRE);
    uint64_t pending = head - memory->tail;
    if (pending == 0) break;
    if (pending > reader->ring_events) {
      /* No thread gets here: somebody wrote nonsense. */
      memory->lost_count++;
      memory->tail = head;
      make_room(lane, head);
      break;
    }
    if (pending > capacity - count) pending = capacity - count;
    for (uint64_t end = memory->tail + pending; memory->tail != end; memory->tail++) {
      ArbTraceEvent *event = &events[count];
      *event = ring[memory->tail & (reader->ring_events - 1)];
      if (translate(reader, memory, event)) {
        count++;
      } else {
        memory->lost_count++;
      }
    }
    make_room(lane, memory->tail);
  }
  return count;
}

int arb_trace_reader_has_left(ArbTraceReader *reader, uint32_t index) {
  ArbTraceLane *lane = &reader->lanes[index];
  if (__atomic_load_n(&lane->use, __ATOMIC_ACQUIRE) != ARB_TRACE_LANE_USED) return 0;
  int status = pthread_mutex_trylock(&lane->owner);
  if (status == EOWNERDEAD) {
    pthread_mutex_consistent(&lane->owner);
  } else if (status != 0) {
    return 0;
  }
  uint64_t head = __atomic_load_n(&lane->head, __ATOMIC_ACQUIRE);
  /* Acquires the runs that were not handed over (open_run in runs.c). */
  uint64_t reach = __atomic_load_n(&lane->reach, __ATOMIC_ACQUIRE);
  if (reach > head && reach - reader->memory[index].tail <= reader->ring_events) {
    __atomic_store_n(&lane->head, reach, __ATOMIC_RELEASE);
  }
  return 1;
}

void arb_trace_reader_free(ArbTraceReader *reader, uint32_t index) {
  ArbTraceLane *lane = &reader->lanes[index];
  memset(&reader->memory[index], 0, sizeof reader->memory[index]);
  lane->head = lane->tail = 0;
  /* Releases the reset to whoever takes the lane next. */
  __atomic_store_n(&lane->use, ARB_TRACE_LANE_FREE, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&lane->owner);
}

int arb_trace_reader_region(const ArbTraceReader *reader, uint32_t number, uint64_t *byte_count,
                            char *name) {
  if (number >= ARB_TRACE_REGION_COUNT) return 0;
  const ArbTraceRegionEntry *entry = &reader->regions[number];
  /* Acquires the entry's fields (arb_trace_region_find). */
  if (__atomic_load_n(&entry->state, __ATOMIC_ACQUIRE) != ARB_TRACE_REGION_READY) return 0;
  *byte_count = __atomic_load_n(&entry->byte_count, __ATOMIC_RELAXED);
  memcpy(name, entry->name, ARB_TRACE_NAME_BYTES);
  name[ARB_TRACE_NAME_BYTES - 1] = 0;
  return 1;
}

uint64_t arb_trace_reader_refused_threads(const ArbTraceReader *reader) {
  return __atomic_load_n(&reader->session->refused_threads, __ATOMIC_RELAXED);
}

void arb_trace_reader_sleep(ArbTraceReader *reader, int64_t nanoseconds) {
  ArbTraceSession *session = reader->session;
  uint32_t heard = __atomic_load_n(&session->doorbell, __ATOMIC_RELAXED);
  /* Sequentially consistent: a thread that waits for room says so before it looks here. */
  __atomic_store_n(&session->is_sleeping, 1, __ATOMIC_SEQ_CST);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  int has_waiter = 0;
  for (uint32_t index = 0; index < arb_trace_reader_lanes_used(reader); index++) {
    has_waiter |= __atomic_load_n(&reader->lanes[index].is_waiting, __ATOMIC_RELAXED) != 0 &&
                  __atomic_load_n(&reader->lanes[index].head, __ATOMIC_RELAXED) !=
                      reader->memory[index].tail;
  }
  if (!has_waiter) {
    struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    syscall(SYS_futex, &session->doorbell, FUTEX_WAIT, heard, &limit, NULL, 0);
  }
  __atomic_store_n(&session->is_sleeping, 0, __ATOMIC_RELAXED);
}

void arb_trace_reader_end(ArbTraceReader *reader) {
  ArbTraceSession *session = reader->session;
  __atomic_store_n(&session->is_ended, 1, __ATOMIC_RELAXED);
  pthread_mutex_unlock(&session->reader);
  for (uint32_t index = 0; index < arb_trace_reader_lanes_used(reader); index++) {
    __atomic_fetch_add(&reader->lanes[index].room, 1, __ATOMIC_RELAXED);
    syscall(SYS_futex, &reader->lanes[index].room, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
  }
}
