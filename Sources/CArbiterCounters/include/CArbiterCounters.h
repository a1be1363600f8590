/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What Swift cannot reach of the counters: a library of function pointers that is found at run
 * time (libipmctl), and a system call with a structure of bit fields (perf_event_open). No policy,
 * and no state but what a handle names.
 */
#ifndef CARBITERCOUNTERS_H
#define CARBITERCOUNTERS_H

#include <stddef.h>
#include <stdint.h>

/* Modules, through libipmctl.
 *
 * The two layouts below are those of the library's ABI 5 (soname libipmctl.so.5, major version 3),
 * with names of our own; a test compares each offset and size with the library's header. Only what
 * Arbiter reads is named, the rest is padding.
 */

enum {
  ARB_MODULE_ABI_MAJOR = 3,
  ARB_MODULE_IDENTIFIER_BYTES = 22,
};

/* One module as the library lists it (there: device_discovery). */
typedef struct {
  uint8_t unread_a[4];
  /* The NFIT device handle, which the kernel shows as nmemN/nfit/handle. */
  uint32_t handle;
  uint8_t unread_b[14];
  uint16_t socket;
  uint8_t unread_c[146];
  /* The module's name in calls of the library, zero-terminated. */
  char identifier[ARB_MODULE_IDENTIFIER_BYTES];
  uint8_t unread_d[64];
} ArbModuleRecord;

/* A module's counts over its life (there: device_performance). Every count is in units of 64 B,
 * the media's too: a block of 256 B that the medium writes counts as four.
 */
typedef struct {
  int64_t unread_time;
  /* Reads from the medium (there: bytes_read, which is not in bytes). They include the reads that
   * belong to media writes: a 64 B read and a 64 B write count as 8 here and 4 below. */
  uint64_t media_reads;
  /* Read commands that the module served for the processor (there: host_reads). */
  uint64_t requested_reads;
  /* Writes to the medium (there: bytes_written, which is not in bytes). */
  uint64_t media_writes;
  /* Write commands that the module served for the processor (there: host_writes). */
  uint64_t requested_writes;
  /* Block-window counts, which the library itself calls invalid, and reserved bytes. */
  uint8_t unread_a[24];
} ArbModuleCounts;

/* The loaded library and its functions. */
typedef struct {
  void *_Nullable library;
  int (*_Nullable begin)(void);
  int (*_Nullable count)(unsigned int *_Nonnull);
  int (*_Nullable list)(ArbModuleRecord *_Nonnull, uint8_t);
  int (*_Nullable read)(const char *_Nonnull, ArbModuleCounts *_Nonnull);
  int (*_Nullable version)(void);
} ArbModuleLibrary;

/* What became of loading the library. */
enum {
  ARB_MODULE_LOADED = 0,
  ARB_MODULE_NO_LIBRARY = 1,
  ARB_MODULE_NO_FUNCTION = 2,
};

/* Loads the library of a name or path. Runs its code, and so only ever in the helper process. */
int arb_modules_load(ArbModuleLibrary *_Nonnull modules, const char *_Nonnull name);

/* The library's major version; -1 where it does not say. */
int arb_modules_version(const ArbModuleLibrary *_Nonnull modules);

/* Starts the library; 0 or its error. */
int arb_modules_begin(const ArbModuleLibrary *_Nonnull modules);

/* Counts the modules; 0 or the library's error. */
int arb_modules_count(const ArbModuleLibrary *_Nonnull modules, unsigned int *_Nonnull count);

/* Lists `count` modules; 0 or the library's error. */
int arb_modules_list(
    const ArbModuleLibrary *_Nonnull modules, ArbModuleRecord *_Nonnull records, uint8_t count);

/* Reads the counts of a module that was listed; 0 or the library's error. */
int arb_modules_read(
    const ArbModuleLibrary *_Nonnull modules, const ArbModuleRecord *_Nonnull record,
    ArbModuleCounts *_Nonnull counts);

/* Asks the kernel to kill the calling process when the thread that started it ends. */
int64_t arb_process_end_with_parent(void);

/* Lets a process that will be spawned have no descriptor from `first` on; 0 or an error. `actions`
 * is a posix_spawn_file_actions_t, unnamed here: with the static standard library Swift would take
 * the system's types that come with <spawn.h> for this module's own. */
int arb_spawn_close_from(void *_Nonnull actions, int first);

/* Opens a close-on-exec pipe that carries a helper's lines; the read end does not block. */
int64_t arb_pipe_open(int *_Nonnull read_end, int *_Nonnull write_end);

/* Events, through perf. Each returns -errno on failure. */

/* An event as the kernel's unit counts it. */
typedef struct {
  uint32_t type;
  uint64_t config;
  uint64_t config1;
  uint64_t config2;
} ArbEvent;

/* What a pair of events has counted, and how long it could. */
typedef struct {
  uint64_t enabled_nanoseconds;
  uint64_t running_nanoseconds;
  uint64_t first;
  uint64_t second;
} ArbEventCounts;

/* Counts an event of every task on a processor from now on. `leader` is the descriptor whose group
 * the event joins, -1 for a group of its own: a group is counted together or not at all. */
int64_t arb_event_open(const ArbEvent *_Nonnull event, int processor, int leader);

/* Reads the two counts of a group of two; -EBADMSG where the kernel answers otherwise. */
int64_t arb_event_read_pair(int leader, ArbEventCounts *_Nonnull counts);

#endif
