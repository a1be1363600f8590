/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * An operand in memory and the registers of a sample: the address.
 */
#include "decode.h"

#include <string.h>

uint16_t arb_operand_registers(const ArbOperand *operand) {
  uint16_t registers = 0;
  if (operand->base >= 0) registers |= (uint16_t)(1 << operand->base);
  if (operand->index >= 0) registers |= (uint16_t)(1 << operand->index);
  if (operand->flags & ARB_OPERAND_REPEATED) registers |= 1 << ARB_RCX;
  return registers;
}

/* Widens a string's access to its whole extent; one that would wrap stays one element. */
static void widen(ArbAccess *access, uint64_t count, int down) {
  const uint64_t width = access->byte_count;
  if (count > UINT64_MAX / width) return;
  const uint64_t before = (count - 1) * width;
  if (down) {
    if (before > access->address) return;
    access->address -= before;
  } else if (before > UINT64_MAX - width || access->address > UINT64_MAX - before - width) {
    return;
  }
  access->byte_count = count * width;
}

uint32_t arb_operand_access(
    const ArbOperand *operand, const ArbMachineState *state, ArbAccess *access) {
  const uint16_t flags = operand->flags;
  if (flags & ARB_OPERAND_OPAQUE) return ARB_REASON_VECTOR;
  if (flags & ARB_OPERAND_GS) return ARB_REASON_THREAD_LOCAL;
  if ((flags & ARB_OPERAND_FS) && state->fs_base == 0) return ARB_REASON_THREAD_LOCAL;
  uint64_t address = (uint64_t)operand->displacement;
  if (operand->base >= 0) address += state->registers[operand->base];
  if (operand->index >= 0) address += state->registers[operand->index] * operand->scale;
  uint64_t count = state->registers[ARB_RCX];
  if (flags & ARB_OPERAND_NARROW) {
    address &= UINT32_MAX;
    count &= UINT32_MAX;
  }
  if (flags & ARB_OPERAND_FS) address += state->fs_base;
  memset(access, 0, sizeof *access);
  access->address = address;
  access->byte_count = operand->byte_count;
  access->is_store = (flags & ARB_OPERAND_STORES) != 0;
  access->is_load = (flags & ARB_OPERAND_LOADS) != 0;
  access->is_non_temporal = (flags & ARB_OPERAND_NON_TEMPORAL) != 0;
  access->is_atomic = (flags & ARB_OPERAND_ATOMIC) != 0;
  if (flags & ARB_OPERAND_REPEATED) {
    if (count == 0) return ARB_REASON_NO_ACCESS;
    if (!(flags & ARB_OPERAND_STOPS)) widen(access, count, (state->flags & ARB_FLAG_DOWN) != 0);
  }
  return access->byte_count > 0 ? ARB_REASON_NONE : ARB_REASON_NO_ACCESS;
}
