/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * One instruction, from its bytes to what it does to memory and registers.
 */
#include "decode.h"

#include <string.h>

/* The general register that holds `name`, -1 for another kind of register. */
static int8_t general(const ArbDecoder *decoder, ZydisRegister name) {
  ZydisRegister whole = decoder->enclosing(ZYDIS_MACHINE_MODE_LONG_64, name);
  if (whole < ZYDIS_REGISTER_RAX || whole > ZYDIS_REGISTER_R15) return -1;
  return (int8_t)(whole - ZYDIS_REGISTER_RAX);
}

/* Whether its operands in memory are named and neither read nor written. */
static int touches_nothing(const ZydisDecodedInstruction *instruction) {
  switch (instruction->meta.category) {
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_WIDENOP:
    case ZYDIS_CATEGORY_PREFETCH:
    case ZYDIS_CATEGORY_PREFETCHWT1:
    case ZYDIS_CATEGORY_CLFLUSHOPT:
    case ZYDIS_CATEGORY_CLWB:
    case ZYDIS_CATEGORY_CLDEMOTE:
    case ZYDIS_CATEGORY_MPX:
      return 1;
    default:
      break;
  }
  return instruction->mnemonic == ZYDIS_MNEMONIC_CLFLUSH ||
         instruction->mnemonic == ZYDIS_MNEMONIC_INVLPG;
}

static int is_barrier(const ZydisDecodedInstruction *instruction) {
  switch (instruction->meta.category) {
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_UINTR:
    case ZYDIS_CATEGORY_SYSTEM:
      return 1;
    default:
      break;
  }
  switch (instruction->mnemonic) {
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_XABORT:
      return 1;
    default:
      return instruction->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
  }
}

static int is_non_temporal(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_MOVNTI:
    case ZYDIS_MNEMONIC_MOVNTQ:
    case ZYDIS_MNEMONIC_MOVNTDQ:
    case ZYDIS_MNEMONIC_MOVNTDQA:
    case ZYDIS_MNEMONIC_MOVNTPS:
    case ZYDIS_MNEMONIC_MOVNTPD:
    case ZYDIS_MNEMONIC_MOVNTSS:
    case ZYDIS_MNEMONIC_MOVNTSD:
    case ZYDIS_MNEMONIC_VMOVNTDQ:
    case ZYDIS_MNEMONIC_VMOVNTDQA:
    case ZYDIS_MNEMONIC_VMOVNTPS:
    case ZYDIS_MNEMONIC_VMOVNTPD:
    case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
    case ZYDIS_MNEMONIC_MOVDIRI:
    case ZYDIS_MNEMONIC_MOVDIR64B:
    case ZYDIS_MNEMONIC_CLZERO:
      return 1;
    default:
      return 0;
  }
}

/* With an offset in a register it reaches beyond its operand. */
static int is_bit_string(
    const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands) {
  switch (instruction->mnemonic) {
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTC:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTS:
      return operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
    default:
      return 0;
  }
}

static uint16_t string_flags(const ZydisDecodedInstruction *instruction) {
  uint16_t flags = ARB_OPERAND_STRING;
  /* The processor takes either prefix as a repeat. */
  for (uint8_t at = 0; at < instruction->raw.prefix_count; at++) {
    const uint8_t prefix = instruction->raw.prefixes[at].value;
    if (prefix == 0xf2 || prefix == 0xf3) flags |= ARB_OPERAND_REPEATED;
  }
  switch (instruction->mnemonic) {
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_CMPSQ:
    case ZYDIS_MNEMONIC_SCASB:
    case ZYDIS_MNEMONIC_SCASW:
    case ZYDIS_MNEMONIC_SCASD:
    case ZYDIS_MNEMONIC_SCASQ:
      return flags | ARB_OPERAND_STOPS;
    default:
      return flags;
  }
}

/* What holds for every operand of an instruction. */
static uint16_t common_flags(
    const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands) {
  uint16_t flags = 0;
  if (is_non_temporal(instruction->mnemonic)) flags |= ARB_OPERAND_NON_TEMPORAL;
  if (instruction->meta.category == ZYDIS_CATEGORY_STRINGOP) flags |= string_flags(instruction);
  if (instruction->address_width == 32) flags |= ARB_OPERAND_NARROW;
  if ((instruction->attributes & ZYDIS_ATTRIB_HAS_LOCK) ||
      instruction->mnemonic == ZYDIS_MNEMONIC_XCHG) {
    flags |= ARB_OPERAND_ATOMIC;
  }
  if (instruction->mnemonic == ZYDIS_MNEMONIC_XLAT || is_bit_string(instruction, operands)) {
    flags |= ARB_OPERAND_OPAQUE;
  }
  return flags;
}

/* Where the stack pointer moves within the instruction, its value before is what samples carry. */
static int64_t stack_shift(
    const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operand) {
  if (operand->mem.base != ZYDIS_REGISTER_RSP) return 0;
  const int64_t size = operand->size / 8;
  const int is_store = (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
  if (operand->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN) return is_store ? -size : 0;
  return instruction->mnemonic == ZYDIS_MNEMONIC_POP ? size : 0;
}

/* Reduces an operand in memory; returns whether it is an access. */
static int reduce(
    const ArbDecoder *decoder, const ZydisDecodedInstruction *instruction,
    const ZydisDecodedOperand *from, uint64_t next, uint16_t flags, ArbOperand *to) {
  const ZydisDecodedOperandMem *memory = &from->mem;
  const int is_vector = memory->type == ZYDIS_MEMOP_TYPE_VSIB;
  if (memory->type != ZYDIS_MEMOP_TYPE_MEM && !is_vector) return 0;
  if (from->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) flags |= ARB_OPERAND_STORES;
  if (from->actions & ZYDIS_OPERAND_ACTION_MASK_READ) flags |= ARB_OPERAND_LOADS;
  if (!(flags & (ARB_OPERAND_STORES | ARB_OPERAND_LOADS))) return 0;
  if (memory->segment == ZYDIS_REGISTER_FS) flags |= ARB_OPERAND_FS;
  if (memory->segment == ZYDIS_REGISTER_GS) flags |= ARB_OPERAND_GS;
  to->base = to->index = -1;
  to->scale = memory->scale;
  to->displacement = memory->disp.has_displacement ? memory->disp.value : 0;
  to->displacement += stack_shift(instruction, from);
  to->byte_count = (uint16_t)((is_vector ? from->element_size : from->size) / 8);
  if (is_vector) {
    to->flags = flags | ARB_OPERAND_OPAQUE;
    return 1;
  }
  if (memory->base == ZYDIS_REGISTER_RIP || memory->base == ZYDIS_REGISTER_EIP) {
    to->displacement = (int64_t)((uint64_t)to->displacement + next);
  } else if (memory->base != ZYDIS_REGISTER_NONE) {
    to->base = general(decoder, memory->base);
    if (to->base < 0) flags |= ARB_OPERAND_OPAQUE;
  }
  if (memory->index != ZYDIS_REGISTER_NONE) {
    to->index = general(decoder, memory->index);
    if (to->index < 0) flags |= ARB_OPERAND_OPAQUE;
  }
  to->flags = flags;
  return 1;
}

void arb_instruction(
    const ArbDecoder *decoder, const uint8_t *code, size_t count, uint64_t ip,
    ArbInstruction *instruction) {
  ZydisDecodedInstruction from;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  memset(instruction, 0, sizeof *instruction);
  if (!ZYAN_SUCCESS(decoder->decode_full(&decoder->full, code, count, &from, operands))) return;
  instruction->length = from.length;
  instruction->is_barrier = (uint8_t)is_barrier(&from);
  const uint16_t flags = common_flags(&from, operands);
  const int is_silent = touches_nothing(&from);
  if (flags & ARB_OPERAND_STRING) {
    instruction->writes = 1 << ARB_RSI | 1 << ARB_RDI | 1 << ARB_RCX;
  }
  for (uint8_t at = 0; at < from.operand_count; at++) {
    const ZydisDecodedOperand *operand = &operands[at];
    if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER) {
      const int8_t number = general(decoder, operand->reg.value);
      if (number >= 0 && (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)) {
        instruction->writes |= (uint16_t)(1 << number);
      }
    } else if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY && !is_silent) {
      if (instruction->operand_count == ARB_ACCESS_MAX) continue;
      ArbOperand *to = &instruction->operands[instruction->operand_count];
      instruction->operand_count +=
          (uint8_t)reduce(decoder, &from, operand, ip + from.length, flags, to);
    }
  }
  if (instruction->operand_count == 2 && !(instruction->operands[0].flags & ARB_OPERAND_STORES) &&
      (instruction->operands[1].flags & ARB_OPERAND_STORES)) {
    const ArbOperand load = instruction->operands[0];
    instruction->operands[0] = instruction->operands[1];
    instruction->operands[1] = load;
  }
}

ArbStep arb_step(const ArbDecoder *decoder, const uint8_t *code, size_t count) {
  ZydisDecodedInstruction from;
  ArbStep step = {0, 0, 0};
  if (!ZYAN_SUCCESS(decoder->decode_length(&decoder->lengths, NULL, code, count, &from))) {
    return step;
  }
  step.length = from.length;
  if (from.raw.imm[0].is_relative) step.distance = from.raw.imm[0].value.s;
  switch (from.mnemonic) {
    case ZYDIS_MNEMONIC_JMP:
    case ZYDIS_MNEMONIC_RET:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_HLT:
      step.is_end = 1;
      break;
    default:
      break;
  }
  return step;
}
