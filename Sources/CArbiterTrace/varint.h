/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of seven bits a byte, the lowest first; the high bit says that another byte follows.
 */
#ifndef ARBITER_TRACE_VARINT_H
#define ARBITER_TRACE_VARINT_H

#include <stdint.h>

static inline uint8_t *put_varint(uint8_t *at, uint64_t value) {
  while (value >= 0x80) {
    *at++ = (uint8_t)(value | 0x80);
    value >>= 7;
  }
  *at++ = (uint8_t)value;
  return at;
}

/* Returns 0 where the bytes end before the number does, or the number has more than 64 bits. */
static inline int take_varint(const uint8_t **at, const uint8_t *end, uint64_t *value) {
  const uint8_t *next = *at;
  uint64_t sum = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (next == end) return 0;
    uint8_t byte = *next++;
    if (shift == 63 && byte > 1) return 0;
    sum |= (uint64_t)(byte & 0x7F) << shift;
    if (byte < 0x80) {
      *at = next;
      *value = sum;
      return 1;
    }
  }
  return 0;
}

/* Signed numbers near zero, of either sign, as small unsigned ones. */
static inline uint64_t zigzag(int64_t value) {
  return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline uint64_t unzigzag(uint64_t value) { return (value >> 1) ^ (0 - (value & 1)); }

#endif
