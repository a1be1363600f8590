/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where the instructions before an address begin. Instructions have no marks: forward from a known
 * start it is certain; without one, starts at every byte behind vote, because decoding from a wrong
 * start falls in step with the code after a few instructions.
 */
#include "decode.h"

/* Starts nearer than this are still out of step too often to vote. */
#define ARB_VOTE_AWAY 16
/* Fewer votes decide nothing. */
#define ARB_VOTERS_MIN 8
/* Starts that are looked for: some more than are asked for, to see what branches over those. */
#define ARB_START_MAX (2 * ARB_BEFORE_MAX)

static ArbStep step_at(const ArbDecoder *decoder, const ArbCode *code, uint64_t at) {
  const uint64_t offset = at - code->address;
  return arb_step(decoder, code->bytes + offset, code->count - offset);
}

/* Forward from `code->start`, which must meet `ip`. */
static size_t from_start(
    const ArbDecoder *decoder, const ArbCode *code, uint64_t ip, uint64_t *starts) {
  uint64_t recent[ARB_START_MAX];
  size_t passed = 0;
  uint64_t at = code->start;
  while (at < ip) {
    const ArbStep step = step_at(decoder, code, at);
    if (step.length == 0) return 0;
    recent[passed++ % ARB_START_MAX] = at;
    at += step.length;
  }
  if (at != ip) return 0;
  const size_t count = passed < ARB_START_MAX ? passed : ARB_START_MAX;
  for (size_t index = 0; index < count; index++) {
    starts[index] = recent[(passed - 1 - index) % ARB_START_MAX];
  }
  return count;
}

/* The start of the last instruction before offset `end` on which three quarters of the starts agree
 * that meet `end`; -1 where they do not. */
static int elected(const uint8_t *lengths, int end) {
  int16_t last[ARB_VOTE_MAX];
  uint8_t votes[ARB_VOTE_MAX] = {0};
  int voters = 0;
  for (int at = end - 1; at >= 0; at--) {
    const int next = at + lengths[at];
    last[at] = -1;
    if (lengths[at] == 0 || next > end) continue;
    last[at] = (int16_t)(next == end ? at : last[next]);
    if (last[at] < 0 || end - at < ARB_VOTE_AWAY) continue;
    votes[last[at]]++;
    voters++;
  }
  if (voters < ARB_VOTERS_MIN) return -1;
  for (int at = 0; at < end; at++) {
    if (votes[at] * 4 >= voters * 3) return at;
  }
  return -1;
}

static size_t by_vote(
    const ArbDecoder *decoder, const ArbCode *code, uint64_t ip, uint64_t *starts) {
  const uint64_t behind = ip - code->address;
  const int window = behind < ARB_VOTE_MAX ? (int)behind : ARB_VOTE_MAX;
  const uint64_t first = ip - (uint64_t)window;
  uint8_t lengths[ARB_VOTE_MAX];
  for (int at = 0; at < window; at++) {
    lengths[at] = step_at(decoder, code, first + (uint64_t)at).length;
  }
  size_t count = 0;
  for (int end = window; count < ARB_START_MAX; count++) {
    end = elected(lengths, end);
    if (end < 0) break;
    starts[count] = first + (uint64_t)end;
  }
  return count;
}

/* Where up to `ip` a branch at `at` leads; 0 where it does not. */
static uint64_t landing_of(ArbStep step, uint64_t at, uint64_t ip) {
  const uint64_t target = at + step.length + (uint64_t)step.distance;
  return step.distance != 0 && target <= ip ? target : 0;
}

/* Where the code ahead first comes back to `ip` or before it: the head of the innermost loop. What
 * lies before the head was executed once, and the loop many times. 0: it does not come back. */
static uint64_t loop_head(const ArbDecoder *decoder, const ArbCode *code, uint64_t ip) {
  const uint64_t end = code->address + code->count;
  for (uint64_t at = ip; at < end;) {
    const ArbStep step = step_at(decoder, code, at);
    const uint64_t landing = landing_of(step, at, ip);
    if (landing != 0 || step.length == 0 || step.is_end) return landing;
    at += step.length;
  }
  return 0;
}

size_t arb_starts_before(
    const ArbDecoder *decoder, const ArbCode *code, uint64_t ip, uint64_t *starts) {
  uint64_t found[ARB_START_MAX];
  size_t count = 0;
  /* At a known start nothing lies before in a straight line that could be told from a jump. */
  if (code->start == ip) return 0;
  if (code->start >= code->address && code->start < ip && ip - code->start <= ARB_STRAIGHT_MAX) {
    count = from_start(decoder, code, ip, found);
  }
  if (count == 0) count = by_vote(decoder, code, ip, found);
  uint64_t landing = loop_head(decoder, code, ip);
  for (size_t index = 0; index < count; index++) {
    const ArbStep step = step_at(decoder, code, found[index]);
    const uint64_t over = landing_of(step, found[index], ip);
    if (over > landing) landing = over;
  }
  if (count > ARB_BEFORE_MAX) count = ARB_BEFORE_MAX;
  while (count > 0 && found[count - 1] < landing) count--;
  for (size_t index = 0; index < count; index++) starts[index] = found[index];
  return count;
}
