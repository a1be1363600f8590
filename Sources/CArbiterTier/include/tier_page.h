/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The tier page: what the manager of two tiers (`arbiter tier`, or a thread of the library) shares
 * with the programs whose memory it places. A memfd of fixed layout, sealed in size.
 *
 *   header     sizes, capacities, the manager's heartbeat
 *   seats      one per process image: counts, remarks, two rings of requests and outcomes
 *   slots      one word per 2 MiB of the slow file: who uses it
 *   chunks     one table per seat: every 2 MiB of memory that the process has under management
 *
 * Fast memory is the program's own anonymous memory (or, where memory is shared between processes,
 * a memfd); slow memory is a slot of the slow file, mapped shared. A chunk that has any island in
 * slow memory holds exactly one slot, and island n of the chunk lies at n * 32 KiB of the slot.
 *
 * Who writes what. A seat's chunk table, counts and outcomes: the process that holds the seat,
 * under its own lock. Requests: the manager. Heads and tails of the rings: acquire and release,
 * each the partner of the other side's. All else is single words, relaxed: what the manager reads
 * may be stale, and a request that rests on it is refused by the chunk's generation.
 *
 * Who owns a seat. The seat's robust futex is held by the mover thread of the process for as long
 * as it lives; the kernel marks it when the process ends or starts another program. It is no mutex
 * of the C library, which would follow pointers that lie on the page.
 *
 * Who believes what. Any program of the session can write anything here, and a manager that has
 * lost its mind too. So each side keeps what it must not lose to itself: the sizes that it checked
 * or chose, its ends of the rings, and the process its chunk table, of which the page has a copy
 * for the manager to read. What is read here is a wish or a hint, and is checked before its use.
 */
#ifndef ARBITER_TIER_PAGE_H
#define ARBITER_TIER_PAGE_H

#include <stddef.h>
#include <stdint.h>

/* "ARBTIER" and the version of the layout; a reader refuses any other. */
#define ARB_TIER_MAGIC 0x0052454954425241ull
#define ARB_TIER_VERSION 3u

#define ARB_TIER_CHUNK_BYTES (2ull << 20)
#define ARB_TIER_ISLAND_BYTES (32ull << 10)
#define ARB_TIER_SEAT_COUNT 64u
#define ARB_TIER_RING_COUNT 256u /* requests, and outcomes, that a seat holds; a power of two */
#define ARB_TIER_REMARK_COUNT 16u
#define ARB_TIER_REMARK_BYTES 160u
#define ARB_TIER_CHUNKS_MAX (1u << 20) /* of one seat: 2 TiB */
#define ARB_TIER_NO_SLOT UINT32_MAX

/* A slot's word: 0 free and zero, the first of these free with old bytes in it, the second too and
 * with all its room on the device, else the number of the seat that has it plus one. */
#define ARB_TIER_SLOT_STALE 0x80000000u
#define ARB_TIER_SLOT_KEPT 0x80000001u

/* What can be done with the slow file. */
typedef enum {
  ARB_TIER_SLOW_FILE = 0,       /* read, write and fallocate work: a file system, DAX or not */
  ARB_TIER_SLOW_DEVICE_DAX = 1, /* a character device that can only be mapped */
} ArbTierSlowKind;

/* Options of the header. */
#define ARB_TIER_HUGE 1u       /* ask for huge pages in fast memory */
#define ARB_TIER_STATIC 2u     /* place at mapping time and never move: why is in the remark */

typedef enum {
  ARB_TIER_TO_FAST = 0,
  ARB_TIER_TO_SLOW = 1,
} ArbTierDestination;

typedef enum {
  ARB_TIER_MOVED = 0,
  ARB_TIER_STALE = 1, /* the chunk is gone, or not the one that was meant */
  ARB_TIER_BUSY = 2,  /* locked, pinned or shared with a fork */
  ARB_TIER_FULL = 3,  /* no slot, no room on the device, no memory */
  ARB_TIER_FAILED = 4,
} ArbTierStatus;

/* Why a chunk may not be moved; bits. */
#define ARB_TIER_HELD_LOCKED 1u  /* mlock */
#define ARB_TIER_HELD_PINNED 2u  /* the kernel or a device may write past the page tables */
#define ARB_TIER_HELD_FORKED 4u  /* a forked process still maps it */
#define ARB_TIER_HELD_ADVICE 8u  /* the program gave advice that a new mapping would lose */
#define ARB_TIER_HELD_MIXED 16u  /* parts of it have protections of their own */
#define ARB_TIER_HELD_THREAD 32u /* a thread's stack: the kernel wakes its joiner by address */

typedef enum {
  ARB_TIER_PRIVATE = 0, /* the process's own: anonymous memory while fast */
  ARB_TIER_SHARED = 1,  /* shared with forks: a memfd while fast */
} ArbTierSharing;

/* 2 MiB of a program's addresses. An address of 0 marks an entry that is not in use. */
typedef struct {
  uint64_t address;
  uint64_t slow_islands; /* bit n: island n lies in the slot */
  uint64_t generation;   /* counts what the entry stood for; never used twice */
  uint32_t slot;         /* ARB_TIER_NO_SLOT while nothing of it is slow */
  uint8_t protection;    /* PROT_ bits of all of it */
  uint8_t sharing;       /* ArbTierSharing */
  uint8_t held;          /* why it may not be moved */
  uint8_t busy;          /* a migration is under way */
} ArbTierChunk;

typedef struct {
  uint64_t ticket;
  uint64_t generation;
  uint64_t islands;
  uint32_t chunk; /* index in the seat's table */
  uint32_t destination;
} ArbTierRequest;

typedef struct {
  uint64_t ticket;
  uint64_t bytes_copied;
  uint64_t protected_ns; /* from protection to release, of the piece where it was longest */
  uint64_t cpu_ns;
  uint64_t slow_islands; /* of the chunk, afterwards */
  uint32_t stall_count;
  uint32_t status;
} ArbTierOutcome;

/* Sums of a seat, only ever growing. */
typedef struct {
  uint64_t promotions;
  uint64_t demotions;
  uint64_t bytes_to_fast;
  uint64_t bytes_to_slow;
  uint64_t stalls;
  uint64_t stall_ns;     /* at most: each stall counts from the first moment it may have begun */
  uint64_t stall_ns_max; /* the longest protection that stalled anybody */
  uint64_t cpu_ns;       /* of mover and watcher threads, without: */
  uint64_t placing_ns;   /* of the mover, in calls of the program: room taken, given back; forks */
  uint64_t forks;
  uint64_t homes;        /* chunks brought home, for what slow memory cannot do */
  uint64_t placed_slow;  /* chunks that began in slow memory, as the fast tier was full */
} ArbTierCounts;

typedef struct {
  uint32_t owner;        /* robust futex: the mover's thread number */
  uint32_t unused;
  uint64_t owner_next;   /* the kernel's way on from here in the list of what the mover holds */
  int32_t process;
  uint32_t state;        /* ArbTierSeatState */
  uint64_t start_ticks;
  uint64_t generation;   /* counts the processes that had the seat */
  uint64_t fast_bytes;   /* of managed chunks, never-touched ones included */
  uint32_t chunk_high;   /* entries of the table that were ever in use */
  uint32_t is_frozen;    /* nothing moves: pinned memory was seen, or a fork lives */
  ArbTierCounts counts;
  uint32_t request_bell; /* futex: the manager adds one after each batch of requests */
  uint32_t request_tail, request_head;   /* manager appends at tail; mover takes at head */
  uint32_t outcome_tail, outcome_head;   /* mover appends at tail; manager takes at head */
  uint32_t remark_count;                 /* ever written; the ring keeps the last ones */
  ArbTierRequest requests[ARB_TIER_RING_COUNT];
  ArbTierOutcome outcomes[ARB_TIER_RING_COUNT];
  char remarks[ARB_TIER_REMARK_COUNT][ARB_TIER_REMARK_BYTES];
} ArbTierSeat;

typedef enum {
  ARB_TIER_SEAT_FREE = 0,
  ARB_TIER_SEAT_TAKEN = 1,
  ARB_TIER_SEAT_LEFT = 2, /* its process is gone; the manager gives its slots back */
  ARB_TIER_SEAT_JOINING = 3, /* claimed; its mover has not begun, so that nobody holds the futex */
} ArbTierSeatState;

typedef struct {
  uint64_t magic;
  uint32_t version;
  uint32_t seat_count;
  uint64_t page_bytes;     /* of the whole page */
  uint32_t chunk_capacity; /* entries of each table */
  uint32_t slot_count;
  uint32_t slow_kind;
  uint32_t options;
  int32_t manager;         /* process */
  uint32_t seat_high;      /* seats that were ever claimed: those behind take no memory */
  uint64_t heartbeat_ns;   /* CLOCK_MONOTONIC, by the manager, at every step */
  uint64_t fast_bytes;     /* the budget */
  int64_t fast_free_bytes; /* of the budget; may be negative while the manager makes room */
  uint32_t slots_used;
  uint32_t slot_hint;      /* where the search for a free slot begins */
} ArbTierHeader;

/* What the places of the parts follow from; once known, kept outside the page. */
typedef struct {
  uint32_t slot_count;
  uint32_t chunk_capacity;
} ArbTierSizes;

/* Bytes that a page with so many slots and entries takes. */
uint64_t arb_tier_page_bytes(uint32_t slot_count, uint32_t chunk_capacity);

/* Lays out a page in zeroed memory of that size; the caller fills in capacities and kind. */
void arb_tier_page_make(void *_Nonnull page, uint32_t slot_count, uint32_t chunk_capacity);

/* 0 and the sizes if the bytes are a page of this version that holds so much; -EPROTO, -EINVAL. */
int arb_tier_page_check(
    const void *_Nonnull page, uint64_t bytes, ArbTierSizes *_Nonnull sizes);

/* The parts of a page; nothing of it is read. */
ArbTierSeat *_Nonnull arb_tier_seat(void *_Nonnull page, uint32_t seat);
ArbTierChunk *_Nonnull arb_tier_chunks(void *_Nonnull page, ArbTierSizes sizes, uint32_t seat);
uint32_t *_Nonnull arb_tier_slots(void *_Nonnull page);

/* The manager's side. */

/* Appends a request and wakes the mover at the next arb_tier_ring; 0, or -EAGAIN when full. */
int arb_tier_request(ArbTierSeat *_Nonnull seat, const ArbTierRequest *_Nonnull request);
void arb_tier_ring_bell(ArbTierSeat *_Nonnull seat);

/* Takes an outcome: 1, or 0 when there is none. */
int arb_tier_take_outcome(ArbTierSeat *_Nonnull seat, ArbTierOutcome *_Nonnull outcome);

/* 1 if the mover of a taken seat is gone; then the seat is LEFT and the caller's to clear. */
int arb_tier_seat_is_left(ArbTierSeat *_Nonnull seat);

/* Gives the slots of a LEFT seat and its share of fast memory back, and frees the seat. Not before
 * no forked process maps them any more: arb_tier_seat_forks_live (tier.h). */
void arb_tier_seat_clear(void *_Nonnull page, ArbTierSizes sizes, uint32_t seat);

#endif
