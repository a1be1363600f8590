/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A model of what a power cut can leave of an area of persistent memory under ADR, fed with the
 * events of a recording.
 *
 *   - A store is in the cache. Its line may be evicted at any moment: the medium may have any
 *     prefix of the stores to that line, whatever it has of other lines.
 *   - A write-back promises, from the next fence of the same processor on, every store to the line
 *     that came before the write-back. clflush promises at once.
 *   - A non-temporal store is promised from the next fence of its processor on; before that it may
 *     or may not have arrived, independently of any other.
 *   - 8 aligned bytes arrive whole or not at all; a store across such a border is torn there.
 *
 * Not modelled: the order in which several processors' racing stores to one word arrive.
 */
#ifndef ARBITER_VM_CRASH_IMAGES_H
#define ARBITER_VM_CRASH_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../Programs/CAppendLog/include/append_log.h"

#define LOG_COUNT_MAX 4

struct medium;

/* What a replay has seen so far. */
struct tally {
  uint64_t stores, stores_nt, write_backs, fences, acknowledged;
  uint64_t cuts;       /* places at which the power was cut */
  uint64_t images;     /* distinct images at those, each checked */
  uint64_t violations; /* images that are wrong */
  uint64_t first_cut;
  char first[120]; /* what is wrong with the first of them */
};

/* Makes an empty area; NULL without memory. */
struct medium *medium_make(
    size_t byte_count, unsigned int log_count, uint64_t images_per_cut, uint64_t seed);
void medium_free(struct medium *medium);

/* Takes the next event, after a cut if it is a fence; false if the event makes no sense. */
bool medium_apply(struct medium *medium, const struct arb_event *event);

/* Cuts the power here, and checks the images. */
void medium_cut(struct medium *medium);

/* Lines in which the state with everything arrived differs from the given bytes. */
uint64_t medium_difference(struct medium *medium, const uint8_t *bytes);

const struct tally *medium_tally(const struct medium *medium);

#endif
