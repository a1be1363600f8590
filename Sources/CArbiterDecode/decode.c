/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The functions of the header that need no tables.
 */
#include "decode.h"

_Static_assert(sizeof(ArbAccess) == 24, "accesses have no gaps");
_Static_assert(sizeof(ArbOperand) == 16, "operands have no gaps");

int arb_decode_at(
    const ArbDecoder *decoder, const uint8_t *code, size_t count, uint64_t ip,
    const ArbMachineState *state, ArbAccess accesses[ARB_ACCESS_MAX], uint32_t *reason) {
  ArbInstruction instruction;
  ArbPlace place = {0};
  arb_instruction(decoder, code, count, ip, &instruction);
  place.is_code = instruction.length > 0;
  place.at_count = instruction.operand_count;
  for (uint8_t index = 0; index < place.at_count; index++) {
    place.at[index] = instruction.operands[index];
  }
  return arb_choose_at(&place, state, accesses, reason);
}

int arb_decode_around(
    const ArbDecoder *decoder, const ArbCode *code, uint64_t ip, const ArbMachineState *state,
    ArbAccess accesses[ARB_ACCESS_MAX], uint32_t *reason) {
  ArbPlace place;
  arb_place(decoder, code, ip, &place);
  return arb_choose(&place, state, accesses, reason);
}
