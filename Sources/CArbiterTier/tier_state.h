/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the file back-end share inside a program. Not for anybody outside.
 *
 * Threads. The mover owns every descriptor (slow file, userfaultfd, memfds of shared chunks): it
 * has a table of descriptors of its own, so that a program which closes all descriptors, or opens
 * others under the same numbers, takes none of ours. What needs a descriptor is therefore done by
 * the mover: arb_tier_on_mover.
 *
 * The lock. Whoever looks at chunks or changes mappings of managed memory holds it. Signals of the
 * holder are blocked, so that no handler waits for the thread that it interrupted. The holder
 * touches no memory of the program: an island that is being moved would make it wait for the mover,
 * and the mover for the lock. The mover lets go of the lock while it copies, and the chunk's `busy`
 * says so: arb_tier_lock_quiet waits until no chunk of a range is busy.
 *
 * System calls are made by instruction, as the library stands in front of the C library's
 * functions, of syscall() too, and as they leave errno alone.
 */
#ifndef ARBITER_TIER_STATE_H
#define ARBITER_TIER_STATE_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "tier.h"

#define ARB_TIER_NONE UINT32_MAX
#define ARB_TIER_FAST_FILES 512u

/* Returns what the kernel returned: a negative errno on failure. */
static inline int64_t arb_tier_call(
    int64_t number, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f) {
  register int64_t r10 __asm__("r10") = d;
  register int64_t r8 __asm__("r8") = e;
  register int64_t r9 __asm__("r9") = f;
  int64_t answer;
  __asm__ volatile("syscall"
                   : "=a"(answer)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return answer;
}

/* What only the process itself needs to know of a chunk; beside the seat's table, by index. */
typedef struct {
  uint64_t stale_islands; /* islands whose bytes in the slot may not be zero, though not slow */
  uint64_t fast_offset;   /* of a shared chunk in its memfd */
  uint32_t fast_file;     /* of a shared chunk: index in fast_files */
  uint32_t leaving;       /* its range is being unmapped: see arb_tier_release_begin */
} ArbTierLocal;

/* A memfd of shared memory, made when a range is adopted; closed with its last chunk, and then
 * lives on in whoever still maps it. */
typedef struct {
  int32_t descriptor; /* in the mover's table */
  uint32_t chunk_count; /* 0: the place is free */
} ArbTierFastFile;

/* Memory that demotions left: see pool.c. */
#define ARB_TIER_POOL_PLACES 16u

typedef struct {
  uint64_t arena;  /* a chunk's bytes for each place; 0: there is none */
  int64_t used_ns; /* when a piece came or went last */
  uint64_t bytes[ARB_TIER_POOL_PLACES]; /* of the piece that begins at the place, if any */
} ArbTierPool;

typedef struct {
  uint32_t is_joined; /* release and acquire: all below is set before */
  uint32_t is_started;
  uint32_t is_starting;
  uint32_t is_bare; /* the threads are not the C library's: see bare.c */
  uint32_t is_movable; /* userfaultfd stops kernel and program: islands can be moved */
  uint32_t lock;       /* futex: 0 free, 1 held, 2 held and waited for */
  uint32_t quiet;      /* futex: counts ends of migrations */
  sigset_t lock_mask;  /* of the holder, before */
  void *page;
  ArbTierHeader *header;
  ArbTierSeat *seat;
  ArbTierChunk *chunks; /* the table itself, which nobody else can write */
  ArbTierChunk *shown;  /* the page's copy of it, for the manager: arb_tier_show */
  ArbTierLocal *locals;
  uint32_t *slots;
  uint8_t *slot_notes;  /* what this process knows of slots: ARB_TIER_SLOT_IS_OURS, ..._HAS_BYTES */
  uint64_t page_bytes;
  uint32_t slot_count, chunk_capacity; /* of the page, as they were checked */
  uint32_t chunk_high;  /* entries of the table that were ever in use */
  uint32_t slow_kind;   /* as it was when the page was joined */
  uint32_t is_frozen;   /* once said by the manager or here, for good */
  uint32_t request_head, outcome_tail; /* the mover's ends of the rings */
  uint32_t seat_number;
  uint32_t free_hint; /* where the search for a free entry begins */
  uint64_t next_generation;
  uint64_t low, high; /* all managed chunks lie within; only ever growing */
  int32_t slow_fd, uffd, pagemap_fd, maps_fd; /* the mover's; -1 where there is none */
  int32_t mover_thread, watcher_thread;       /* thread numbers, 0 while there is none */
  uint64_t features;                          /* of userfaultfd */
  /* Forks between preparation and the call, which must not be made with the lock held: allocators
   * hold their own then, and others wait for ours inside an allocator. While it is not 0 nothing is
   * moved, and what is adopted begins in fast memory. Changed under the lock. */
  uint32_t forking;
  uint64_t leaving_start, leaving_length;
  uint64_t busy_address; /* of the chunk that is being moved; 0 for none */
  uint64_t slow_bytes;   /* of the slow file, when it was joined */
  uint64_t slow_inode;   /* as the kernel tells of mappings of the slow file */
  uint64_t cpu_counted[2]; /* of mover and watcher, as added to the seat's counts */
  uint64_t placing_ns;     /* of that, the mover's for calls of the program */
  /* What the holder of the lock wants the mover to do. */
  int64_t (*service)(void *);
  void *service_argument;
  int64_t service_answer;
  uint32_t service_state; /* futex: 0 none, 1 wanted, 2 done */
  uint32_t fault_count;   /* page faults that userfaultfd reported */
  /* A migration that another thread than the mover asked for: 0 none, 1 being set, 2 wanted,
   * 3 done. */
  uint32_t move_state;
  const ArbTierRequest *move_request;
  ArbTierOutcome *move_outcome;
  uint32_t kept_count;    /* slots that were given back with their room, about */
  uint32_t remark_kinds;  /* bit n: a remark of kind n was made */
  ArbTierPool pool;       /* the mover's */
  ArbTierFastFile fast_files[ARB_TIER_FAST_FILES];
} ArbTierState;

extern ArbTierState arb_tier_state;

/* A slot's note. Only slots that are noted as ours are given back, and such a one is never claimed
 * again, whatever its word on the page says; what has bytes of ours in it is not taken for zero. */
#define ARB_TIER_SLOT_IS_OURS 1u
#define ARB_TIER_SLOT_HAS_BYTES 2u

/* Entries of the table that were ever in use. */
static inline uint32_t arb_tier_high(void) {
  return __atomic_load_n(&arb_tier_state.chunk_high, __ATOMIC_RELAXED);
}

/* Sets the first and count of the next islands side by side, and takes them out of the set. */
static inline uint64_t arb_tier_next_run(uint64_t *islands, uint32_t *first, uint32_t *count) {
  *first = (uint32_t)__builtin_ctzll(*islands);
  uint64_t rest = ~(*islands >> *first);
  *count = rest == 0 ? 64 : (uint32_t)__builtin_ctzll(rest);
  if (*count > 64 - *first) *count = 64 - *first;
  uint64_t run = (*count == 64 ? UINT64_MAX : (1ull << *count) - 1) << *first;
  *islands &= ~run;
  return run;
}

/* The same for so many islands at most. */
static inline uint64_t arb_tier_next_piece(
    uint64_t *islands, uint32_t most, uint32_t *first, uint32_t *count) {
  uint64_t run = arb_tier_next_run(islands, first, count);
  if (*count <= most) return run;
  uint64_t piece = ((1ull << most) - 1) << *first;
  *islands |= run & ~piece;
  *count = most;
  return piece;
}

/* --- state.c --- */

void arb_tier_lock(void);
/* With the lock held and no migration under way in the range. */
void arb_tier_lock_quiet(uint64_t start, uint64_t length);
/* The mover's own: serves arb_tier_on_mover while it waits. */
void arb_tier_mover_lock(void);
void arb_tier_mover_unlock(void);

/* Runs body on the mover's thread and waits for its answer; at once where no mover runs, or on the
 * mover itself. The caller holds the lock, and body works under it. Bounded by a chunk's copy. */
int64_t arb_tier_on_mover(int64_t (*body)(void *), void *argument);
void arb_tier_serve(void); /* the mover's side */

/* In a forked child, at once: forgets page, seat, threads and chunks of the parent, of which
 * nothing is changed. What is mapped stays. */
void arb_tier_leave(void);

/* --- chunks.c; all under the lock --- */

/* Index of the chunk at a 2 MiB aligned address, or ARB_TIER_NONE. */
uint32_t arb_tier_find(uint64_t address);
/* First managed chunk that ends behind *address and begins before end: its index, and *address
 * is set to its end; ARB_TIER_NONE when there is none. Walks a range. */
uint32_t arb_tier_next(uint64_t *address, uint64_t end);
/* A new entry, all of its islands noted as slow though it has no slot yet, as arb_tier_note_islands
 * then counts what is fast; or ARB_TIER_NONE. */
uint32_t arb_tier_add(uint64_t address);
/* Takes a chunk out of management. Its slot is given back unless keeps_slot; its mappings stay. */
void arb_tier_forget(uint32_t index, int keeps_slot);
/* Copies an entry to the page: after whatever of it changes that the manager is to know. */
void arb_tier_show(uint32_t index);
/* Notes where islands lie: slow_islands and the budget, in step; shows the entry. */
void arb_tier_note_islands(uint32_t index, uint64_t slow_islands);
void arb_tier_index_clear(void);
/* Takes a range off the index entries that are leaving, or keeps them; ends a release. */
void arb_tier_release_end(int is_gone);

/* --- slots.c; on the mover, under the lock or not --- */

/* A slot that has its room on the device, `near` if it is free, so that neighbours' mappings become
 * one; ARB_TIER_NO_SLOT and *why. It reads as zero, unless `*is_stale` becomes 1; NULL forbids
 * that. */
uint32_t arb_tier_slot_claim(uint32_t near, int *why, int *is_stale);
/* -EIO if somebody has cut the slow file: a write would make it longer again, and what was lost
 * would then read as zero. */
int arb_tier_slots_check(void);
/* Gives slots back and their room with them. The slots are mapped nowhere in this process. */
void arb_tier_slot_free(uint32_t slot, uint32_t count);
/* Makes bytes of a slot zero, and keeps their room. */
int arb_tier_slot_zero(uint32_t slot, uint64_t offset, uint64_t length);
/* 1 for what a file says that can take no more. */
static inline int arb_tier_is_full(int error) {
  return error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
}
static inline uint64_t arb_tier_slot_offset(uint32_t slot) {
  return (uint64_t)slot * ARB_TIER_CHUNK_BYTES;
}

/* Maps bytes of a slot at an address, over what is there; flags is MAP_SHARED or MAP_PRIVATE. */
int arb_tier_map_slot(
    uint64_t address, uint32_t slot, uint64_t offset, uint64_t length, int protection, int flags);

/* --- copy.c; on the mover --- */

/* Copies between memory and a slot; 0 or a negative errno (-EIO where the file ends early). */
int arb_tier_copy_out(uint32_t slot, uint64_t offset, uint64_t address, uint64_t length);
int arb_tier_copy_in(uint32_t slot, uint64_t offset, uint64_t address, uint64_t length);
/* The same for an island run at an address, where only pages that are present are read; bytes of
 * absent pages are made zero in the slot where is_stale. Counts the bytes. */
int arb_tier_copy_present(
    uint32_t index, uint32_t slot, uint64_t offset, uint64_t length, int is_stale,
    uint64_t *bytes);

/* --- protect.c; on the mover --- */

int arb_tier_protect_open(void); /* opens userfaultfd: 0, or a negative errno */
int arb_tier_protect_begin(uint64_t start, uint64_t length); /* stores wait from now on */
void arb_tier_protect_undo(uint64_t start, uint64_t length); /* all as before; wakes */
void arb_tier_wake(uint64_t start, uint64_t length);
int arb_tier_register_missing(uint64_t start, uint64_t length);
int arb_tier_unregister(uint64_t start, uint64_t length); /* nobody waits there */
/* Moves pages of private memory that nobody else holds to where userfaultfd is registered and none
 * are, and says how many bytes it got through; pages that are not there are left out. */
uint64_t arb_tier_move_pages(uint64_t to, uint64_t from, uint64_t length);
int arb_tier_can_move_pages(void);
void arb_tier_drain_events(void); /* counts faults; lets a waiting mremap go on */

/* --- pool.c; on the mover --- */

/* Anonymous memory; a whole chunk is aligned, so that it can be one huge page. 0: there is none. */
uint64_t arb_tier_map_aligned(uint64_t length);
/* An empty place for the pages of a chunk's runs; 0 where they are not worth keeping. */
uint64_t arb_tier_pool_room(uint32_t index, uint64_t length);
/* Takes what was moved there into the pool, if all of it was; else lets go of it. */
void arb_tier_pool_keep(uint64_t room, uint64_t length, int is_full);
/* Memory for islands of a chunk, with all its pages and old bytes in them; or 0. */
uint64_t arb_tier_pool_take(uint32_t index, uint64_t length);
/* Maps such memory, or plain memory, in the place of what lies at an address: 0 or a negative
 * errno; or lets go of it. */
int arb_tier_fresh_put(uint64_t fresh, uint64_t length, uint64_t address);
void arb_tier_fresh_drop(uint64_t fresh, uint64_t length);
/* 1 if fresh memory comes as huge pages. */
int arb_tier_is_huge(void);
void arb_tier_pool_begin(void); /* before the program goes on */
void arb_tier_pool_tend(void); /* at each wake-up: gives back what is too much, or idle */
void arb_tier_pool_drop(void);

/* --- check.c; on the mover --- */

/* Opens what tells of mappings; without it the hooks are trusted. */
void arb_tier_check_open(void);
/* 1 if the kernel does not deny that this part of a chunk is mapped as the table says. */
int arb_tier_check(uint32_t index, uint64_t offset, uint64_t length, int is_slow);

/* --- move.c, demote.c, promote.c; on the mover, the lock held --- */

/* Moves islands, none of which is where it shall be; lets go of the lock meanwhile. A status. */
int arb_tier_run(
    uint32_t index, uint64_t islands, int is_to_slow, ArbTierOutcome *outcome);

/* Brings islands back to fast memory; the chunk is not busy and is not forked. */
int arb_tier_bring_home(uint32_t index, uint64_t islands);

/* --- threads.c --- */

int32_t arb_tier_thread_number(void);
int64_t arb_tier_now(void);
uint64_t arb_tier_thread_cpu(void); /* of the calling thread, in nanoseconds */
/* Sleeps while the word has the value, at most so long. */
void arb_tier_sleep(uint32_t *word, uint32_t value, int64_t nanoseconds);
void arb_tier_wake_all(uint32_t *word);
void arb_tier_ring(void); /* wakes the mover */
void arb_tier_migrate(const ArbTierRequest *request, ArbTierOutcome *outcome);

/* --- private.c --- */

/* A slot is mapped privately there. */
void arb_tier_private_note(uint64_t start, uint64_t length);
/* Remembers which file the slow one is, before a child has no descriptor of it. */
void arb_tier_private_learn(void);

/* --- bare.c --- */

/* Starts a thread that allocates nothing, with all signals blocked: 0, or a negative errno. */
int arb_tier_start_bare(void *(*body)(void *));
/* The calling thread takes a robust futex for as long as it lives: 0, or a negative errno. `next`
 * is the kernel's, beside the word. The thread holds no robust mutex of the C library. */
int arb_tier_own(uint32_t *word, uint64_t *next);

/* --- rights.c --- */

/* What the process's first thread has given up since, the calling thread gives up, if it is one
 * that the C library does not know. Looks a few times a second at most. */
void arb_tier_follow_rights(int64_t *looked_ns);

/* --- remark.c --- */

typedef enum {
  ARB_TIER_REMARK_PERMISSION,
  ARB_TIER_REMARK_SLOT,
  ARB_TIER_REMARK_DEVICE,
  ARB_TIER_REMARK_MEMORY,
  ARB_TIER_REMARK_MAPPING,
  ARB_TIER_REMARK_PROTECT,
  ARB_TIER_REMARK_FREEZE,
  ARB_TIER_REMARK_TABLE,
  ARB_TIER_REMARK_FORK,
  ARB_TIER_REMARK_THREAD,
  ARB_TIER_REMARK_SHARED,
} ArbTierRemarkKind;

/* One line for the manager, once for each kind. `error` is an errno, 0 for none. */
void arb_tier_remark(ArbTierRemarkKind kind, const char *text, int error);

/* --- fork.c, called by the mover at each wake-up, where it is linked in --- */

void arb_tier_fork_tend(void);
/* 1 if a page that somebody waits for was lent, and has come home; by whoever reads events. */
int arb_tier_fork_fault(uint64_t page);
/* Brings home what is lent of a range, so that its chunks are as if no fork had been; with the lock
 * held. 0 or a negative errno: some of it is still HELD_FORKED. */
int arb_tier_fork_settle(uint64_t start, uint64_t end);
/* Fills an island whose pages are missing, and are registered as such, with its bytes of a slot. On
 * the mover; 0 or a negative errno. */
int arb_tier_fetch(uint32_t slot, uint64_t offset, uint64_t address);
/* A forked chunk was unmapped here; its slot stays taken, and is freed (arb_tier_slot_free) by
 * fork.c when no fork is left. */
void arb_tier_fork_slot_left(uint32_t slot);

#endif
