/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A recording session: the memory through which recorded threads hand over what they do. Versioned,
 * fixed layout, in a sealed memfd that whoever records has made and that programs find through
 * their environment (ARBITER_TRACE=/proc/PID/fd/N).
 *
 *   header    4 KiB
 *   regions   256 entries: files and named ranges that events refer to by number
 *   lanes     one for each recorded thread: 512 bytes of state each
 *   rings     one for each lane: events, written by the thread and read by the reader
 *
 * The file is sparse: a ring costs memory once its thread uses it. A ring has one writer and one
 * reader. What a thread has published stays when the thread dies of whatever cause, and so do the
 * runs that it was in the middle of (`reach`).
 *
 * A lane belongs to the thread that holds its robust mutex. The kernel marks the mutex when the
 * thread ends, by whatever end, so that the reader needs no word from it; it then takes in the rest
 * and frees the lane. The reader holds a mutex of the same kind, by which threads that wait for
 * room learn that nobody reads any more.
 *
 * Sizes are checked when the memory is opened, indices and events when they are used. The mutexes
 * are the C library's and cannot be checked: a program that overwrites them can crash the reader,
 * which runs as the same user.
 */
#ifndef ARBITER_TRACE_SESSION_H
#define ARBITER_TRACE_SESSION_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "trace_event.h"

#define ARB_ENVIRONMENT_TRACE "ARBITER_TRACE"

#define ARB_TRACE_SESSION_MAGIC 0x31454352544252ull /* "RBTRCE1" */
#define ARB_TRACE_SESSION_VERSION 1u
#define ARB_TRACE_LANE_COUNT_MAX 1024u
#define ARB_TRACE_RING_EVENTS_MIN 64u
#define ARB_TRACE_RING_EVENTS_MAX (1u << 20)
#define ARB_TRACE_NAME_BYTES 216u
#define ARB_TRACE_NO_REGION (-1)

/* Where the events of a lane come from; the numbers are part of the file format. */
typedef enum {
  ARB_TRACE_FROM_PRELOAD = 1,
  ARB_TRACE_FROM_HOOKS = 2,
  ARB_TRACE_FROM_WORKLOAD = 3,
} ArbTraceSource;

/* What a region is. Two of the same kind and identity are one region, also in two processes. */
typedef enum {
  ARB_TRACE_REGION_FILE = 1,      /* identity: device and inode; offsets are those of the file */
  ARB_TRACE_REGION_NAMED = 2,     /* identity: the name */
  ARB_TRACE_REGION_ANONYMOUS = 3, /* identity: process and address */
} ArbTraceRegionKind;

typedef enum {
  ARB_TRACE_REGION_UNUSED = 0,
  ARB_TRACE_REGION_WRITING = 1,
  ARB_TRACE_REGION_READY = 2,
} ArbTraceRegionState;

typedef struct {
  uint32_t state; /* READY is stored with release, after the fields below */
  uint32_t kind;
  uint64_t identity[2];
  uint64_t byte_count; /* the largest end seen; grows */
  uint64_t pad;
  char name[ARB_TRACE_NAME_BYTES]; /* ends with 0 */
} ArbTraceRegionEntry;

typedef enum { ARB_TRACE_LANE_FREE = 0, ARB_TRACE_LANE_USED = 1 } ArbTraceLaneUse;

/* One recorded thread. Each group of fields has cache lines to itself. */
typedef struct {
  /* Written by the thread. */
  uint64_t head;         /* events published; the next one goes to head % ring_events */
  uint64_t lost_count;   /* events dropped: no room in time, or no region */
  int64_t removed_ticks; /* taken out of the thread's time: waiting for a processor */
  int64_t waited_ticks;  /* the same: waiting for room in the ring, or for the recorder itself */
  uint64_t reach;        /* where above `head`: up to here runs wait to be published */
  uint32_t is_waiting;   /* the thread sleeps until there is room */
  uint32_t pad;
  uint64_t pad_a[10];

  /* Written by the reader. */
  uint64_t tail; /* events read */
  uint32_t room; /* futex: counts how often the reader made room for a waiting thread */
  uint32_t pad_b;
  uint64_t pad_c[14];

  /* Written by the thread that takes the lane, and by the reader that frees it. */
  pthread_mutex_t owner;
  uint32_t use;        /* ArbTraceLaneUse; released by who changes it */
  uint32_t generation; /* owners so far */
  uint32_t source;     /* ArbTraceSource */
  int32_t process;
  int32_t thread;
  uint32_t pad_d;
  char name[16]; /* of the thread */
  uint64_t pad_e[22];
} ArbTraceLane;

typedef struct {
  uint64_t magic; /* stored last, with release; acquired by arb_trace_session_open */
  uint32_t version;
  uint32_t lane_count;
  uint32_t ring_events; /* a power of two */
  uint32_t pad_a;
  uint64_t byte_count;
  uint64_t regions_offset, lanes_offset, rings_offset;
  double ticks_per_nanosecond;
  int64_t start_ticks;    /* time-stamp counter when the session was made */
  int64_t stale_ticks;    /* a heartbeat older than this: nobody reads */
  int64_t wait_ticks_max; /* the longest wait for room */
  uint64_t pad_b[21];

  /* Written by the reader. */
  int64_t heartbeat_ticks;
  uint32_t is_ended;    /* nobody reads any more, nor will */
  uint32_t doorbell;    /* futex: counts what should wake the reader */
  uint32_t is_sleeping; /* the reader waits at the doorbell */
  uint32_t pad_c;
  uint64_t pad_d[13];
  pthread_mutex_t reader;
  uint64_t pad_e[11];

  /* Written by threads. */
  uint32_t lanes_used; /* lanes from here on were never taken; never decreases */
  uint32_t next_lane;
  uint32_t regions_used;
  uint32_t pad_f;
  uint64_t lost_without_lane; /* events of threads that found no lane */
  uint64_t refused_threads;
} ArbTraceSession;

/* The layout is a contract between processes that may be of different builds. */
_Static_assert(sizeof(pthread_mutex_t) == 40, "glibc on x86-64");
_Static_assert(sizeof(ArbTraceRegionEntry) == 256, "region");
_Static_assert(offsetof(ArbTraceLane, tail) == 128, "lane: reader");
_Static_assert(offsetof(ArbTraceLane, owner) == 256, "lane: owner");
_Static_assert(sizeof(ArbTraceLane) == 512, "lane");
_Static_assert(offsetof(ArbTraceSession, heartbeat_ticks) == 256, "session: reader");
_Static_assert(offsetof(ArbTraceSession, lanes_used) == 512, "session: threads");
_Static_assert(sizeof(ArbTraceSession) <= 4096, "session");

/* A session and where it is mapped. */
typedef struct {
  ArbTraceSession *_Nullable session;
  int32_t descriptor; /* of the memfd; -1 where only the mapping is held */
} ArbTraceMapping;

/* What a new session is to hold. */
typedef struct {
  uint32_t lane_count;  /* 1 to ARB_TRACE_LANE_COUNT_MAX */
  uint32_t ring_events; /* a power of two within the limits above */
  double ticks_per_nanosecond;
  int64_t stale_ticks;
  int64_t wait_ticks_max;
} ArbTraceParameters;

/* Makes a session in a new memfd whose size is sealed; the calling thread is its reader until it
 * ends or calls arb_trace_session_end. Returns 0 or -errno. */
int64_t arb_trace_session_create(const ArbTraceParameters *_Nonnull parameters,
                                 ArbTraceMapping *_Nonnull mapping);

/* Maps an existing session by path. Returns 0, -errno, or -EPROTO for a file that is no session of
 * this version or that somebody could cut short under the threads. Keeps no descriptor. */
int64_t arb_trace_session_open(const char *_Nonnull path, ArbTraceMapping *_Nonnull mapping);

/* Maps the session that the environment names. Returns 0 also where it names none; then there is no
 * session in `mapping`. */
int64_t arb_trace_session_from_environment(ArbTraceMapping *_Nonnull mapping);

/* Unmaps a session, unless a thread of this process still has a lane: a thread's list of robust
 * mutexes points into the memory. The reader's thread ends the session with it. */
void arb_trace_session_close(ArbTraceMapping *_Nonnull mapping);

/* The number of the region of this identity, made where there is none yet; ARB_TRACE_NO_REGION
 * where all numbers are taken. `end` is how far the region reaches at least. Neither allocates nor
 * waits for longer than a millisecond. */
int32_t arb_trace_region_find(ArbTraceSession *_Nonnull session, ArbTraceRegionKind kind,
                              uint64_t identity, uint64_t identity_rest,
                              const char *_Nonnull name, uint64_t end);

static inline ArbTraceRegionEntry *_Nonnull arb_trace_regions(
    const ArbTraceSession *_Nonnull session) {
  return (ArbTraceRegionEntry *)((char *)session + session->regions_offset);
}

static inline ArbTraceLane *_Nonnull arb_trace_lane(const ArbTraceSession *_Nonnull session,
                                                    uint32_t index) {
  return (ArbTraceLane *)((char *)session + session->lanes_offset) + index;
}

static inline ArbTraceEvent *_Nonnull arb_trace_ring(const ArbTraceSession *_Nonnull session,
                                                     uint32_t index) {
  return (ArbTraceEvent *)((char *)session + session->rings_offset) +
         (size_t)index * session->ring_events;
}

#endif
