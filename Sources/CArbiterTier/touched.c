/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Memory that holds data already, when the last piece of a chunk is mapped. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <errno.h>

uint64_t arb_tier_capacity(void) {
  const ArbTierHeader *header = arb_tier_state.header;
  if (header == NULL) return 0;
  return header->fast_bytes + (uint64_t)arb_tier_state.slot_count * ARB_TIER_CHUNK_BYTES;
}

int arb_tier_adopt_touched(uint64_t start, uint64_t length, int protection) {
  if (!arb_tier_is_joined()) return -ENOTCONN;
  int answer = 0;
  arb_tier_lock_quiet(start, length);
  uint64_t end = start + length;
  for (uint64_t at = start; at + ARB_TIER_CHUNK_BYTES <= end; at += ARB_TIER_CHUNK_BYTES) {
    if (arb_tier_find(at) != ARB_TIER_NONE) continue;
    uint32_t index = arb_tier_add(at);
    if (index == ARB_TIER_NONE) {
      answer = -ENOSPC;
      break;
    }
    arb_tier_state.chunks[index].protection = (uint8_t)protection;
    arb_tier_state.chunks[index].sharing = ARB_TIER_PRIVATE;
    arb_tier_note_islands(index, 0);
  }
  arb_tier_unlock();
  return answer;
}
