/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Opens the kernel's events and maps their rings: system calls with a structure of bit fields, and
 * a library that is found at run time (libpfm4). Each function returns -errno on failure.
 */
#ifndef ARBITER_EVENTS_H
#define ARBITER_EVENTS_H

#include "ring.h"

#include <stdint.h>

/* Kinds of events that are sampled. */
enum {
  ARB_EVENT_CLOCK = 1,   /* CPU time, in nanoseconds */
  ARB_EVENT_PAGE_FAULTS, /* faults of user code */
  ARB_EVENT_PRECISE,     /* of the processor's unit, by number */
};

/* How threads hand an event on. */
enum {
  ARB_EVENT_TO_THREADS = 1,     /* to the threads that they start */
  ARB_EVENT_TO_PROCESSES = 2,   /* and to the processes */
  ARB_EVENT_AT_EXEC = 4,        /* the event begins when its thread executes a program */
  ARB_EVENT_TELLS_TASKS = 8,    /* forks, exits, names and mappings are told too */
};

/* An event. */
typedef struct {
  uint32_t kind;  /* ARB_EVENT_... */
  uint32_t flags; /* ARB_EVENT_TO_... */
  uint64_t period;
  uint32_t type; /* of a precise event, from here on: as the kernel counts it */
  uint32_t precise; /* its level: 2 tells the instruction itself */
  uint64_t config;
  uint64_t config1;
  uint64_t config2;
} ArbSampledEvent;

/* What samples of the event hold. */
ArbFormat arb_event_format(const ArbSampledEvent *_Nonnull event);

/* Opens the event of a thread (0: the caller) on a processor, not yet running. */
int64_t arb_sampling_open(
    const ArbSampledEvent *_Nonnull event, int32_t thread, int32_t processor);

/* Opens an event that reports nothing, to own the ring of a processor. */
int64_t arb_sampling_open_owner(int32_t processor);

/* Maps the ring of an owner: `bytes`, a power of two of pages, behind its first page. */
int64_t arb_ring_map(ArbRing *_Nonnull ring, int descriptor, uint64_t bytes);

/* Unmaps it. */
void arb_ring_unmap(const ArbRing *_Nonnull ring);

/* Lets an event write into the ring of another. */
int64_t arb_sampling_redirect(int descriptor, int owner);

/* Starts or stops an event and what threads have passed on of it. */
int64_t arb_sampling_switch(int descriptor, int is_on);

/* The kernel's number of an event. */
int64_t arb_sampling_identity(int descriptor, uint64_t *_Nonnull id);

/* Records that the kernel has dropped of an event; -EOPNOTSUPP where it does not count them. */
int64_t arb_sampling_lost(int descriptor);

/* What became of asking libpfm4. */
enum {
  ARB_NAMES_FOUND,
  ARB_NAMES_NO_LIBRARY,
  ARB_NAMES_NO_FUNCTION,
  ARB_NAMES_REFUSED, /* the library does not know this processor or the event */
};

/* Translates the name of a processor's event into numbers; `*error` is the library's own. */
int arb_event_encode(
    const char *_Nonnull library, const char *_Nonnull name, ArbSampledEvent *_Nonnull event,
    int *_Nonnull error);

/* The kernel's number of the calling thread. */
int32_t arb_sampling_thread(void);

/* Sets the soft limit of descriptors. */
int64_t arb_descriptors_limit(uint64_t soft);

/* The soft and the hard limit of descriptors. */
int64_t arb_descriptors_read(uint64_t *_Nonnull soft, uint64_t *_Nonnull hard);

#endif
