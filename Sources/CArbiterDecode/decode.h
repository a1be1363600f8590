/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the sources of this module share. Code is reduced in two steps: an instruction to what it
 * does to memory and registers (instruction.c), a place in code to the operands that a sample there
 * may stand for (scan.c). Both depend on code alone, so that the second is remembered; the address
 * alone needs the sample (operand.c, choice.c).
 */
#ifndef ARBITER_DECODE_H
#define ARBITER_DECODE_H

#include "CArbiterDecode.h"

#include <Zydis/Zydis.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

/* The functions of libdw that are called; all there or none. */
typedef struct {
  __typeof__(dwfl_begin) *begin;
  __typeof__(dwfl_end) *end;
  __typeof__(dwfl_report_begin) *report_begin;
  __typeof__(dwfl_report_end) *report_end;
  __typeof__(dwfl_linux_proc_report) *report_process;
  __typeof__(dwfl_addrmodule) *module_at;
  __typeof__(dwfl_module_eh_cfi) *unwind_table;
  __typeof__(dwarf_cfi_addrframe) *frame_at;
  __typeof__(dwarf_frame_info) *frame_info;
  Dwfl_Callbacks callbacks;
} ArbUnwind;

struct ArbDecoder {
  void *zydis;
  void *libdw; /* NULL: no starts of functions */
  ZydisDecoder full;
  ZydisDecoder lengths; /* in the mode that tells lengths alone, and faster */
  __typeof__(ZydisDecoderDecodeFull) *decode_full;
  __typeof__(ZydisDecoderDecodeInstruction) *decode_length;
  __typeof__(ZydisRegisterGetLargestEnclosing) *enclosing;
  ArbUnwind unwind;
};

/* What an operand in memory does and how its address is made. */
enum {
  ARB_OPERAND_STORES = 1,
  ARB_OPERAND_LOADS = 2,
  ARB_OPERAND_NON_TEMPORAL = 4,
  ARB_OPERAND_ATOMIC = 8,
  ARB_OPERAND_STRING = 16,
  ARB_OPERAND_REPEATED = 32, /* as often as the count register says */
  ARB_OPERAND_STOPS = 64,    /* it may stop before its count is used up */
  ARB_OPERAND_FS = 128,
  ARB_OPERAND_GS = 256,
  ARB_OPERAND_OPAQUE = 512, /* the general registers do not tell the address */
  ARB_OPERAND_NARROW = 1024 /* the address has 32 bits */
};

typedef struct {
  int64_t displacement; /* relative to the instruction: made absolute */
  uint16_t byte_count;  /* of one element for strings, gathers and scatters */
  uint16_t flags;       /* ARB_OPERAND_... */
  int8_t base;          /* ARB_RAX...; -1 none */
  int8_t index;
  uint8_t scale;
} ArbOperand;

/* What an instruction does, as far as it matters here. */
typedef struct {
  ArbOperand operands[ARB_ACCESS_MAX]; /* one that stores comes first */
  uint16_t writes;                     /* general registers, a bit each */
  uint8_t operand_count;
  uint8_t length;     /* 0: the bytes are no instruction */
  uint8_t is_barrier; /* it may go on somewhere else, or not at all */
} ArbInstruction;

/* Everything that a sample at one place may stand for. */
typedef struct {
  ArbOperand at[ARB_ACCESS_MAX];
  ArbOperand before; /* the nearest access behind */
  ArbOperand beyond; /* the next one behind, where the nearest may be of the stack */
  ArbOperand after;  /* the next store */
  uint8_t at_count;
  uint8_t has_before;
  uint8_t has_beyond;
  uint8_t has_after;
  uint8_t reason; /* why the nearest access behind does not tell its address */
  uint8_t is_code;
} ArbPlace;

/* Instructions looked at behind and ahead of a sample. */
#define ARB_BEFORE_MAX 4
#define ARB_AFTER_MAX 16
/* Bytes of an instruction, at most. */
#define ARB_INSTRUCTION_MAX 15
/* The flag that makes string instructions go down. */
#define ARB_FLAG_DOWN 0x400
/* From farther back than this nothing is decoded forward. */
#define ARB_STRAIGHT_MAX 2048
/* Bytes in which starts of instructions vote. */
#define ARB_VOTE_MAX 128

/* instruction.c */
void arb_instruction(
    const ArbDecoder *decoder, const uint8_t *code, size_t count, uint64_t ip,
    ArbInstruction *instruction);
/* The length alone, 0 for no instruction, and where it may lead. Faster than the whole. */
typedef struct {
  int64_t distance; /* from its end; 0 where it does not say */
  uint8_t length;
  uint8_t is_end; /* what lies behind is not what follows */
} ArbStep;

ArbStep arb_step(const ArbDecoder *decoder, const uint8_t *code, size_t count);

/* operand.c */
uint16_t arb_operand_registers(const ArbOperand *operand);
/* Returns ARB_REASON_NONE, and the access without `found`; or why there is none. */
uint32_t arb_operand_access(
    const ArbOperand *operand, const ArbMachineState *state, ArbAccess *access);

/* before.c: the starts of up to ARB_BEFORE_MAX instructions before `ip`, the nearest first; without
 * those that a loop at `ip` or a branch shortly before leaves out. */
size_t arb_starts_before(
    const ArbDecoder *decoder, const ArbCode *code, uint64_t ip, uint64_t *starts);

/* scan.c */
void arb_place(const ArbDecoder *decoder, const ArbCode *code, uint64_t ip, ArbPlace *place);

/* choice.c */
int arb_choose(
    const ArbPlace *place, const ArbMachineState *state, ArbAccess *accesses, uint32_t *reason);
int arb_choose_at(
    const ArbPlace *place, const ArbMachineState *state, ArbAccess *accesses, uint32_t *reason);
int arb_choose_addressed(
    const ArbPlace *place, const ArbSample *sample, uint64_t fs_base, ArbAccess *accesses,
    uint32_t *reason);

#endif
