/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "record.h"

#include <asm/perf_regs.h>
#include <linux/perf_event.h>

/* The kernel's number of each register, in the order of instructions. */
static const uint8_t kernel_number[ARB_REGISTER_COUNT] = {
    PERF_REG_X86_AX, PERF_REG_X86_CX, PERF_REG_X86_DX, PERF_REG_X86_BX,
    PERF_REG_X86_SP, PERF_REG_X86_BP, PERF_REG_X86_SI, PERF_REG_X86_DI,
    PERF_REG_X86_R8, PERF_REG_X86_R9, PERF_REG_X86_R10, PERF_REG_X86_R11,
    PERF_REG_X86_R12, PERF_REG_X86_R13, PERF_REG_X86_R14, PERF_REG_X86_R15,
};

enum { TRAILER_BYTES = 24 }; /* process and thread, time, identifier: with sample_id_all */

static const uint64_t needed_fields =
    PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME;

/* Registers of the thread or of the moment of the event: one of both, written alike. */
static const uint64_t register_fields = PERF_SAMPLE_REGS_USER | PERF_SAMPLE_REGS_INTR;

int arb_format_is_readable(const ArbFormat *format) {
  uint64_t known = needed_fields | PERF_SAMPLE_ADDR | PERF_SAMPLE_PERIOD | register_fields;
  return (format->sample_type & needed_fields) == needed_fields &&
         (format->sample_type & ~known) == 0 &&
         (format->sample_type & register_fields) != register_fields;
}

/* Words of a record, one after the other; 0 and `is_short` behind its end. */
typedef struct {
  const ArbRecord *record;
  uint64_t place;
  int is_short;
} Words;

/* Times count from the machine's start: without the sign, differences of any two are numbers. */
static int64_t time_of(uint64_t word) { return (int64_t)(word & INT64_MAX); }

static uint64_t next_word(Words *words) {
  if (words->record->size - words->place < 8) {
    words->is_short = 1;
    return 0;
  }
  uint64_t word = arb_record_word(words->record, words->place);
  words->place += 8;
  return word;
}

/* The registers follow each other by the kernel's numbers. */
static void read_registers(Words *words, const ArbFormat *format, ArbSample *sample) {
  uint64_t abi = next_word(words);
  /* No user context at all: a thread of the kernel. */
  if (abi == PERF_SAMPLE_REGS_ABI_NONE) return;
  uint64_t values[64] = {0};
  for (int number = 0; number < 64; number++) {
    if (format->registers >> number & 1) values[number] = next_word(words);
  }
  /* Registers of a 32-bit program mean something else, and nobody decodes its instructions. */
  if (words->is_short || abi != PERF_SAMPLE_REGS_ABI_64) return;
  uint64_t wanted = 1ull << PERF_REG_X86_FLAGS;
  for (int index = 0; index < ARB_REGISTER_COUNT; index++) wanted |= 1ull << kernel_number[index];
  if ((format->registers & wanted) != wanted) return;
  for (int index = 0; index < ARB_REGISTER_COUNT; index++) {
    sample->registers[index] = values[kernel_number[index]];
  }
  sample->flags = values[PERF_REG_X86_FLAGS];
  sample->has |= format->has & (ARB_SAMPLE_REGISTERS | ARB_SAMPLE_REGISTERS_AFTER);
}

int arb_record_sample(const ArbRecord *record, const ArbFormat *format, ArbSample *sample) {
  Words words = {record, 0, 0};
  memset(sample, 0, sizeof *sample);
  (void)next_word(&words); /* the identifier */
  sample->ip = next_word(&words);
  uint64_t task = next_word(&words);
  sample->process = (int32_t)(uint32_t)task;
  sample->thread = (int32_t)(uint32_t)(task >> 32);
  sample->time_nanoseconds = time_of(next_word(&words));
  if (format->sample_type & PERF_SAMPLE_ADDR) {
    sample->address = next_word(&words);
    /* A processor that did not catch the address says 0. */
    if (sample->address != 0) sample->has |= format->has & ARB_SAMPLE_ADDRESS;
  }
  sample->period = format->period;
  if (format->sample_type & PERF_SAMPLE_PERIOD) sample->period = next_word(&words);
  if (format->sample_type & register_fields) read_registers(&words, format, sample);
  /* Precise samples say of each whether it is exact, faults always are. */
  if (record->misc & PERF_RECORD_MISC_EXACT_IP) sample->has |= ARB_SAMPLE_EXACT_IP;
  sample->has |= format->has & ARB_SAMPLE_EXACT_IP;
  return !words.is_short;
}

static void read_relatives(Words *words, ArbTask *task) {
  uint64_t processes = next_word(words);
  uint64_t threads = next_word(words);
  task->process = (int32_t)(uint32_t)processes;
  task->parent_process = (int32_t)(uint32_t)(processes >> 32);
  task->thread = (int32_t)(uint32_t)threads;
  task->parent_thread = (int32_t)(uint32_t)(threads >> 32);
}

static void read_owner(Words *words, ArbTask *task) {
  uint64_t owner = next_word(words);
  task->process = (int32_t)(uint32_t)owner;
  task->thread = (int32_t)(uint32_t)(owner >> 32);
}

static void read_mapping(Words *words, ArbTask *task) {
  task->address = next_word(words);
  task->length = next_word(words);
  task->page_offset = next_word(words);
  uint64_t device = next_word(words);
  uint64_t inode = next_word(words);
  (void)next_word(words); /* the inode's generation */
  uint64_t access = next_word(words);
  /* With a build id there is one instead of the file's number. */
  if (!(words->record->misc & PERF_RECORD_MISC_MMAP_BUILD_ID)) {
    task->device_major = (uint32_t)device;
    task->device_minor = (uint32_t)(device >> 32);
    task->inode = inode;
  }
  task->protection = (uint32_t)access;
  task->flags = (uint32_t)(access >> 32);
}

/* The text between the words and the trailer, which zeros fill up. */
static void read_name(const Words *words, uint64_t end, ArbTask *task) {
  const char *text = (const char *)words->record->body + words->place;
  uint64_t size = end - words->place;
  if (size >= sizeof task->name) size = sizeof task->name - 1;
  uint64_t count = 0;
  while (count < size && text[count] != 0) count++;
  memcpy(task->name, text, count);
  task->name[count] = 0;
  task->name_count = (uint32_t)count;
}

int arb_record_task(const ArbRecord *record, ArbTask *task) {
  Words words = {record, 0, 0};
  memset(task, 0, sizeof *task - sizeof task->name);
  task->name[0] = 0;
  if (record->size < TRAILER_BYTES) return 0;
  uint64_t end = record->size - TRAILER_BYTES;
  task->time_nanoseconds = time_of(arb_record_word(record, end + 8));
  if (record->type == PERF_RECORD_FORK || record->type == PERF_RECORD_EXIT) {
    task->kind = record->type == PERF_RECORD_FORK ? ARB_TASK_FORK : ARB_TASK_EXIT;
    read_relatives(&words, task);
    task->time_nanoseconds = time_of(next_word(&words));
    return words.place <= end && !words.is_short;
  }
  read_owner(&words, task);
  if (record->type == PERF_RECORD_COMM) {
    task->kind = record->misc & PERF_RECORD_MISC_COMM_EXEC ? ARB_TASK_EXEC : ARB_TASK_NAME;
  } else {
    task->kind = ARB_TASK_MAP;
    read_mapping(&words, task);
  }
  if (words.is_short || words.place > end) return 0;
  read_name(&words, end, task);
  return 1;
}
