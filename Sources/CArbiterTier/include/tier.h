/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The file back-end's side inside a program: which of its memory is managed, and the mover.
 *
 * Nothing here allocates from the heap, and all of it may be called from inside an allocator. One
 * lock of the process guards the chunk table; the mover holds it while it changes mappings and not
 * while it copies. A call for memory that a migration is going on in waits for its end, which is
 * bounded by one chunk's copy.
 *
 * What a migration does. To slow memory: the islands are write-protected by userfaultfd, copied
 * into the slot, and the slot is mapped over them; readers go on while they are copied, writers
 * wait. To fast memory: fresh anonymous memory is made ready, an empty mapping that is registered
 * with userfaultfd is moved over the islands, so that whoever touches them waits, they are copied
 * from the file, and the fresh memory is moved over. Pages that a demotion leaves are the fresh
 * memory of the next promotions. Copies go through the kernel, so that memory which is gone or
 * poisoned is an error and not a signal.
 *
 * What is guaranteed. At every moment the program's addresses show its latest stores. A fork sees
 * what it would have seen: see arb_tier_fork_prepare.
 */
#ifndef ARBITER_TIER_H
#define ARBITER_TIER_H

#include "tier_page.h"

/* Joins a manager's page: maps it, takes a seat, opens userfaultfd. The descriptors stay the
 * caller's and may be closed afterwards. 0, or a negative errno with nothing left behind:
 * -EPROTO another version, -EPERM userfaultfd refused (then the page is joined all the same with
 * is_frozen, and memory is placed when it is mapped), -EUSERS no seat. */
int arb_tier_join(int page_fd, int slow_fd);

/* 1 while a page is joined. */
int arb_tier_is_joined(void);

/* Starts mover and watcher, if they do not run, and closes what arb_tier_join opened in the
 * caller's table of descriptors: the mover has one of its own. Not to be called from inside an
 * allocator, as a new thread allocates. A negative errno: then the page is no longer joined. */
int arb_tier_start(void);

/* The same from inside an allocator: the threads are ones that the C library does not know. */
int arb_tier_start_inside(void);

/* Puts plain anonymous memory, mapped just now and not yet touched, under management: chunks that
 * lie wholly inside begin in fast memory while the budget lasts, the others in slow memory.
 * Returns how many chunks began slow, or a negative errno (then nothing is managed). */
int64_t arb_tier_adopt(uint64_t start, uint64_t length, int protection, ArbTierSharing sharing);

/* The same for memory that may hold data, whose chunks are not managed yet: all begin fast, beyond
 * the budget if need be. 0, or a negative errno. */
int arb_tier_adopt_touched(uint64_t start, uint64_t length, int protection);

/* Bytes that both tiers of the joined page hold together. */
uint64_t arb_tier_capacity(void);

/* 1 if managed chunks overlap the range; without lock, and 0 for most memory after two loads. */
int arb_tier_overlaps(uint64_t start, uint64_t length);

/* Before the program unmaps a range or maps something else over it: chunks that overlap are no
 * longer managed; those that are only cut are brought home before. Ends with the lock held, so
 * that nothing moves until arb_tier_unlock after the real call. */
int arb_tier_release_begin(uint64_t start, uint64_t length);
void arb_tier_unlock(void);

/* Between the two, when the real call failed: the chunks stay under management. */
void arb_tier_release_failed(void);

/* Copies all slow islands of a range back into plain anonymous memory and takes its chunks out of
 * management: what follows is the kernel's business alone. -ENOMEM and others: as it was. */
int arb_tier_home(uint64_t start, uint64_t length);

/* What MADV_DONTNEED promises, for slow islands: they read as zero from now on. -EBUSY where a
 * fork still reads the slot. */
int arb_tier_discard(uint64_t start, uint64_t length);

/* mprotect, and what it did kept for later mappings. 0 or the call's own negative errno. */
int arb_tier_protect(uint64_t start, uint64_t length, int protection);

/* Holds chunks in place for a reason (ARB_TIER_HELD_...), or lets them go. */
void arb_tier_hold(uint64_t start, uint64_t length, uint8_t why, int is_held);

/* Holds everything, for good: something was opened that writes past page tables. */
void arb_tier_freeze(const char *_Nonnull why);

/* Around a fork; the lock is held in between. See fork.c. The child maps the slots of slow islands
 * privately, and they do not change while it lives; the parent brings an island home when it is
 * touched. So both go on with what was there, and see none of the other's stores. The child is not
 * managed until it joins anew; what it inherited stays right and where it is. */
void arb_tier_fork_prepare(void);
void arb_tier_fork_parent(void);
void arb_tier_fork_child(void);

/* 1 if a fork may have left slots mapped privately in the range, here or in the parent. Holds for
 * processes that are not joined, too. */
int arb_tier_private_overlaps(uint64_t start, uint64_t length);

/* Such memory becomes empty, as MADV_DONTNEED promises; what else lies in the range stays. */
int arb_tier_private_discard(uint64_t start, uint64_t length);

/* How a range is mapped that a fork may have left in several mappings: PROT_ bits, or a negative
 * errno where part of it is neither anonymous memory of one's own nor a slot, or the bits differ.
 * Mappings of which the kernel makes two, for where they were moved, are one to the program. */
int arb_tier_private_protection(uint64_t start, uint64_t length);

/* mremap has moved memory. */
void arb_tier_private_moved(uint64_t old, uint64_t new_place, uint64_t length);

/* 1 while a process lives that was forked from the one that had a seat and has not started another
 * program: asked of a lock that the kernel drops with the last memory map that inherited the
 * sentinel, by whoever has the slow file open. The manager does before it gives the slots of a seat
 * that was left to others. */
int arb_tier_seat_forks_live(int slow_fd, uint32_t seat);

/* One migration, done by the mover and waited for. */
void arb_tier_move(const ArbTierRequest *_Nonnull request, ArbTierOutcome *_Nonnull outcome);

#endif
