/* Part of Arbiter. See plugin/LICENSE.
 * SPDX-License-Identifier: GPL-2.0-or-later */
#include "decode.h"

#include <string.h>

#include "events.h"

struct prefixes {
  bool operand_size, lock, repeat, segment;
  uint8_t rex;
};

static size_t read_prefixes(const uint8_t *bytes, size_t count, struct prefixes *found) {
  size_t at = 0;
  for (; at < count; at++) {
    uint8_t byte = bytes[at];
    if (byte == 0x66) {
      found->operand_size = true;
    } else if (byte == 0xf0) {
      found->lock = true;
    } else if (byte == 0xf2 || byte == 0xf3) {
      found->repeat = true;
    } else if (byte == 0x64 || byte == 0x65) {
      found->segment = true;
    } else if (byte != 0x26 && byte != 0x2e && byte != 0x36 && byte != 0x3e && byte != 0x67) {
      break;
    }
  }
  if (at < count && (bytes[at] & 0xf0) == 0x40) found->rex = bytes[at++];
  return at;
}

/* Reads ModRM, SIB and displacement from `at` on. */
static void read_operand(
    const uint8_t *bytes, size_t count, size_t at, uint8_t rex, struct insn *insn) {
  uint8_t mode = bytes[at] >> 6, low = bytes[at] & 7;
  bool has_wide_displacement = mode == 2;
  at++;
  if (low == 4 && at < count) {
    uint8_t sib = bytes[at++];
    uint8_t index = ((sib >> 3) & 7) | (rex & 2 ? 8 : 0);
    insn->scale_shift = sib >> 6;
    if (index != 4) insn->index = index;
    if ((sib & 7) == 5 && mode == 0) {
      has_wide_displacement = true;
    } else {
      insn->base = (sib & 7) | (rex & 1 ? 8 : 0);
    }
  } else if (low == 5 && mode == 0) {
    insn->is_rip_relative = has_wide_displacement = true;
  } else {
    insn->base = low | (rex & 1 ? 8 : 0);
  }
  if (mode == 1 && at < count) insn->displacement = (int8_t)bytes[at];
  if (has_wide_displacement && at + 4 <= count) memcpy(&insn->displacement, bytes + at, 4);
}

static bool is_vex_store_nt(const uint8_t *bytes, size_t count) {
  bool is_short = bytes[0] == 0xc5;
  size_t opcode = is_short ? 2 : 3;
  if (opcode >= count || (!is_short && (bytes[1] & 0x1f) != 1)) return false;
  return bytes[opcode] == 0xe7 || bytes[opcode] == 0x2b;
}

/* The group 0F AE: fences where the operand is a register, write-backs where it is memory. */
static enum insn_kind kind_of_group_15(uint8_t modrm, const struct prefixes *prefixes) {
  uint8_t number = (modrm >> 3) & 7;
  if (prefixes->repeat) return INSN_OTHER;
  if (modrm >> 6 == 3) return number == 6 || number == 7 ? INSN_FENCE : INSN_OTHER;
  if (number == 7) return prefixes->operand_size ? INSN_WRITE_BACK : INSN_FLUSH;
  return number == 6 && prefixes->operand_size ? INSN_WRITE_BACK : INSN_OTHER;
}

struct insn insn_decode(const uint8_t *bytes, size_t count) {
  struct insn insn = {.base = NO_REGISTER, .index = NO_REGISTER, .length = (uint8_t)count};
  struct prefixes prefixes = {0};
  size_t at = read_prefixes(bytes, count, &prefixes);
  if (at + 1 >= count) return insn;
  const uint8_t *opcode = bytes + at;
  size_t left = count - at;
  insn.is_segmented = prefixes.segment;
  if (prefixes.lock) {
    insn.kind = INSN_LOCKED;
  } else if ((opcode[0] == 0x86 || opcode[0] == 0x87) && opcode[1] >> 6 != 3) {
    insn.kind = INSN_LOCKED;
  } else if (opcode[0] == 0xc4 || opcode[0] == 0xc5) {
    insn.kind = is_vex_store_nt(opcode, left) ? INSN_STORE_NT : INSN_OTHER;
  } else if (opcode[0] == 0x0f && left >= 3) {
    if (opcode[1] == 0xc3 || opcode[1] == 0xe7 || opcode[1] == 0x2b) {
      insn.kind = INSN_STORE_NT;
    } else if (opcode[1] == 0xae) {
      insn.kind = kind_of_group_15(opcode[2], &prefixes);
      if (insn.kind == INSN_WRITE_BACK || insn.kind == INSN_FLUSH) {
        read_operand(bytes, count, at + 2, prefixes.rex, &insn);
      }
    } else if (opcode[1] == 0x1f && opcode[2] == 0x80 && left == 7) {
      read_operand(bytes, count, at + 2, 0, &insn);
      bool is_mark =
          insn.displacement >= ARB_MARK_START && insn.displacement <= ARB_MARK_STOP;
      insn.kind = is_mark ? INSN_MARK : INSN_OTHER;
    }
  }
  return insn;
}
