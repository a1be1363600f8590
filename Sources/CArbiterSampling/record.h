/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads single records of a ring; for ring.c.
 */
#ifndef ARBITER_RECORD_H
#define ARBITER_RECORD_H

#include "ring.h"

#include <stdint.h>
#include <string.h>

/* A record in one piece, behind its header. */
typedef struct {
  const uint8_t *body;
  uint64_t size; /* of the body */
  uint32_t type; /* PERF_RECORD_... */
  uint16_t misc;
} ArbRecord;

/* The word at a place, which lies within the body. */
static inline uint64_t arb_record_word(const ArbRecord *record, uint64_t place) {
  uint64_t word;
  memcpy(&word, record->body + place, sizeof word);
  return word;
}

/* Reads a sample; 0 where the record is too short for its format. */
int arb_record_sample(const ArbRecord *record, const ArbFormat *format, ArbSample *sample);

/* Reads what happened to a task; 0 where the record is too short. */
int arb_record_task(const ArbRecord *record, ArbTask *task);

#endif
