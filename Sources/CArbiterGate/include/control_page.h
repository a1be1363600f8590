/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The control page: what a controller and the gates of any number of programs share. A memfd of
 * fixed layout, mapped by the controller's process and by every gated program, at any address.
 *
 *   header        sizes, clock, scheme, doorbell, sessions; then one ArbSet per interleave set
 *   slots         one ArbSlot per gate: what it let pass and what it made its thread wait
 *   recordings    per slot a ring of stores, filled only while the controller asks for it
 *
 * Who writes what. Settings and heartbeat of a set: its one controller. A slot's counts: the thread
 * that holds the slot. All are single words, stored and loaded with relaxed order: each is a whole
 * message, and nobody reads other memory on the strength of it.
 *
 * Who owns a slot. A thread owns a slot by holding its robust mutex, from attaching until it
 * detaches or dies. The kernel marks the mutex of a thread that died, however it died, so a slot
 * needs no list of the living, no process number that might be used again, and no clean-up code in
 * the gated program: whoever tries the mutex next finds out.
 *
 * Set 0 is memory of which nothing is known, plain DRAM included. Nobody publishes settings for it,
 * so that no store to it ever waits for a controller.
 */
#ifndef ARBITER_CONTROL_PAGE_H
#define ARBITER_CONTROL_PAGE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* "ARBGATE" and the version of the layout; a reader refuses any other. */
#define ARB_PAGE_MAGIC 0x0045544147425241ull
#define ARB_PAGE_VERSION 1u

#define ARB_SET_COUNT 8u            /* set 0 and seven interleave sets */
#define ARB_SET_UNKNOWN 0u          /* memory of which nothing is known */
#define ARB_SET_DEVICES_MAX 14u     /* devices that can belong to a set */
#define ARB_SET_NAME_BYTES 32u      /* as "region0", with its final zero */
#define ARB_SESSION_COUNT 16u       /* `arbiter run`s that may share a page; session 0 is none */
#define ARB_SLOT_COUNT_MAX 4096u
#define ARB_DELAY_BUCKETS 128u      /* of a slot's histogram of waits; see arb_delay_bucket */
#define ARB_RECORD_COUNT 1024u      /* stores that a slot's recording holds; a power of two */
#define ARB_NO_SLOT UINT32_MAX

/* How writers are admitted; the names are those of the tool's --scheme. */
typedef enum {
  ARB_SCHEME_BASELINE = 0,
  ARB_SCHEME_LOCK = 1,
  ARB_SCHEME_DELEGATION = 2,
  ARB_SCHEME_FENCE = 3,
  ARB_SCHEME_ARBITER = 4,
  ARB_SCHEME_ARBITER_PAPER = 5,
} ArbSchemeKind;

/* Settings travel in one word; the word is the whole message.
 *
 *   bits  0-41  delay in picoseconds (at most 4.39 s)
 *   bit  42     delay point: 0 access, 1 block
 *   bit  43     anchor: 0 arrival, 1 previous
 *   bit  44     fence at media blocks
 *   bits 45-61  version, counts publications and wraps
 *   bit  62     gates record their stores
 *   bit  63     0; a gate sets it in its own copy so that the copy equals no published word
 */
#define ARB_WORD_DELAY_MASK ((1ull << 42) - 1)
#define ARB_WORD_BY_BLOCK (1ull << 42)
#define ARB_WORD_FROM_PREVIOUS (1ull << 43)
#define ARB_WORD_FENCED (1ull << 44)
#define ARB_WORD_VERSION_SHIFT 45
#define ARB_WORD_VERSION_MASK ((1ull << 17) - 1)
#define ARB_WORD_RECORDING (1ull << 62)
#define ARB_WORD_FOREIGN (1ull << 63)

/* What a library call did, for a slot's statistics. */
typedef enum {
  ARB_CALL_COPY = 0,    /* memcpy and memmove of the libraries; bytes copied */
  ARB_CALL_SET = 1,     /* memset; bytes set */
  ARB_CALL_FLUSH = 2,   /* write-back of a range that the program stored itself */
  ARB_CALL_DRAIN = 3,   /* fences; no bytes */
  ARB_CALL_PERSIST = 4, /* flush and drain in one call; bytes of the range */
  ARB_CALL_MSYNC = 5,   /* pages written back by the kernel; bytes of the range */
  ARB_CALL_DEEP = 6,    /* deep flush, drain or persist; bytes of the range */
  ARB_CALL_KINDS = 8,
} ArbCallKind;

/* One store or fence that a gate recorded. */
typedef struct {
  int64_t ticks;  /* time-stamp counter when the store was let pass, or the fence had ended */
  uint64_t lines; /* first line (address / 64) << 20 | lines, at most 2^20 - 1; all 0: a fence */
} ArbRecord;

/* Who may hold a permit; see permits.h. Guarded by `lock`. */
typedef struct {
  pthread_mutex_t lock; /* robust and shared between processes */
  uint64_t next_ticket;
  uint32_t permit_count; /* fixed before the set is active */
  uint32_t holder_count;
  uint32_t holder_count_max; /* never decreases */
  uint32_t queue_head;       /* slot index, or ARB_NO_SLOT */
  uint32_t queue_tail;
  uint32_t recovered_count; /* permits whose holder died */
  uint64_t pad[7];
} ArbPermits;

/* One interleave set. */
typedef struct {
  /* Written once per period by the controller, read by every gate. */
  uint64_t settings;       /* settings word */
  int64_t heartbeat_ticks; /* time-stamp counter when the controller last looked */
  int64_t stale_ticks;     /* a heartbeat older than this ends all delays; 0: never */
  uint64_t recording;      /* name << 16 | records that each gate is to take; see recording.h */
  uint64_t pad_a[12];

  /* Written once, before `is_active`. */
  uint32_t is_active; /* released by the creator, acquired by arb_page_set_of_device */
  uint32_t matches_all; /* 1: every address that belongs to no other set */
  uint32_t module_count;
  uint32_t device_count;
  struct {
    uint32_t major, minor;
  } devices[ARB_SET_DEVICES_MAX]; /* of the files' st_dev, or of a device-DAX node itself */
  char name[ARB_SET_NAME_BYTES];
  uint64_t pad_b[12];

  ArbPermits permits;
} ArbSet;

/* The figures of one gate, or of gates that are gone. Cumulative; written by one thread. */
typedef struct {
  uint64_t access_count;   /* stores let pass */
  uint64_t stored_bytes;   /* their bytes */
  uint64_t wait_count;     /* stores that had to wait */
  uint64_t requested_ticks; /* sum of the waits asked for */
  uint64_t requested_ticks_max;
  uint64_t actual_ticks; /* sum of the waits as they turned out */
  uint64_t fence_count;  /* fences that settings put in */
  uint64_t stale_count;  /* stores that did not wait because the controller is gone */
  uint64_t record_count; /* stores recorded so far; the newest lies at (count - 1) % capacity */
  uint64_t direct_count; /* stores that went ahead without permit or worker: none was to be had */
  uint64_t call_count[ARB_CALL_KINDS];
  uint64_t call_bytes[ARB_CALL_KINDS];
  uint64_t pad[6];
  uint64_t delay_histogram[ARB_DELAY_BUCKETS]; /* of actual waits above 0, in ticks */
} ArbCounts;

/* One gate of one thread. */
typedef struct {
  ArbCounts counts; /* sums are never reset: a total over slots must not run backwards */

  pthread_mutex_t owner; /* held by the thread that owns the slot */
  uint32_t is_attached;  /* 1 from attaching to detaching; see arb_page_reap for the dead */
  uint32_t generation;   /* owners so far */
  uint32_t set_index;
  uint32_t session;
  int32_t process;
  int32_t thread;
  char name[16]; /* of the thread */
  uint64_t recording;       /* the set's, as the owner took it in; 0: it has recorded nothing */
  uint64_t record_start;    /* record_count when that recording began */
  uint64_t record_settings; /* settings in force during it */
  uint64_t pad_a[3];

  /* Guarded by the lock of the set's permits, `permit_wake` apart. */
  uint32_t permit_state; /* ArbPermitState */
  uint32_t permit_wake;  /* futex: 1 when the permit has been handed over */
  uint32_t permit_next;  /* the next slot in the queue */
  uint32_t pad_b;
  uint64_t permit_ticket;
  uint64_t pad_c[13];

  ArbCounts base; /* counts when the present owner attached */
} ArbSlot;

/* What one `arbiter run` owns. */
typedef struct {
  uint32_t is_used; /* compare-and-swap from 0 to 1 takes it */
  int32_t process;  /* of the `arbiter run` */
  uint64_t pad[15];
  ArbCounts departed; /* of slots that have been handed on; guarded by the page's registry */
  uint64_t departed_threads;
  uint64_t pad_b[15];
} ArbSession;

/* The page. */
typedef struct {
  uint64_t magic; /* stored last, with release; acquired by arb_page_open */
  uint32_t version;
  uint32_t slot_count;
  uint64_t byte_count;
  uint64_t slots_offset;
  uint64_t records_offset;
  double ticks_per_nanosecond;
  int64_t maximum_wait_ticks; /* the longest wait of any store, whatever is published */
  uint32_t scheme;            /* ArbSchemeKind */
  uint32_t ring_count;        /* delegation: workers in each program */
  uint32_t ring_slots;        /* delegation: requests that a ring holds */
  uint32_t next_slot;         /* where the next search for a slot begins */
  uint64_t span_bytes;        /* lock: bytes that a thread stores under one permit */
  uint32_t slots_used;        /* slots from here on were never taken; never decreases */
  uint32_t pad_a[11];

  uint32_t doorbell; /* futex: rings when a gate attaches or detaches */
  uint32_t doorbell_sleepers;
  uint64_t pad_b[15];

  pthread_mutex_t registry; /* robust; guards the sessions */
  uint64_t pad_c[11];

  ArbSet sets[ARB_SET_COUNT];
  ArbSession sessions[ARB_SESSION_COUNT];
} ArbPage;

/* The layout is a contract between processes that may be of different builds. */
_Static_assert(sizeof(pthread_mutex_t) == 40, "glibc on x86-64");
_Static_assert(sizeof(ArbPermits) == 128, "permits");
_Static_assert(sizeof(ArbSet) == 128 + 256 + 128, "set");
_Static_assert(sizeof(ArbCounts) == 256 + 1024, "counts");
_Static_assert(offsetof(ArbSlot, owner) == 1280, "slot: owner");
_Static_assert(offsetof(ArbSlot, permit_state) == 1280 + 128, "slot: permit");
_Static_assert(sizeof(ArbSlot) == 1280 + 256 + 1280, "slot");
_Static_assert(offsetof(ArbPage, doorbell) == 128, "page: doorbell");
_Static_assert(offsetof(ArbPage, sets) == 384, "page: sets");

/* A page and where it is mapped. */
typedef struct {
  ArbPage *_Nullable page;
  int32_t descriptor; /* of the memfd; -1 where only the mapping is held */
} ArbMapping;

/* What a new page is to hold. */
typedef struct {
  uint32_t slot_count; /* 1 to ARB_SLOT_COUNT_MAX */
  uint32_t scheme;
  uint32_t permit_count; /* of every set that says nothing else; at least 1 */
  uint32_t ring_count;
  uint32_t ring_slots;
  uint64_t span_bytes;
  double ticks_per_nanosecond;
  int64_t maximum_wait_ticks;
} ArbPageParameters;

/* Makes a page in a new memfd whose size is sealed. Returns 0 or -errno. */
int64_t arb_page_create(const ArbPageParameters *_Nonnull parameters, ArbMapping *_Nonnull mapping);

/* Maps an existing page by path (/proc/PID/fd/N). Returns 0, -errno, or -EPROTO for a file that is
 * no control page of this version, or that somebody could cut short under the gates. Keeps no
 * descriptor. */
int64_t arb_page_open(const char *_Nonnull path, ArbMapping *_Nonnull mapping);

/* The same for whoever watches: the page is mapped to be read, so nothing that takes a mutex or
 * takes something back may be done with it. */
int64_t arb_page_open_to_read(const char *_Nonnull path, ArbMapping *_Nonnull mapping);

/* Unmaps a page that arb_page_open_to_read has mapped. */
void arb_page_close_reading(ArbMapping *_Nonnull mapping);

/* Unmaps a page, unless a thread of this process still owns a slot of it: a thread's list of robust
 * mutexes points into the page, so such a page stays mapped. */
void arb_page_close(ArbMapping *_Nonnull mapping);

/* Gives set `index` (1 and up) its name; devices are added before arb_set_activate. */
void arb_set_name(ArbPage *_Nonnull page, uint32_t index, const char *_Nonnull name,
                  uint32_t module_count);

/* Adds a device to a set that is not active yet. Returns 0 or -ENOSPC. */
int64_t arb_set_add_device(ArbPage *_Nonnull page, uint32_t index, uint32_t major, uint32_t minor);

/* Lets gates find the set. `matches_all` gives it every address that no other set has. */
void arb_set_activate(ArbPage *_Nonnull page, uint32_t index, uint32_t matches_all);

/* The set of a device; ARB_SET_UNKNOWN where none has it. */
uint32_t arb_page_set_of_device(const ArbPage *_Nonnull page, uint32_t major, uint32_t minor);

/* Takes a session for the calling process. Returns 1 and up, or -EUSERS. */
int64_t arb_page_begin_session(ArbPage *_Nonnull page);

/* Gives a session back. */
void arb_page_end_session(ArbPage *_Nonnull page, uint32_t session);

/* Takes back the slots of threads that died; returns how many. The cost is one attempt at a mutex
 * per attached slot, some 20 ns each. */
uint32_t arb_page_reap(ArbPage *_Nonnull page);

/* Slots of a set that are attached now. */
uint32_t arb_page_attached_count(const ArbPage *_Nonnull page, uint32_t set_index);

/* Reads what the owner of slot `index` did since it attached, or did before it left. */
void arb_slot_read(const ArbPage *_Nonnull page, uint32_t index, ArbCounts *_Nonnull own);

/* Adds the figures of other gates. */
void arb_counts_add(ArbCounts *_Nonnull sum, const ArbCounts *_Nonnull counts);

/* Reads what the departed threads of a session did; returns how many they are. */
uint64_t arb_session_read(ArbPage *_Nonnull page, uint32_t session, ArbCounts *_Nonnull departed);

/* The same without the lock, for whoever only watches: each figure is whole, but a slot that is
 * being handed on meanwhile may be in all, some or none of them. */
uint64_t arb_session_glance(const ArbPage *_Nonnull page, uint32_t session,
                            ArbCounts *_Nonnull departed);

/* The process of the `arbiter run` that has taken a session: 0 where nobody has, or has not written
 * it yet; negative where it has ended and left threads. */
int32_t arb_session_process(const ArbPage *_Nonnull page, uint32_t session);

/* Rings the doorbell. */
void arb_page_ring(ArbPage *_Nonnull page);

/* Sleeps until the doorbell's count is no longer `heard`, at most `nanoseconds`. */
void arb_page_listen(ArbPage *_Nonnull page, uint32_t heard, int64_t nanoseconds);

/* How often the doorbell has rung. */
static inline uint32_t arb_page_ring_count(const ArbPage *_Nonnull page) {
  /* Acquires what was written before the ring (arb_page_ring). */
  return __atomic_load_n(&page->doorbell, __ATOMIC_ACQUIRE);
}

/* Slot `index` of a page. */
static inline ArbSlot *_Nonnull arb_page_slot(const ArbPage *_Nonnull page, uint32_t index) {
  return (ArbSlot *)((char *)page + page->slots_offset) + index;
}

/* Set `index` of a page. */
static inline ArbSet *_Nonnull arb_page_set(ArbPage *_Nonnull page, uint32_t index) {
  return &page->sets[index];
}

/* The recording of slot `index`: ARB_RECORD_COUNT places. */
static inline ArbRecord *_Nonnull arb_page_records(const ArbPage *_Nonnull page, uint32_t index) {
  return (ArbRecord *)((char *)page + page->records_offset) + (size_t)index * ARB_RECORD_COUNT;
}

/* Slots that were ever taken: those from this index on hold nothing. */
static inline uint32_t arb_page_slots_used(const ArbPage *_Nonnull page) {
  /* Acquires the first owner's fields (arb_gate_attach). */
  uint32_t used = __atomic_load_n(&page->slots_used, __ATOMIC_ACQUIRE);
  return used < page->slot_count ? used : page->slot_count;
}

/* Relaxed access to a shared word; partners are the same two functions in other threads. */
static inline uint64_t arb_load(const uint64_t *_Nonnull word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}
static inline void arb_store(uint64_t *_Nonnull word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELAXED);
}
static inline void arb_store_signed(int64_t *_Nonnull word, int64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELAXED);
}
static inline int64_t arb_load_signed(const int64_t *_Nonnull word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}
static inline uint32_t arb_load_32(const uint32_t *_Nonnull word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* The settings word in force. */
static inline uint64_t arb_set_settings(const ArbSet *_Nonnull set) {
  return arb_load(&set->settings);
}

/* Puts a settings word in force. One writer at a time. */
static inline void arb_set_publish(ArbSet *_Nonnull set, uint64_t word) {
  /* Releases the recording's name and limit to arb_gate_apply_recording; else relaxed would do. */
  __atomic_store_n(&set->settings, word, __ATOMIC_RELEASE);
}

/* Says that the controller is alive at `now`; gates stop waiting `stale_ticks` later (0: never). */
static inline void arb_set_beat(ArbSet *_Nonnull set, int64_t now, int64_t stale_ticks) {
  arb_store_signed(&set->heartbeat_ticks, now);
  arb_store_signed(&set->stale_ticks, stale_ticks);
}

/* What a controller looks at once per period. */
typedef struct {
  uint32_t is_attached, generation, set_index;
  uint64_t access_count, stored_bytes;
  uint64_t base_access_count, base_stored_bytes; /* when the present owner attached */
} ArbSlotGlance;

/* Looks at slot `index`. Fields of one look may be of moments that lie a little apart. */
static inline ArbSlotGlance arb_slot_glance(const ArbPage *_Nonnull page, uint32_t index) {
  const ArbSlot *slot = arb_page_slot(page, index);
  ArbSlotGlance glance = {
      /* Acquires the owner's fields (arb_gate_attach). */
      .is_attached = __atomic_load_n(&slot->is_attached, __ATOMIC_ACQUIRE),
      .generation = arb_load_32(&slot->generation),
      .set_index = arb_load_32(&slot->set_index),
      .access_count = arb_load(&slot->counts.access_count),
      .stored_bytes = arb_load(&slot->counts.stored_bytes),
      .base_access_count = arb_load(&slot->base.access_count),
      .base_stored_bytes = arb_load(&slot->base.stored_bytes),
  };
  return glance;
}

#endif
