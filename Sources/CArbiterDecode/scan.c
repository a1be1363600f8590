/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a clock's sample at a place in code may stand for. The instruction that stalls is seldom the
 * sampled one: behind a store that waits the sample lands on what comes next, and between the load
 * and the store of a read-modify-write on the arithmetic.
 */
#include "decode.h"

#include <string.h>

/* Instructions at and ahead of `ip` in a straight line: what is at it, and the next store whose
 * address registers hold the same now. */
static void look_ahead(
    const ArbDecoder *decoder, const ArbCode *code, uint64_t ip, ArbPlace *place) {
  uint16_t writes = 0;
  uint64_t offset = ip - code->address;
  for (int passed = 0; passed <= ARB_AFTER_MAX && offset < code->count; passed++) {
    ArbInstruction instruction;
    const uint64_t at = code->address + offset;
    arb_instruction(decoder, code->bytes + offset, code->count - offset, at, &instruction);
    if (instruction.length == 0) return;
    if (passed == 0) {
      place->is_code = 1;
      place->at_count = instruction.operand_count;
      memcpy(place->at, instruction.operands, sizeof place->at);
    }
    if (instruction.is_barrier) return;
    if (instruction.operand_count > 0 && instruction.operands[0].flags & ARB_OPERAND_STORES) {
      const ArbOperand *store = &instruction.operands[0];
      if (passed == 0 || (store->flags & ARB_OPERAND_REPEATED)) return;
      place->has_after = (arb_operand_registers(store) & writes) == 0;
      place->after = *store;
      return;
    }
    writes |= instruction.writes;
    offset += instruction.length;
  }
}

static int may_be_stack(const ArbOperand *operand) {
  return operand->base == ARB_RSP || operand->base == ARB_RBP;
}

/* The nearest access behind `ip` in a straight line, where its address can still be told. Past
 * those that may be of the stack it looks for one that is not: spills lie between everything. */
static void look_behind(
    const ArbDecoder *decoder, const ArbCode *code, uint64_t ip, ArbPlace *place) {
  uint64_t starts[ARB_BEFORE_MAX];
  uint16_t writes = 0;
  const size_t count = arb_starts_before(decoder, code, ip, starts);
  for (size_t index = 0; index < count; index++) {
    ArbInstruction instruction;
    const uint64_t offset = starts[index] - code->address;
    const uint64_t end = index == 0 ? ip : starts[index - 1];
    arb_instruction(
        decoder, code->bytes + offset, code->count - offset, starts[index], &instruction);
    if (instruction.length == 0 || starts[index] + instruction.length != end) return;
    if (instruction.is_barrier) return;
    writes |= instruction.writes;
    if (instruction.operand_count == 0) continue;
    const ArbOperand *operand = &instruction.operands[0];
    const int is_lost = (arb_operand_registers(operand) & writes) != 0;
    const int is_nearest = !place->has_before && place->reason == ARB_REASON_NONE;
    if (is_nearest) {
      if (is_lost) {
        place->reason = ARB_REASON_OVERWRITTEN;
      } else {
        place->has_before = 1;
        place->before = *operand;
      }
    } else if (!is_lost && (operand->flags & ARB_OPERAND_STORES) && !may_be_stack(operand)) {
      place->has_beyond = 1;
      place->beyond = *operand;
    }
    if (!may_be_stack(operand)) return;
  }
}

void arb_place(const ArbDecoder *decoder, const ArbCode *code, uint64_t ip, ArbPlace *place) {
  memset(place, 0, sizeof *place);
  if (ip < code->address || ip - code->address >= code->count) return;
  look_ahead(decoder, code, ip, place);
  if (place->is_code) look_behind(decoder, code, ip, place);
}
