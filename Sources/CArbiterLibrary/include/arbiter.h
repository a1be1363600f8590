/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * libarbiter: persistent memory for C and C++ programs, with writers that do not destroy each
 * other's locality.
 *
 *     arbiter_error error;
 *     arbiter_runtime *runtime = arbiter_open(NULL, &error);
 *     arbiter_region *region = arbiter_map(runtime, "/mnt/pmem/log", 64 << 20, 0, &error);
 *     arbiter_thread *thread = arbiter_attach(region, &error);       in every thread that writes
 *     arbiter_write(thread, arbiter_address(region), "hello", 5, ARBITER_PERSIST);
 *
 * Handles. A runtime and its regions may be used by any thread; an arbiter_thread belongs to the
 * thread that attached it. Detach all threads before arbiter_unmap, unmap all regions before
 * arbiter_close. After fork(2) the child opens a runtime of its own.
 *
 * What is guaranteed when a call returns. Nothing is, beyond what is said here:
 *   arbiter_write, arbiter_fill     The bytes are stored. They may survive a loss of power, whole,
 *                                   in part or not at all, and in any order.
 *   arbiter_flush                   The write-back of the range has begun.
 *   arbiter_drain                   Everything that this thread wrote with arbiter_write or
 *                                   arbiter_fill, or flushed, before the call survives.
 *   arbiter_persist                 Flush and drain: the range survives, also what the program
 *                                   stored into it by itself.
 *   ARBITER_PERSIST                 The bytes of this call survive.
 *   arbiter_store_u64               As arbiter_write for eight aligned bytes, which survive all
 *                                   together or not at all. Bytes that must survive before it are
 *                                   drained first.
 * "Survives" means: has reached what the region's medium is. That is the persistence domain of
 * persistent memory (ARBITER_GRANULARITY_BYTE and _CACHE_LINE), the storage device below a file
 * (ARBITER_GRANULARITY_PAGE; drain does not reach it, persist does, by msync), and nothing at all
 * for memory-backed files (ARBITER_GRANULARITY_VOLATILE).
 *
 * No call ends the program or installs a signal handler. A media error or a file that somebody
 * else cut short is a SIGBUS where memory is touched, as everywhere; arbiter_read_checked reports
 * it as an error instead. Under delegation a worker stores, and its SIGBUS ends the program; under
 * lock, do not leave a call by a jump out of an asynchronous signal handler.
 */
#ifndef ARBITER_H
#define ARBITER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Nullability for compilers that know it. */
#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wnullability-extension"
#define ARBITER_NONNULL _Nonnull
#define ARBITER_NULLABLE _Nullable
#else
#define ARBITER_NONNULL
#define ARBITER_NULLABLE
#endif

#define ARBITER_VERSION "0.1.0"

/* Kinds of failure. New ones may be added. */
enum {
  ARBITER_OK = 0,
  ARBITER_NO_SPACE = 1,         /* the file system or the quota holds no room */
  ARBITER_NO_PERMISSION = 2,    /* the user may not do this */
  ARBITER_NOT_FOUND = 3,        /* no such file, directory or process */
  ARBITER_TOO_SMALL = 4,        /* the file exists and is smaller than asked for */
  ARBITER_INVALID_ARGUMENT = 5, /* the value makes no sense, or lies outside the region */
  ARBITER_UNSUPPORTED = 6,      /* this machine or file system cannot do it */
  ARBITER_RESOURCE_LIMIT = 7,   /* no thread, descriptor, mapping or gate was left */
  ARBITER_SYSTEM = 8,           /* anything else that the system reported */
  ARBITER_MEDIA_ERROR = 9,      /* the medium lost the bytes */
  ARBITER_TRUNCATED = 10,       /* the file is shorter than the region by now */
};

/* A failure. */
typedef struct {
  int32_t code;         /* one of the above */
  int32_t error_number; /* errno, or 0 where the refusal is Arbiter's own */
  char message[248];    /* one sentence: the object, the reason and the next step */
} arbiter_error;

/* How writers are admitted. */
typedef enum {
  ARBITER_SCHEME_BASELINE = 0,   /* every thread writes whenever it likes */
  ARBITER_SCHEME_LOCK = 1,       /* few threads write at a time */
  ARBITER_SCHEME_DELEGATION = 2, /* few worker threads write for all others */
  ARBITER_SCHEME_FENCE = 3,      /* a fence at every 256-byte block */
  ARBITER_SCHEME_ARBITER = 4,    /* an adaptive delay; none while nothing can be measured */
} arbiter_scheme;

/* What a runtime is to do. Start from ARBITER_OPTIONS. */
typedef struct {
  size_t struct_bytes; /* sizeof(arbiter_options) of the caller */
  arbiter_scheme scheme;
  uint32_t permit_count; /* lock: threads that write to a set at a time; 0: as many as this user has
                            calibrated with `arbiter measure`, else 4 */
  uint32_t worker_count; /* delegation: workers; 0: the same, the most of any set */
  uint32_t period_microseconds; /* arbiter: time between two decisions; 0: 1000 */
  uint32_t thread_count_max;    /* gates of all threads together, at most 4096; 0: 256 */
  const char *ARBITER_NULLABLE profile; /* device profile to estimate with where nothing counts;
                                           NULL: none, so that nothing is ever delayed there */
} arbiter_options;

#define ARBITER_OPTIONS {sizeof(arbiter_options), ARBITER_SCHEME_ARBITER, 0, 0, 0, 0, NULL}

/* In which units stores to a region have to be pushed towards what survives. */
typedef enum {
  ARBITER_GRANULARITY_BYTE = 0,       /* a fence is enough (eADR) */
  ARBITER_GRANULARITY_CACHE_LINE = 1, /* write-back and fence (ADR) */
  ARBITER_GRANULARITY_PAGE = 2,       /* msync: a file in the page cache */
  ARBITER_GRANULARITY_VOLATILE = 3,   /* nothing survives: tmpfs, memfd */
} arbiter_granularity;

/* Flags of arbiter_map. */
enum {
  ARBITER_MAP_EXISTING = 1, /* the file must exist and be large enough */
};

/* Flags of arbiter_write and arbiter_fill. */
enum {
  ARBITER_PERSIST = 1,      /* the bytes survive when the call returns */
  ARBITER_NON_TEMPORAL = 2, /* past the caches, whatever the size */
  ARBITER_CACHED = 4,       /* through the caches, whatever the size; then flushed by PERSIST */
};

typedef struct arbiter_runtime arbiter_runtime;
typedef struct arbiter_region arbiter_region;
typedef struct arbiter_thread arbiter_thread;

/* What the attached threads of a runtime did. */
typedef struct {
  size_t struct_bytes; /* set by the caller */
  uint64_t store_count;
  uint64_t stored_bytes;
  uint64_t wait_count;           /* stores that waited */
  double delay_mean_nanoseconds; /* over all stores */
  double delay_p99_nanoseconds;
  double delay_now_nanoseconds; /* that the controller has in force */
  double write_amplification;   /* NaN where unavailable; unavailable is never zero */
  uint32_t thread_count;        /* attached now */
  uint32_t permit_holders_max;  /* lock: most threads that wrote at a time */
  uint64_t direct_count;        /* stores without permit or worker: none was to be had in time */
  char counter_source[32];      /* where write_amplification comes from, as "module" */
} arbiter_statistics;

/* The version of the library. */
const char *ARBITER_NONNULL arbiter_version(void);

/* Opens a runtime. `options` NULL is ARBITER_OPTIONS. Under `arbiter run` the runtime takes part in
 * that run: its scheme and controller, and not `options`, hold. Returns NULL on failure. */
arbiter_runtime *ARBITER_NULLABLE arbiter_open(const arbiter_options *ARBITER_NULLABLE options,
                                               arbiter_error *ARBITER_NULLABLE error);

/* Ends a runtime: its monitor and workers. NULL does nothing. */
void arbiter_close(arbiter_runtime *ARBITER_NULLABLE runtime);

/* The scheme in force. */
arbiter_scheme arbiter_scheme_in_force(const arbiter_runtime *ARBITER_NONNULL runtime);

/* Maps `byte_count` bytes of a file on any file system or of a device-DAX node, and makes or
 * extends the file where the flags allow. Room is really allocated. Returns NULL on failure. */
arbiter_region *ARBITER_NULLABLE arbiter_map(arbiter_runtime *ARBITER_NONNULL runtime,
                                             const char *ARBITER_NONNULL path, size_t byte_count,
                                             uint32_t flags, arbiter_error *ARBITER_NULLABLE error);

/* Unmaps a region. Nothing is made to survive by it. Returns ARBITER_OK or what closing the file
 * answered. */
int32_t arbiter_unmap(arbiter_region *ARBITER_NULLABLE region,
                      arbiter_error *ARBITER_NULLABLE error);

/* The first byte, aligned to a page. */
void *ARBITER_NONNULL arbiter_address(const arbiter_region *ARBITER_NONNULL region);

/* Bytes of the region, a multiple of a page. */
size_t arbiter_size(const arbiter_region *ARBITER_NONNULL region);

/* In which units stores have to be pushed. */
arbiter_granularity arbiter_region_granularity(const arbiter_region *ARBITER_NONNULL region);

/* Gives the calling thread a gate to the region. Returns NULL on failure. */
arbiter_thread *ARBITER_NULLABLE arbiter_attach(arbiter_region *ARBITER_NONNULL region,
                                                arbiter_error *ARBITER_NULLABLE error);

/* Gives the gate back, by the thread that attached. A thread that ends without it loses its gate
 * all the same, but not the few bytes of the handle. */
void arbiter_detach(arbiter_thread *ARBITER_NULLABLE thread);

/* Copies bytes into the region, as the scheme admits them; source and target may overlap. Returns
 * ARBITER_OK, ARBITER_INVALID_ARGUMENT where the target lies outside the region (nothing is
 * stored), or, with ARBITER_PERSIST on a file, ARBITER_SYSTEM. */
int32_t arbiter_write(arbiter_thread *ARBITER_NONNULL thread, void *ARBITER_NONNULL target,
                      const void *ARBITER_NONNULL source, size_t byte_count, uint32_t flags);

/* As arbiter_write, with bytes of one value. */
int32_t arbiter_fill(arbiter_thread *ARBITER_NONNULL thread, void *ARBITER_NONNULL target,
                     int32_t value, size_t byte_count, uint32_t flags);

/* Stores eight bytes that survive together; `target` is aligned to 8. */
int32_t arbiter_store_u64(arbiter_thread *ARBITER_NONNULL thread,
                          uint64_t *ARBITER_NONNULL target, uint64_t value, uint32_t flags);

/* Begins the write-back of what the program itself stored into the range. */
int32_t arbiter_flush(arbiter_thread *ARBITER_NONNULL thread, const void *ARBITER_NONNULL start,
                      size_t byte_count);

/* Waits for this thread's writes and flushes. */
void arbiter_drain(arbiter_thread *ARBITER_NONNULL thread);

/* Makes the range survive. */
int32_t arbiter_persist(arbiter_thread *ARBITER_NONNULL thread, const void *ARBITER_NONNULL start,
                        size_t byte_count);

/* Makes the range survive as far into the medium as the platform can be told to. */
int32_t arbiter_persist_deeply(arbiter_region *ARBITER_NONNULL region,
                               const void *ARBITER_NONNULL start, size_t byte_count,
                               arbiter_error *ARBITER_NULLABLE error);

/* Copies bytes out of the region; a media error or a file that was cut short is ARBITER_MEDIA_ERROR
 * or ARBITER_TRUNCATED instead of a SIGBUS. Slower than a load: one system call. */
int32_t arbiter_read_checked(arbiter_region *ARBITER_NONNULL region, void *ARBITER_NONNULL target,
                             const void *ARBITER_NONNULL source, size_t byte_count,
                             arbiter_error *ARBITER_NULLABLE error);

/* What the threads did so far. `statistics->struct_bytes` says how much of it the caller knows. */
int32_t arbiter_read_statistics(const arbiter_runtime *ARBITER_NONNULL runtime,
                                arbiter_statistics *ARBITER_NONNULL statistics);

#ifdef __cplusplus
}
#endif

#ifdef __clang__
#pragma clang diagnostic pop
#endif

#endif
