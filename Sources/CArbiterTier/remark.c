/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the manager is told in words: one line for each kind of trouble, without the heap. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <string.h>

static size_t append(char *line, size_t used, const char *text) {
  while (*text != 0 && used + 1 < ARB_TIER_REMARK_BYTES) line[used++] = *text++;
  return used;
}

static size_t append_number(char *line, size_t used, uint32_t number) {
  char digits[12];
  size_t count = sizeof digits - 1;
  digits[count] = 0;
  do {
    digits[--count] = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  return append(line, used, digits + count);
}

void arb_tier_remark(ArbTierRemarkKind kind, const char *text, int error) {
  ArbTierState *state = &arb_tier_state;
  if (state->seat == NULL) return;
  uint32_t bit = 1u << kind;
  if ((__atomic_fetch_or(&state->remark_kinds, bit, __ATOMIC_RELAXED) & bit) != 0) return;
  char line[ARB_TIER_REMARK_BYTES];
  size_t used = append(line, 0, text);
  if (error != 0) {
    const char *name = strerrorname_np(error);
    used = append(line, used, " (");
    if (name != NULL) used = append(line, used, name);
    else used = append_number(line, used, (uint32_t)error);
    used = append(line, used, ")");
  }
  line[used] = 0;
  /* A place of its own for each, while the kinds are no more than the lines; acquire and release,
   * so that one who counts finds all lines before whole. */
  static uint32_t writer;
  while (__atomic_exchange_n(&writer, 1, __ATOMIC_ACQUIRE) != 0) {}
  uint32_t count = state->seat->remark_count;
  memcpy(state->seat->remarks[count % ARB_TIER_REMARK_COUNT], line, used + 1);
  __atomic_store_n(&state->seat->remark_count, count + 1, __ATOMIC_RELEASE);
  __atomic_store_n(&writer, 0, __ATOMIC_RELEASE);
}
