/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the manager of a tier page does beside what tier_page.h has: it makes the page, reads what
 * others write, and asks the kernel what it permits. Nothing here waits. */
#ifndef ARBITER_TIER_MANAGER_H
#define ARBITER_TIER_MANAGER_H

#include "tier_page.h"

#include <malloc.h>

/* Makes a page in a memfd whose size is sealed, and maps it: its descriptor, closed on exec, or a
 * negative errno. `*page` is to be unmapped by arb_tier_page_close, with the
 * same sizes. */
int64_t arb_tier_page_open(
    uint32_t slot_count, uint32_t chunk_capacity, void *_Nullable *_Nonnull page);
void arb_tier_page_close(void *_Nonnull page, ArbTierSizes sizes, int descriptor);

/* Tells the programs that the manager lives. */
void arb_tier_beat(void *_Nonnull page, uint64_t now_ns);

/* Words of a seat, each as it was at some moment of the call. */
typedef struct {
  ArbTierCounts counts;
  uint64_t start_ticks;
  uint64_t generation;
  uint64_t fast_bytes;
  int32_t process;
  uint32_t state;
  uint32_t chunk_high;
  uint32_t is_frozen;
  uint32_t remark_count;
  uint32_t outcome_count; /* that wait to be taken */
} ArbTierSeatWords;

void arb_tier_seat_words(const ArbTierSeat *_Nonnull seat, ArbTierSeatWords *_Nonnull words);

/* Copies entries of a seat's table; one that changes meanwhile may be half old and half new, which
 * its generation gives away when a request names it. */
void arb_tier_read_chunks(
    const ArbTierChunk *_Nonnull chunks, uint32_t first, uint32_t count,
    ArbTierChunk *_Nonnull copies);

/* Copies the remark of a number, ended by zero; 0 where it was written over already. */
int arb_tier_read_remark(
    const ArbTierSeat *_Nonnull seat, uint32_t number, char *_Nonnull text);

/* Seats that were ever claimed. */
uint32_t arb_tier_seat_high(const void *_Nonnull page);

/* Who holds a taken seat, by the kernel's word: its mover lives, is gone, or has not begun. */
enum { ARB_TIER_OWNER_LIVES, ARB_TIER_OWNER_GONE, ARB_TIER_OWNER_NONE };
int arb_tier_seat_owner(const ArbTierSeat *_Nonnull seat);

/* Marks a seat whose process is gone as LEFT. */
void arb_tier_seat_leave(ArbTierSeat *_Nonnull seat);

/* Lets nothing move of a seat any more. */
void arb_tier_seat_freeze(ArbTierSeat *_Nonnull seat);

/* What userfaultfd permits here: 2 where the kernel's own accesses wait too, 1 where only those of
 * user code do, or a negative errno. `*features` are the kernel's. */
int64_t arb_tier_probe_userfaultfd(uint64_t *_Nonnull features);

/* The kernel's bits that a migration needs. */
uint64_t arb_tier_needed_features(void);

/* Sets the length of an open file without touching its medium: 0, or a negative errno. */
int64_t arb_tier_set_length(int descriptor, uint64_t length);

/* CLOCK_MONOTONIC, in nanoseconds. */
int64_t arb_tier_now_ns(void);

/* Bytes of this process's heap that are in use. */
static inline uint64_t arb_tier_heap_bytes(void) {
  struct mallinfo2 facts = mallinfo2();
  return (uint64_t)facts.uordblks + (uint64_t)facts.hblkhd;
}

#endif
