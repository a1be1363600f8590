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

/* Mounts a tmpfs of the given size, as root. Returns -errno on failure. */
int64_t arb_test_mount_tmpfs(const char *_Nonnull folder, const char *_Nonnull options);

/* Unmounts what lies on the folder. */
int64_t arb_test_unmount(const char *_Nonnull folder);

/* Lets the calling thread act on files as the given user; returns the previous one. */
int64_t arb_test_set_file_user(uint32_t user);

#endif
