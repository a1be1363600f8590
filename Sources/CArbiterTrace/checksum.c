/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32 eight bytes at a time. Chosen because every language has it; it finds every damage of up
 * to 32 bits in a row.
 */
#include <string.h>

#include "trace_file.h"

/* tables[k][b]: what byte b does k bytes later. */
static uint32_t tables[8][256];

/* Before main, and so before any thread: the tables are never written again. */
__attribute__((constructor)) static void fill_tables(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t rest = byte;
    for (int bit = 0; bit < 8; bit++) rest = (rest >> 1) ^ (0xEDB88320u & (0 - (rest & 1)));
    tables[0][byte] = rest;
  }
  for (int later = 1; later < 8; later++) {
    for (uint32_t byte = 0; byte < 256; byte++) {
      uint32_t before = tables[later - 1][byte];
      tables[later][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
}

uint32_t arb_trace_checksum(const uint8_t *bytes, size_t count) {
  uint32_t sum = 0xFFFFFFFFu;
  for (; count >= 8; bytes += 8, count -= 8) {
    uint64_t word;
    memcpy(&word, bytes, 8); /* x86 is little-endian */
    word ^= sum;
    sum = tables[7][word & 0xFF] ^ tables[6][word >> 8 & 0xFF] ^ tables[5][word >> 16 & 0xFF] ^
          tables[4][word >> 24 & 0xFF] ^ tables[3][word >> 32 & 0xFF] ^
          tables[2][word >> 40 & 0xFF] ^ tables[1][word >> 48 & 0xFF] ^ tables[0][word >> 56];
  }
  for (; count > 0; bytes++, count--) sum = (sum >> 8) ^ tables[0][(sum ^ *bytes) & 0xFF];
  return ~sum;
}
