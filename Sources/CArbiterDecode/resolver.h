/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The tables of a resolver. All have a fixed size and forget what was not used for longest.
 *
 * A process that is known has a generation of its own; places and pages are kept under it, so that
 * forgetting a process is giving up its number.
 */
#ifndef ARBITER_DECODE_RESOLVER_H
#define ARBITER_DECODE_RESOLVER_H

#include "decode.h"

#define ARB_PAGE_BYTES 4096
/* Each table is of sets of four, and looked at four times at most. */
#define ARB_WAYS 4
#define ARB_PLACE_SETS 2048
#define ARB_PAGE_SETS 64
#define ARB_PROCESS_SETS 64
/* Processes whose unwind tables are open at a time. */
#define ARB_SESSION_MAX 16
/* Mappings of code of one process, at most. */
#define ARB_RANGE_MAX 8192
/* Code is compared with the process's own after this, and unreadable processes are tried again. */
#define ARB_FRESH_NANOSECONDS 1000000000
/* A map is read again for an unknown address after this. */
#define ARB_MAP_NANOSECONDS 100000000

typedef struct {
  uint64_t begin;
  uint64_t end;
} ArbRange;

typedef struct {
  ArbRange *ranges; /* executable, by rising address */
  int64_t read_at;
  uint64_t used;
  uint32_t generation; /* 0: the slot is free */
  int32_t process;
  uint32_t range_count;
  uint32_t reason; /* why it cannot be decoded; ARB_REASON_NONE where it can */
} ArbProcess;

typedef struct {
  uint64_t address;
  int64_t read_at;
  uint64_t version; /* changes with the bytes */
  uint64_t used;
  uint32_t generation; /* 0: the slot is free */
  uint32_t is_readable;
} ArbPage;

typedef struct {
  ArbPlace place;
  uint64_t ip;
  uint64_t low; /* the first and the last byte of code it depends on */
  uint64_t high;
  uint64_t version; /* of the newest of its pages */
  uint64_t used;
  int64_t checked_at;
  uint32_t generation; /* 0: the slot is free */
} ArbKnownPlace;

typedef struct {
  Dwfl *dwfl; /* NULL: it could not be opened */
  uint64_t used;
  uint32_t generation; /* 0: the slot is free */
} ArbSession;

struct ArbResolver {
  const ArbDecoder *decoder;
  uint64_t clock;   /* counts uses */
  uint64_t version; /* of pages, the last one given */
  uint32_t generation; /* the last one given */
  ArbResolverCounts counts;
  ArbProcess processes[ARB_PROCESS_SETS][ARB_WAYS];
  ArbSession sessions[ARB_SESSION_MAX];
  ArbPage pages[ARB_PAGE_SETS][ARB_WAYS];
  ArbKnownPlace places[ARB_PLACE_SETS][ARB_WAYS];
  uint8_t bytes[ARB_PAGE_SETS][ARB_WAYS][ARB_PAGE_BYTES];
  uint8_t fresh[ARB_PAGE_BYTES];
  uint8_t window[2 * ARB_STRAIGHT_MAX];
};

/* processes.c: never NULL; `reason` says whether its code can be decoded. */
ArbProcess *arb_process(ArbResolver *resolver, int32_t process, int64_t now);
/* The executable mapping with `ip`; reads the map again where it is not known. */
const ArbRange *arb_process_range(
    ArbResolver *resolver, ArbProcess *process, uint64_t ip, int64_t now);
void arb_process_forget(ArbResolver *resolver, ArbProcess *process);

/* pages.c: a page of code, read or compared within the last second; NULL where it cannot be. */
const uint8_t *arb_page(
    ArbResolver *resolver, const ArbProcess *process, uint64_t address, int64_t now,
    uint64_t *version);

/* unwind.c: an instruction's start at or before `ip`, 0 where unwind tables tell none. */
uint64_t arb_unwind_start(ArbResolver *resolver, const ArbProcess *process, uint64_t ip);
void arb_unwind_forget(ArbResolver *resolver, uint32_t generation);

static inline size_t arb_set(uint64_t key, uint32_t generation, size_t sets) {
  uint64_t hash = (key ^ (uint64_t)generation << 40) * UINT64_C(0x9e3779b97f4a7c15);
  return (size_t)(hash >> 40) & (sets - 1);
}

#endif
