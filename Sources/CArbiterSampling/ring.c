/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "CArbiterSampling.h"

#include "record.h"

#include <linux/perf_event.h>
#include <string.h>

_Static_assert(sizeof(ArbSample) == 56 + 8 * ARB_REGISTER_COUNT, "samples have no gaps");

/* Identities. */

static uint64_t identity_place(const ArbReader *reader, uint64_t id) {
  /* Numbers of events count up: Fibonacci hashing spreads neighbours. */
  return (id * 0x9E3779B97F4A7C15ull >> 32) & (reader->identity_capacity - 1);
}

ArbIdentity *arb_identity_find(const ArbReader *reader, uint64_t id) {
  if (id == 0 || reader->identity_capacity == 0) return NULL;
  uint64_t place = identity_place(reader, id);
  for (uint64_t step = 0; step < reader->identity_capacity; step++) {
    ArbIdentity *identity = &reader->identities[place];
    if (identity->id == id) return identity;
    if (identity->id == 0) return NULL;
    place = (place + 1) & (reader->identity_capacity - 1);
  }
  return NULL;
}

int arb_identity_enter(ArbReader *reader, ArbIdentity identity) {
  if (identity.id == 0 || reader->identity_capacity == 0) return 0;
  uint64_t place = identity_place(reader, identity.id);
  for (uint64_t step = 0; step < reader->identity_capacity; step++) {
    ArbIdentity *there = &reader->identities[place];
    if (there->id == 0 || there->id == identity.id) {
      *there = identity;
      return 1;
    }
    place = (place + 1) & (reader->identity_capacity - 1);
  }
  return 0;
}

/* Threads that got events late. */

static ArbLateThread *find_late(const ArbReader *reader, int32_t thread) {
  uint64_t low = 0;
  uint64_t high = reader->late_count;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    if (reader->late[middle].thread == thread) return &reader->late[middle];
    if (reader->late[middle].thread < thread) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return NULL;
}

/* Whether a sample by an event is too much; finds out which events are on the way. */
static int is_duplicate(ArbReader *reader, const ArbIdentity *identity, int32_t thread) {
  if (reader->late_count == 0) return 0;
  const ArbLateThread *owner = find_late(reader, identity->owner);
  if (owner && owner->is_redundant) return 1;
  if (identity->owner == thread) return 0;
  ArbLateThread *late = find_late(reader, thread);
  if (late && !late->is_redundant) {
    late->is_redundant = 1;
    reader->redundant_count++;
  }
  return 0;
}

/* Records. */

/* A record in one piece: in its place, or put together where it wraps around. */
static const uint8_t *whole_record(
    const ArbReader *reader, const ArbRing *ring, uint64_t from, uint64_t size) {
  uint64_t start = from & (ring->size - 1);
  if (start + size <= ring->size) return ring->data + start;
  uint64_t first = ring->size - start;
  memcpy(reader->scratch, ring->data + start, first);
  memcpy(reader->scratch + first, ring->data, size - first);
  return reader->scratch;
}

/* Takes in one record. Returns whether `task` was filled in. */
static int take_record(
    ArbReader *reader, const ArbRecord *record, ArbSample *sample, uint64_t *count,
    ArbTask *task) {
  switch (record->type) {
    case PERF_RECORD_SAMPLE: {
      const ArbIdentity *identity = NULL;
      if (record->size >= 8) identity = arb_identity_find(reader, arb_record_word(record, 0));
      if (record->size < 8) {
        reader->counts.truncated++;
      } else if (!identity || identity->event >= reader->format_count) {
        reader->counts.unknown++;
      } else if (!arb_record_sample(record, &reader->formats[identity->event], sample)) {
        reader->counts.truncated++;
      } else if (is_duplicate(reader, identity, sample->thread)) {
        reader->counts.duplicates++;
      } else {
        sample->event = identity->event;
        reader->counts.samples++;
        ++*count;
      }
      return 0;
    }
    case PERF_RECORD_LOST:
    case PERF_RECORD_LOST_SAMPLES: {
      uint64_t place = record->type == PERF_RECORD_LOST ? 8 : 0;
      if (record->size < place + 8) {
        reader->counts.truncated++;
      } else {
        uint64_t lost = arb_record_word(record, place);
        uint64_t room = ARB_LOST_MAX - reader->counts.lost;
        reader->counts.lost += lost < room ? lost : room;
      }
      return 0;
    }
    case PERF_RECORD_THROTTLE: reader->counts.throttles++; return 0;
    case PERF_RECORD_UNTHROTTLE: reader->counts.unthrottles++; return 0;
    case PERF_RECORD_FORK:
    case PERF_RECORD_EXIT:
    case PERF_RECORD_COMM:
    case PERF_RECORD_MMAP2:
      if (arb_record_task(record, task)) return 1;
      reader->counts.truncated++;
      return 0;
    default: reader->counts.skipped++; return 0;
  }
}

static uint64_t head_of(const ArbRing *ring) {
  struct perf_event_mmap_page *page = ring->page;
  /* Acquire: partner of the kernel's write barrier between a record and the head behind it. */
  return __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
}

static uint64_t tail_of(const ArbRing *ring) {
  struct perf_event_mmap_page *page = ring->page;
  /* Relaxed: only this side ever moves it. */
  return __atomic_load_n(&page->data_tail, __ATOMIC_RELAXED);
}

static void set_tail(const ArbRing *ring, uint64_t tail) {
  struct perf_event_mmap_page *page = ring->page;
  /* Release: what was read is read before the kernel, which loads the tail before it writes a
   * record, may write there again. */
  __atomic_store_n(&page->data_tail, tail, __ATOMIC_RELEASE);
}

uint64_t arb_ring_pending(const ArbRing *ring) {
  uint64_t head = head_of(ring);
  return head - tail_of(ring);
}

int arb_ring_drain(
    ArbReader *reader, const ArbRing *ring, ArbSample *samples, uint64_t capacity,
    uint64_t *count, ArbTask *task) {
  /* What comes after this moment waits for the next call: a fast writer cannot hold it here. */
  uint64_t head = head_of(ring);
  uint64_t tail = tail_of(ring);
  int result = ARB_DRAIN_EMPTY;
  if (head - tail > ring->size) {
    reader->counts.overrun++;
    tail = head;
  }
  while (tail != head && result == ARB_DRAIN_EMPTY) {
    if (*count >= capacity) {
      result = ARB_DRAIN_FULL;
      break;
    }
    struct perf_event_header header = {0, 0, 0};
    /* The kernel aligns records to the header's size, so that headers do not wrap around. */
    if (head - tail >= sizeof header && (tail & 7) == 0) {
      memcpy(&header, ring->data + (tail & (ring->size - 1)), sizeof header);
    }
    if (header.size < sizeof header || header.size > head - tail || (header.size & 7) != 0) {
      reader->counts.broken++;
      tail = head;
      break;
    }
    const uint8_t *bytes = whole_record(reader, ring, tail, header.size);
    ArbRecord record = {
        bytes + sizeof header, header.size - sizeof header, header.type, header.misc};
    if (take_record(reader, &record, &samples[*count], count, task)) result = ARB_DRAIN_TASK;
    tail += header.size;
  }
  set_tail(ring, tail);
  return result;
}
