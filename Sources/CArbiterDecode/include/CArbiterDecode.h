/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * From a sample of a thread to the access to memory that it stands for: instructions are decoded by
 * Zydis, starts of functions come from unwind tables through libdw. Both are found at run time.
 */
#ifndef CARBITERDECODE_H
#define CARBITERDECODE_H

#include <stdint.h>

/* How the access was found. */
enum {
  ARB_FOUND_NOTHING, /* no access could be told */
  ARB_FOUND_AT_IP,   /* the sampled instruction */
  ARB_FOUND_STRING,  /* a string instruction, its extent from its count register */
  ARB_FOUND_BEFORE,  /* an instruction shortly before, whose address registers still hold */
  ARB_FOUND_AFTER,   /* the next one in a straight line, whose address registers already hold */
};

/* An access to memory. */
typedef struct {
  uint64_t address; /* the lowest byte */
  uint64_t byte_count;
  uint32_t found;  /* ARB_FOUND_... */
  uint8_t is_store;
  uint8_t is_load;
  uint8_t is_non_temporal;
  uint8_t is_atomic;
} ArbAccess;

#endif
