/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which of the accesses at a place a sample stands for. Right before many: an access that a nearer
 * one speaks against is not taken, and each says how it was found.
 */
#include "decode.h"

/* The longest string that is believed. */
#define ARB_STRING_MAX (UINT64_C(1) << 40)

/* Below the stack pointer lies the red zone; above, nobody else within a page or so. */
#define ARB_STACK_BELOW 256
#define ARB_STACK_ABOVE 4096

static int is_stack(const ArbAccess *access, const ArbMachineState *state) {
  const uint64_t low = state->registers[ARB_RSP] - ARB_STACK_BELOW;
  return access->address - low < ARB_STACK_BELOW + ARB_STACK_ABOVE;
}

static int overlap(const ArbAccess *one, const ArbAccess *other) {
  return one->address - other->address < other->byte_count ||
         other->address - one->address < one->byte_count;
}

/* The accesses of the sampled instruction. */
int arb_choose_at(
    const ArbPlace *place, const ArbMachineState *state, ArbAccess *accesses, uint32_t *reason) {
  int count = 0;
  *reason = place->is_code ? ARB_REASON_NO_ACCESS : ARB_REASON_NOT_CODE;
  for (uint8_t index = 0; index < place->at_count; index++) {
    const ArbOperand *operand = &place->at[index];
    const uint32_t why = arb_operand_access(operand, state, &accesses[count]);
    if (why != ARB_REASON_NONE) {
      *reason = why;
      continue;
    }
    const int is_string = (operand->flags & ARB_OPERAND_STRING) != 0;
    accesses[count].found = is_string ? ARB_FOUND_STRING : ARB_FOUND_AT_IP;
    count++;
  }
  if (count > 0) *reason = ARB_REASON_NONE;
  return count;
}

/* The access behind: the nearest, or the one beyond it where that one is of the stack. */
static uint32_t choose_behind(
    const ArbPlace *place, const ArbMachineState *state, ArbAccess *access) {
  uint32_t why = place->reason == ARB_REASON_NONE ? ARB_REASON_NO_ACCESS : place->reason;
  int has_nearest = 0;
  if (place->has_before) {
    why = arb_operand_access(&place->before, state, access);
    has_nearest = why == ARB_REASON_NONE;
    if (!has_nearest || !is_stack(access, state)) {
      access->found = ARB_FOUND_BEFORE;
      return why;
    }
  }
  ArbAccess beyond;
  if (place->has_beyond &&
      arb_operand_access(&place->beyond, state, &beyond) == ARB_REASON_NONE) {
    *access = beyond;
    why = ARB_REASON_NONE;
  }
  access->found = ARB_FOUND_BEFORE;
  return why;
}

/* The next store: a load at or behind the sample must be of the same memory, or it is the load that
 * takes the time. */
static int choose_after(
    const ArbPlace *place, const ArbMachineState *state, const ArbAccess *load, ArbAccess *access) {
  if (!place->has_after) return 0;
  if (arb_operand_access(&place->after, state, access) != ARB_REASON_NONE) return 0;
  access->found = ARB_FOUND_AFTER;
  return load == NULL || overlap(access, load);
}

int arb_choose(
    const ArbPlace *place, const ArbMachineState *state, ArbAccess *accesses, uint32_t *reason) {
  uint32_t why_at;
  ArbAccess behind;
  const int at_count = arb_choose_at(place, state, accesses, &why_at);
  const int at_stores = at_count > 0 && accesses[0].is_store;
  const int at_stack = at_count > 0 && is_stack(&accesses[0], state);
  *reason = ARB_REASON_NONE;
  if (at_stores && !at_stack) return at_count;
  if (!place->is_code) {
    *reason = why_at;
    return 0;
  }
  const uint32_t why_behind = choose_behind(place, state, &behind);
  const int has_behind = why_behind == ARB_REASON_NONE;
  const int behind_stack = has_behind && is_stack(&behind, state);
  if (has_behind && behind.is_store && !(at_stores && behind_stack)) {
    accesses[0] = behind;
    return 1;
  }
  if (at_stores) return at_count;
  /* From here on no store was found at or behind; loads are what may have taken the time. */
  const int use_behind = has_behind && (at_count == 0 || (at_stack && !behind_stack));
  if (use_behind) accesses[0] = behind;
  const int count = use_behind ? 1 : at_count;
  ArbAccess after;
  const int is_unknown = why_behind == ARB_REASON_OVERWRITTEN ||
                         why_behind == ARB_REASON_VECTOR || why_at == ARB_REASON_VECTOR ||
                         why_behind == ARB_REASON_THREAD_LOCAL ||
                         why_at == ARB_REASON_THREAD_LOCAL;
  if ((count > 0 || !is_unknown) &&
      choose_after(place, state, count > 0 ? &accesses[0] : NULL, &after)) {
    accesses[0] = after;
    return 1;
  }
  if (count == 0) *reason = why_at != ARB_REASON_NO_ACCESS ? why_at : why_behind;
  return count;
}

/* Which operands of the sampled instruction lie at the sample's address, a bit each. */
static unsigned matching(
    const ArbPlace *place, const ArbSample *sample, const ArbMachineState *state) {
  unsigned found = 0;
  if (!(sample->has & ARB_SAMPLE_REGISTERS)) return 0;
  for (uint8_t index = 0; index < place->at_count; index++) {
    ArbAccess access;
    if (arb_operand_access(&place->at[index], state, &access) == ARB_REASON_NONE &&
        sample->address - access.address < access.byte_count) {
      found |= 1U << index;
    }
  }
  return found;
}

/* How far a repeated string has got from the sample's address, by its pointer behind the
 * instruction; 0 where the address is not of this operand. The count register does not tell: it is
 * what was left, 0 of every string that was completed. */
static uint64_t passed_bytes(const ArbOperand *operand, const ArbSample *sample) {
  if (operand->base < 0 || operand->byte_count == 0) return 0;
  uint64_t pointer = sample->registers[operand->base];
  if (operand->flags & ARB_OPERAND_NARROW) pointer &= UINT32_MAX;
  const uint64_t passed =
      sample->flags & ARB_FLAG_DOWN ? sample->address - pointer : pointer - sample->address;
  return passed <= ARB_STRING_MAX && passed % operand->byte_count == 0 ? passed : 0;
}

/* A repeated string of which the registers behind it are known: of a copy the operand whose pointer
 * is nearest behind the address, since the other's memory does not lie between. */
static void widen_passed(const ArbPlace *place, const ArbSample *sample, ArbAccess *access) {
  uint64_t nearest = 0;
  uint64_t width = 0;
  for (uint8_t index = 0; index < place->at_count; index++) {
    if (!(place->at[index].flags & ARB_OPERAND_REPEATED)) continue;
    const uint64_t passed = passed_bytes(&place->at[index], sample);
    if (passed == 0 || (nearest != 0 && passed >= nearest)) continue;
    nearest = passed;
    width = place->at[index].byte_count;
  }
  if (nearest <= width) return;
  if (sample->flags & ARB_FLAG_DOWN) {
    if (nearest - width > sample->address) return;
    access->address = sample->address - (nearest - width);
  } else if (sample->address > UINT64_MAX - nearest) {
    return;
  }
  access->byte_count = nearest;
}

int arb_choose_addressed(
    const ArbPlace *place, const ArbSample *sample, uint64_t fs_base, ArbAccess *accesses,
    uint32_t *reason) {
  const ArbMachineState state = {sample->registers, sample->flags, fs_base};
  *reason = place->is_code ? ARB_REASON_NO_ACCESS : ARB_REASON_NOT_CODE;
  if (place->at_count == 0) return 0;
  unsigned chosen = matching(place, sample, &state);
  if (chosen == 0) chosen = (1U << place->at_count) - 1;
  ArbAccess sum = {.address = sample->address, .found = ARB_FOUND_AT_IP};
  for (uint8_t index = 0; index < place->at_count; index++) {
    if (!(chosen & 1U << index)) continue;
    ArbOperand operand = place->at[index];
    ArbAccess one;
    /* The address is known; what remains is the width, and the extent of a string. */
    operand.base = operand.index = -1;
    operand.displacement = (int64_t)sample->address;
    operand.flags &= (uint16_t)~(ARB_OPERAND_OPAQUE | ARB_OPERAND_FS | ARB_OPERAND_GS |
                                 ARB_OPERAND_NARROW);
    if (operand.flags & ARB_OPERAND_STRING) sum.found = ARB_FOUND_STRING;
    if (!(sample->has & ARB_SAMPLE_REGISTERS) || sample->registers[ARB_RCX] == 0) {
      operand.flags &= (uint16_t)~ARB_OPERAND_REPEATED;
    }
    if (arb_operand_access(&operand, &state, &one) != ARB_REASON_NONE) continue;
    if (one.byte_count > sum.byte_count) {
      sum.byte_count = one.byte_count;
      sum.address = one.address;
    }
    sum.is_store |= one.is_store;
    sum.is_load |= one.is_load;
    sum.is_non_temporal |= one.is_non_temporal;
    sum.is_atomic |= one.is_atomic;
  }
  if (sum.byte_count == 0) return 0;
  if (sample->has & ARB_SAMPLE_REGISTERS_AFTER) widen_passed(place, sample, &sum);
  *reason = ARB_REASON_NONE;
  accesses[0] = sum;
  return 1;
}
