/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the files of `migrate` share: a manager, and memory under its management. */
#ifndef MIGRATE_H
#define MIGRATE_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "CArbiterTier.h"

#define CHUNK ARB_TIER_CHUNK_BYTES
#define CHUNKS 12u
#define FAST 6u
#define SLOTS 64u
#define LINES (CHUNKS * CHUNK / 64)

extern ArbTierHeader *header;
extern ArbTierSeat *seat;
extern ArbTierChunk *chunks;
extern char *memory;
extern uint64_t state_word;
extern double seconds;
extern const char *slow_path;

/* Says what is wrong, with all remarks, and ends the process. */
void fail(const char *format, ...);
uint64_t next_random(uint64_t *word);
double now(void);

void join(uint32_t options);
void adopt(int protection, ArbTierSharing sharing);
ArbTierOutcome move(uint32_t chunk, uint64_t islands, ArbTierDestination destination);
void expect(ArbTierOutcome outcome, ArbTierStatus status, const char *what);
/* Slots of the page that join makes; SLOTS unless a case says otherwise before. */
extern uint32_t slot_count;

/* The budget is what the table says, and slots are held where something is slow. */
void check_books(void);
/* Makes the budget larger by some chunks. */
void give(int64_t count);

/* migrate_cases.c */

/* Joins, and adopts memory that holds what check_filled knows. */
void prepare(void);
void check_filled(uint64_t first, uint64_t count);
void no_room(void);
void no_slot(void);
void no_memory(void);
void cut_file(void);
void unseen(void);
void descriptors(void);
void ranges(void);

/* migrate_pool.c */
void pool_bound(void);
void pool_bytes(void);
void pool_fork(void);
void pool_unmap(void);
void pool_back(void);
void between(void);

#endif
