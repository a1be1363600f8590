/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads the rings into which the kernel writes what events report, out of plain memory.
 *
 * R1  Nothing is read outside of the ring, whatever its records claim.
 * R2  Every call ends: it looks at no more than what the ring held when the call began, and each
 *     record moves it on.
 * R3  What cannot be handed over is counted: nothing is lost silently.
 * R4  Nothing is allocated.
 */
#ifndef ARBITER_RING_H
#define ARBITER_RING_H

#include "sample.h"

#include <stdint.h>

/* Bytes of the page before a ring's data, and the bound of every record (its size has 16 bits). */
enum {
  ARB_RING_PAGE_BYTES = 4096,
  ARB_RECORD_BYTES_MAX = 65536,
  ARB_FORMAT_MAX = 4,
  ARB_TASK_NAME_BYTES = 4096,
};

/* Records that are counted as lost, at most: sums with other counts stay numbers. */
#define ARB_LOST_MAX (UINT64_C(1) << 62)

/* A ring: the kernel's page with head and tail, and the data, a power of two of bytes. */
typedef struct {
  void *_Nullable page; /* nil only before the ring is mapped, as the data */
  const uint8_t *_Nullable data;
  uint64_t size;
} ArbRing;

/* What the samples of an event hold. Their sample type has identifier, address of the instruction,
 * thread and time, and may have data address, period and registers, and nothing else. */
typedef struct {
  uint64_t sample_type;    /* PERF_SAMPLE_... */
  uint64_t registers;      /* which registers, by the kernel's numbers */
  uint64_t period;         /* that of samples which do not tell theirs */
  uint32_t has;            /* ARB_SAMPLE_... that its samples may claim */
  uint32_t unused;
} ArbFormat;

/* Who opened an event of the kernel's number `id`: 0 is none. */
typedef struct {
  uint64_t id;
  uint64_t closed; /* the round of draining in which it was closed; 0 while it is open */
  uint32_t event;  /* which format */
  int32_t owner;   /* the thread for which it was opened */
} ArbIdentity;

/* A thread that got events of its own while others that have some could already have passed theirs
 * on to it. A sample of it by somebody else's event proves that they did: its own are too much. */
typedef struct {
  int32_t thread;
  int32_t is_redundant;
} ArbLateThread;

/* What became of all records so far. */
typedef struct {
  uint64_t samples;      /* handed over */
  uint64_t duplicates;   /* samples of redundant events, dropped */
  uint64_t lost;         /* records that the kernel dropped: the ring was full */
  uint64_t throttles;    /* times at which the kernel held an event back */
  uint64_t unthrottles;
  uint64_t skipped;      /* records of kinds that are of no interest */
  uint64_t truncated;    /* records too short for what they are */
  uint64_t unknown;      /* records of events that nobody opened */
  uint64_t broken;       /* rings given up to their head: a size that makes no sense */
  uint64_t overrun;      /* rings given up: their head had run away */
} ArbRingCounts;

/* What is needed to read rings; all tables are the caller's. */
typedef struct {
  ArbFormat formats[ARB_FORMAT_MAX];
  ArbRingCounts counts;
  ArbIdentity *_Nullable identities; /* open addressing by id */
  uint64_t identity_capacity;        /* a power of two, never full */
  ArbLateThread *_Nullable late; /* by rising number */
  uint64_t late_count;
  uint64_t redundant_count; /* late threads that were found redundant, ever */
  uint8_t *_Nullable scratch; /* ARB_RECORD_BYTES_MAX bytes for records that wrap around */
  uint32_t format_count;
  uint32_t unused;
} ArbReader;

/* What happened to a task. */
enum { ARB_TASK_FORK = 1, ARB_TASK_EXIT, ARB_TASK_NAME, ARB_TASK_EXEC, ARB_TASK_MAP };

typedef struct {
  int64_t time_nanoseconds; /* of CLOCK_MONOTONIC_RAW */
  uint32_t kind;            /* ARB_TASK_... */
  int32_t process;
  int32_t thread;
  int32_t parent_process; /* of a fork or exit */
  int32_t parent_thread;
  uint32_t device_major; /* from here on: of a mapping */
  uint32_t device_minor;
  uint32_t protection; /* PROT_... */
  uint32_t flags;      /* MAP_... */
  uint32_t name_count; /* bytes of the name */
  uint64_t inode;
  uint64_t address;
  uint64_t length;
  uint64_t page_offset; /* where in the file, in bytes */
  char name[ARB_TASK_NAME_BYTES]; /* of the program or the mapped file */
} ArbTask;

/* Why draining stopped. */
enum {
  ARB_DRAIN_EMPTY, /* nothing is left of what the ring held */
  ARB_DRAIN_FULL,  /* no room for another sample */
  ARB_DRAIN_TASK,  /* `task` is filled in: look at it and go on */
};

/* 1 where samples of the format can be read. */
int arb_format_is_readable(const ArbFormat *_Nonnull format);

/* Enters an event; 0 where the table has no room for another. */
int arb_identity_enter(ArbReader *_Nonnull reader, ArbIdentity identity);

/* Finds an event; nil where nobody has opened it. */
ArbIdentity *_Nullable arb_identity_find(const ArbReader *_Nonnull reader, uint64_t id);

/* Takes samples from a ring into `samples` from `*count` on, and gives their room back to the
 * kernel. Returns ARB_DRAIN_... */
int arb_ring_drain(
    ArbReader *_Nonnull reader, const ArbRing *_Nonnull ring, ArbSample *_Nonnull samples,
    uint64_t capacity, uint64_t *_Nonnull count, ArbTask *_Nonnull task);

/* Bytes that the kernel has written into a ring and nobody has read. */
uint64_t arb_ring_pending(const ArbRing *_Nonnull ring);

#endif
