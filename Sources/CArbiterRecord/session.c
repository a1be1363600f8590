/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CArbiter.h"
#include "CArbiterRecord.h"
#include "robust_mutex.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES 4096ull
#define REGIONS_BYTES (ARB_TRACE_REGION_COUNT * sizeof(ArbTraceRegionEntry))

static uint64_t rings_offset_of(uint32_t lanes) {
  uint64_t bytes = HEADER_BYTES + REGIONS_BYTES + (uint64_t)lanes * sizeof(ArbTraceLane);
  return (bytes + 4095) / 4096 * 4096;
}

static uint64_t byte_count_of(uint32_t lanes, uint32_t ring_events) {
  return rings_offset_of(lanes) + (uint64_t)lanes * ring_events * sizeof(ArbTraceEvent);
}

static int has_sound_sizes(uint32_t lanes, uint32_t ring_events) {
  return lanes >= 1 && lanes <= ARB_TRACE_LANE_COUNT_MAX &&
         ring_events >= ARB_TRACE_RING_EVENTS_MIN && ring_events <= ARB_TRACE_RING_EVENTS_MAX &&
         (ring_events & (ring_events - 1)) == 0;
}

static int fill(ArbTraceSession *session, const ArbTraceParameters *parameters) {
  session->version = ARB_TRACE_SESSION_VERSION;
  session->lane_count = parameters->lane_count;
  session->ring_events = parameters->ring_events;
  session->byte_count = byte_count_of(parameters->lane_count, parameters->ring_events);
  session->regions_offset = HEADER_BYTES;
  session->lanes_offset = HEADER_BYTES + REGIONS_BYTES;
  session->rings_offset = rings_offset_of(parameters->lane_count);
  session->ticks_per_nanosecond = parameters->ticks_per_nanosecond;
  session->stale_ticks = parameters->stale_ticks;
  session->wait_ticks_max = parameters->wait_ticks_max;
  session->start_ticks = session->heartbeat_ticks = arb_read_tsc();
  int status = arb_make_robust_mutex(&session->reader);
  for (uint32_t index = 0; index < parameters->lane_count && status == 0; index++) {
    status = arb_make_robust_mutex(&arb_trace_lane(session, index)->owner);
  }
  return status != 0 ? status : pthread_mutex_lock(&session->reader);
}

int64_t arb_trace_session_create(const ArbTraceParameters *parameters, ArbTraceMapping *mapping) {
  *mapping = (ArbTraceMapping){NULL, -1};
  if (!has_sound_sizes(parameters->lane_count, parameters->ring_events) ||
      !(parameters->ticks_per_nanosecond > 0) || parameters->stale_ticks <= 0 ||
      parameters->wait_ticks_max < 0) {
    return -EINVAL;
  }
  uint64_t bytes = byte_count_of(parameters->lane_count, parameters->ring_events);
  int descriptor = memfd_create("arbiter-trace", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return -errno;
  int status = 0;
  ArbTraceSession *session = MAP_FAILED;
  /* Sealed, so that nobody can cut the file short under the threads. */
  if (ftruncate(descriptor, (off_t)bytes) != 0 ||
      fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    status = errno;
  } else {
    session = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
    status = session == MAP_FAILED ? errno : fill(session, parameters);
  }
  if (status != 0) {
    if (session != MAP_FAILED) munmap(session, bytes);
    close(descriptor);
    return -status;
  }
  /* Releases everything above to arb_trace_session_open. */
  __atomic_store_n(&session->magic, ARB_TRACE_SESSION_MAGIC, __ATOMIC_RELEASE);
  *mapping = (ArbTraceMapping){session, descriptor};
  return 0;
}

/* Whether a mapped header describes a session that fits into the file. */
static int is_sound(const ArbTraceSession *session, uint64_t file_bytes) {
  return __atomic_load_n(&session->magic, __ATOMIC_ACQUIRE) == ARB_TRACE_SESSION_MAGIC &&
         session->version == ARB_TRACE_SESSION_VERSION &&
         has_sound_sizes(session->lane_count, session->ring_events) &&
         session->byte_count == file_bytes && session->regions_offset == HEADER_BYTES &&
         session->lanes_offset == HEADER_BYTES + REGIONS_BYTES &&
         session->rings_offset == rings_offset_of(session->lane_count) &&
         file_bytes == byte_count_of(session->lane_count, session->ring_events) &&
         session->ticks_per_nanosecond > 0 && session->stale_ticks > 0;
}

int64_t arb_trace_session_open(const char *path, ArbTraceMapping *mapping) {
  *mapping = (ArbTraceMapping){NULL, -1};
  int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return -errno;
  struct stat facts;
  int64_t status = 0;
  if (fstat(descriptor, &facts) != 0) {
    status = -errno;
  } else if (facts.st_size < (off_t)HEADER_BYTES ||
             (fcntl(descriptor, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW)) !=
                 (F_SEAL_SHRINK | F_SEAL_GROW) ||
             fcntl(descriptor, F_GET_SEALS) < 0) {
    status = -EPROTO;
  } else {
    void *session = mmap(NULL, (size_t)facts.st_size, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_NORESERVE, descriptor, 0);
    if (session == MAP_FAILED) {
      status = -errno;
    } else if (!is_sound(session, (uint64_t)facts.st_size)) {
      munmap(session, (size_t)facts.st_size);
      status = -EPROTO;
    } else {
      mapping->session = session;
    }
  }
  close(descriptor);
  return status;
}

int64_t arb_trace_session_from_environment(ArbTraceMapping *mapping) {
  *mapping = (ArbTraceMapping){NULL, -1};
  const char *path = getenv(ARB_ENVIRONMENT_TRACE);
  if (path == NULL || *path == 0) return 0;
  return arb_trace_session_open(path, mapping);
}

/* Whether a thread of this process has a lane: its list of robust mutexes points there. */
static int is_in_use(const ArbTraceSession *session) {
  int32_t process = (int32_t)getpid();
  for (uint32_t index = 0; index < session->lane_count; index++) {
    const ArbTraceLane *lane = arb_trace_lane(session, index);
    if (__atomic_load_n(&lane->use, __ATOMIC_ACQUIRE) == ARB_TRACE_LANE_USED &&
        lane->process == process) {
      return 1;
    }
  }
  return 0;
}

void arb_trace_session_close(ArbTraceMapping *mapping) {
  ArbTraceSession *session = mapping->session;
  if (session != NULL) {
    /* Refused unless the calling thread is the reader, whose list would point there as well. */
    pthread_mutex_unlock(&session->reader);
    if (!is_in_use(session)) munmap(session, session->byte_count);
  }
  if (mapping->descriptor >= 0) close(mapping->descriptor);
  *mapping = (ArbTraceMapping){NULL, -1};
}

/* --- Regions ---------------------------------------------------------------------------------- */

static int is_same(const ArbTraceRegionEntry *entry, ArbTraceRegionKind kind, uint64_t identity,
                   uint64_t rest, const char *name) {
  if (entry->kind != (uint32_t)kind) return 0;
  if (kind == ARB_TRACE_REGION_NAMED) {
    return strncmp(entry->name, name, ARB_TRACE_NAME_BYTES - 1) == 0;
  }
  return entry->identity[0] == identity && entry->identity[1] == rest;
}

static void reach(ArbTraceRegionEntry *entry, uint64_t end) {
  uint64_t known = __atomic_load_n(&entry->byte_count, __ATOMIC_RELAXED);
  while (known < end && !__atomic_compare_exchange_n(&entry->byte_count, &known, end, 0,
                                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

/* The state of an entry, once whoever writes it is done; at most 1,000 pauses are waited. */
static uint32_t settled_state(const ArbTraceRegionEntry *entry) {
  uint32_t state = ARB_TRACE_REGION_UNUSED;
  for (int turn = 0; turn < 1000; turn++) {
    /* Acquires the fields, which were written before (arb_trace_region_find). */
    state = __atomic_load_n(&entry->state, __ATOMIC_ACQUIRE);
    if (state != ARB_TRACE_REGION_WRITING) return state;
    arb_pause();
  }
  return state;
}

int32_t arb_trace_region_find(ArbTraceSession *session, ArbTraceRegionKind kind, uint64_t identity,
                              uint64_t identity_rest, const char *name, uint64_t end) {
  ArbTraceRegionEntry *entries = arb_trace_regions(session);
  for (uint32_t index = 0; index < ARB_TRACE_REGION_COUNT; index++) {
    ArbTraceRegionEntry *entry = &entries[index];
    uint32_t state = ARB_TRACE_REGION_UNUSED;
    /* Whoever finds the first unused entry writes it. Entries are taken in order and never given
     * back, so that all others come past this one before they take a later one. */
    if (__atomic_load_n(&entry->state, __ATOMIC_RELAXED) == ARB_TRACE_REGION_UNUSED &&
        __atomic_compare_exchange_n(&entry->state, &state, ARB_TRACE_REGION_WRITING, 0,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      entry->kind = (uint32_t)kind;
      entry->identity[0] = identity;
      entry->identity[1] = identity_rest;
      strncpy(entry->name, name, ARB_TRACE_NAME_BYTES - 1);
      reach(entry, end);
      __atomic_fetch_add(&session->regions_used, 1, __ATOMIC_RELAXED);
      /* Releases the fields to settled_state and to the reader. */
      __atomic_store_n(&entry->state, ARB_TRACE_REGION_READY, __ATOMIC_RELEASE);
      return (int32_t)index;
    }
    if (settled_state(entry) == ARB_TRACE_REGION_READY &&
        is_same(entry, kind, identity, identity_rest, name)) {
      reach(entry, end);
      return (int32_t)index;
    }
  }
  return ARB_TRACE_NO_REGION;
}
