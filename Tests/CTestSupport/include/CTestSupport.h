/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Means of proof for tests: allocations and system calls of one thread, counted, and a few system
 * calls that set the scene. Linking this target replaces malloc by one that counts.
 */
#ifndef CTESTSUPPORT_H
#define CTESTSUPPORT_H

#include <stdint.h>

/* 1 where allocations are counted: not under a sanitizer, which needs malloc for itself. */
int32_t arb_test_counts_allocations(void);

/* How often the calling thread has asked for memory. */
uint64_t arb_test_allocation_count(void);

/* From here on every system call of the calling thread is counted instead of carried out, until
 * the first, which ends the watch. Returns -errno where the kernel cannot do it. */
int64_t arb_test_watch_system_calls(void);

/* Ends the watch. Returns -1 where no system call was made, else the number of the first. */
int64_t arb_test_unwatch_system_calls(void);

/* A harmless system call. */
void arb_test_make_system_call(void);

/* Starts a process that registers with the control page, takes a permit of the set and then sleeps
 * until it is killed. Returns its number, or -1. */
int32_t arb_test_spawn_permit_holder(const char *_Nonnull page_path, uint32_t set_index);

/* How often a call executed an instruction. */
typedef struct {
  uint64_t clwb, clflushopt, clflush;
  uint64_t stream; /* stores past the cache */
  uint64_t fence;  /* sfence and mfence */
  uint64_t all;    /* of any kind */
} ArbTestInstructions;

/* Runs `body` in a child and counts what it executes, step by step. Returns -errno where this
 * system does not let a process step its child. */
int64_t arb_test_count_instructions(
    void (*_Nonnull body)(void *_Nullable context), void *_Nullable context,
    ArbTestInstructions *_Nonnull counts);

/* Lets the kernel believe that the page of a file at `offset` is lost (MADV_HWPOISON), as root; a
 * page of real memory is out of use until the next boot. Returns -errno where it cannot be. */
int64_t arb_test_lose_page(int descriptor, int64_t offset);

/* Adds the block of a file on DAX at `offset` to the bad blocks of its block device, as root, for
 * good. Returns -errno where that is impossible. */
int64_t arb_test_lose_block(int descriptor, int64_t offset);

/* The handler of a signal, as a number; for comparisons. */
int64_t arb_test_signal_handler(int number);

/* Mounts a tmpfs of the given size, as root. Returns -errno on failure. */
int64_t arb_test_mount_tmpfs(const char *_Nonnull folder, const char *_Nonnull options);

/* Unmounts what lies on the folder. */
int64_t arb_test_unmount(const char *_Nonnull folder);

/* Lets the calling thread act on files as the given user; returns the previous one. */
int64_t arb_test_set_file_user(uint32_t user);

#endif
