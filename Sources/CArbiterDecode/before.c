/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where the instructions before an address begin. Instructions have no marks: forward from a known
 * start it is certain; without one, starts at every byte behind vote, because decoding from a wrong
 * start falls in step with the code after a few instructions.
 */
#include "decode.h"

#include <string.h>

/* Starts nearer than this are still out of step too often to vote. */
#define ARB_VOTE_AWAY 16
/* Fewer votes decide nothing. */
#define ARB_VOTERS_MIN 8

/* Forward from `code->start`, which must meet `ip`. */
static size_t from_start(
    const ArbDecoder *decoder, const ArbCode *code, uint64_t ip, uint64_t *starts) {
  uint64_t recent[ARB_BEFORE_MAX];
  size_t passed = 0;
  uint64_t at = code->start;
  while (at < ip) {
    const uint64_t offset = at - code->address;
    const uint8_t length =
        arb_instruction_length(decoder, code->bytes + offset, code->count - offset);
    if (length == 0) return 0;
    recent[passed++ % ARB_BEFORE_MAX] = at;
    at += length;
  }
  if (at != ip) return 0;
  const size_t count = passed < ARB_BEFORE_MAX ? passed : ARB_BEFORE_MAX;
  for (size_t index = 0; index < count; index++) {
    starts[index] = recent[(passed - 1 - index) % ARB_BEFORE_MAX];
  }
  return count;
}

/* The start of the last instruction before offset `end` on which three quarters of the starts agree
 * that meet `end`; -1 where they do not. */
static int elected(const uint8_t *lengths, int first, int end) {
  int16_t last[ARB_VOTE_MAX];
  uint8_t votes[ARB_VOTE_MAX] = {0};
  int voters = 0;
  for (int at = end - 1; at >= first; at--) {
    const int next = at + lengths[at];
    last[at] = -1;
    if (lengths[at] == 0 || next > end) continue;
    last[at] = (int16_t)(next == end ? at : last[next]);
    if (last[at] < 0 || end - at < ARB_VOTE_AWAY) continue;
    votes[last[at]]++;
    voters++;
  }
  if (voters < ARB_VOTERS_MIN) return -1;
  for (int at = first; at < end; at++) {
    if (votes[at] * 4 >= voters * 3) return at;
  }
  return -1;
}

static size_t by_vote(
    const ArbDecoder *decoder, const ArbCode *code, uint64_t ip, uint64_t *starts) {
  const uint64_t behind = ip - code->address;
  const int window = behind < ARB_VOTE_MAX ? (int)behind : ARB_VOTE_MAX;
  const uint64_t first = behind - (uint64_t)window;
  uint8_t lengths[ARB_VOTE_MAX];
  for (int at = 0; at < window; at++) {
    const uint64_t offset = first + (uint64_t)at;
    lengths[at] = arb_instruction_length(decoder, code->bytes + offset, code->count - offset);
  }
  size_t count = 0;
  for (int end = window; count < ARB_BEFORE_MAX; count++) {
    end = elected(lengths, 0, end);
    if (end < 0) break;
    starts[count] = code->address + first + (uint64_t)end;
  }
  return count;
}

size_t arb_starts_before(
    const ArbDecoder *decoder, const ArbCode *code, uint64_t ip, uint64_t *starts) {
  if (code->start >= code->address && code->start < ip && ip - code->start <= ARB_STRAIGHT_MAX) {
    const size_t count = from_start(decoder, code, ip, starts);
    if (count > 0) return count;
  }
  /* At a known start nothing lies before in a straight line that could be told from a jump. */
  if (code->start == ip) return 0;
  return by_vote(decoder, code, ip, starts);
}
