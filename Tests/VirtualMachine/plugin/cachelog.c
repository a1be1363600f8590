/* Part of Arbiter. See plugin/LICENSE.
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A plug-in of QEMU 7.2 (TCG) that writes down, in order, what a guest does to an area of
 * persistent memory: stores with their bytes, write-backs of lines, non-temporal stores, fences.
 *
 *   -plugin cachelog.so,log=PREFIX,bytes=N
 *
 * A program in the guest starts and ends it by marks (events.h); each start makes a new file
 * PREFIX.0, PREFIX.1, ... Before the first start only marks are looked for, so that a boot takes
 * as long as without the plug-in.
 *
 * Two things have to be known that the interface for plug-ins does not tell. QEMU treats a
 * write-back as a no-operation, so that no callback names its address: it is computed from the
 * registers. Registers are up to date only at the start of a translated block: while it records,
 * the plug-in has QEMU translate blocks of one instruction.
 *
 * Not seen: what a device writes by DMA, wbinvd. With several processors two stores to the same
 * word race with their record; stores that a lock in DRAM orders are in order.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "events.h"
#include "qemu_api.h"

#define CPU_COUNT_MAX 16
#define UNKNOWN UINT64_MAX

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static char log_prefix[4000];
static uint64_t area_bytes;

/* Guards the fields below it, and the file. */
static pthread_mutex_t state_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_watching;
static FILE *log_file;
static unsigned int log_count;
static uint64_t area_address = UNKNOWN;    /* as the program sees it */
static uint64_t area_physical = UNKNOWN;   /* as page tables name it */
static uint64_t area_in_memory = UNKNOWN;  /* as the interface for plug-ins numbers memory */
static bool has_unfenced[CPU_COUNT_MAX];
static uint64_t unresolved_count;

static void event_write(
    enum arb_event_kind kind, unsigned int cpu, uint8_t size, uint32_t offset, uint64_t value) {
  struct arb_event event = {
      .kind = (uint8_t)kind, .cpu = (uint8_t)cpu, .size = size, .offset = offset, .value = value};
  if (fwrite(&event, sizeof event, 1, log_file) != 1) {
    fprintf(stderr, "cachelog: cannot write the log: %s\n", strerror(errno));
    exit(74);
  }
}

/* A general register by its number in instructions; gdb's numbers differ for the first eight. */
static uint64_t register_read(unsigned int cpu, uint8_t number) {
  static const uint8_t first[8] = {0, 2, 3, 1, 7, 6, 4, 5};
  GByteArray *bytes = g_byte_array_new();
  uint64_t value = 0;
  int count =
      x86_cpu_gdb_read_register(qemu_get_cpu((int)cpu), bytes, number < 8 ? first[number] : number);
  if (count == 8) memcpy(&value, bytes->data, sizeof value);
  g_byte_array_free(bytes, 1);
  return value;
}

static uint64_t physical_address(unsigned int cpu, uint64_t address) {
  uint64_t attributes[8] = {0};
  uint64_t page =
      cpu_get_phys_page_attrs_debug(qemu_get_cpu((int)cpu), address & ~4095ULL, attributes);
  return page == UNKNOWN ? UNKNOWN : page | (address & 4095);
}

/* Start and end. */

/* Blocks of one instruction are other blocks to QEMU than those without that limit, so that none
 * from before the start is run after it. Translations must not be flushed for it: QEMU 7.2 may
 * still call what it freed with them (put right in 8.0). */
static void watch(bool on) {
  atomic_store(&is_watching, on);
  singlestep = on;
}

static void log_close(void) {
  if (log_file != NULL && fclose(log_file) != 0) {
    fprintf(stderr, "cachelog: cannot write the log: %s\n", strerror(errno));
    exit(74);
  }
  log_file = NULL;
}

static void log_open(unsigned int cpu, uint64_t address) {
  char path[sizeof log_prefix + 16];
  log_close();
  snprintf(path, sizeof path, "%s.%u", log_prefix, log_count++);
  log_file = fopen(path, "wb");
  if (log_file == NULL) {
    fprintf(stderr, "cachelog: cannot make %s: %s\n", path, strerror(errno));
    exit(74);
  }
  area_address = address;
  area_physical = physical_address(cpu, address);
  area_in_memory = UNKNOWN;
  memset(has_unfenced, 0, sizeof has_unfenced);
  event_write(ARB_EVENT_HEAD, cpu, 0, ARB_LOG_VERSION, ARB_LOG_MAGIC);
}

static void on_mark(unsigned int cpu, void *data) {
  enum arb_mark mark = (enum arb_mark)(uintptr_t)data;
  pthread_mutex_lock(&state_lock);
  if (mark == ARB_MARK_START) {
    watch(true);
  } else if (atomic_load(&is_watching)) {
    uint64_t value = register_read(cpu, 0);
    if (mark == ARB_MARK_AREA) {
      log_open(cpu, value);
    } else if (mark == ARB_MARK_ACKNOWLEDGED && log_file != NULL) {
      event_write(ARB_EVENT_ACKNOWLEDGED, cpu, 0, (uint32_t)(value >> 32), value & UINT32_MAX);
    } else if (mark == ARB_MARK_STOP) {
      log_close();
      watch(false);
    }
  }
  pthread_mutex_unlock(&state_lock);
}

/* What happens to the area. */

static void on_store(
    unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data) {
  if (!atomic_load(&is_watching)) return;
  struct qemu_plugin_hwaddr *place = qemu_plugin_get_hwaddr(info, address);
  if (place == NULL || qemu_plugin_hwaddr_is_io(place)) return;
  uint64_t at = qemu_plugin_hwaddr_phys_addr(place);
  size_t size = (size_t)1 << qemu_plugin_mem_size_shift(info);
  pthread_mutex_lock(&state_lock);
  /* The first store to the start of the area tells how the interface numbers its memory. */
  if (area_in_memory == UNKNOWN && address == area_address) area_in_memory = at;
  if (log_file != NULL && area_in_memory != UNKNOWN && at - area_in_memory < area_bytes) {
    uint32_t offset = (uint32_t)(at - area_in_memory);
    bool is_nt = (uintptr_t)data != 0;
    for (size_t done = 0; done < size; done += 8) {
      uint64_t value = 0;
      size_t part = size - done < 8 ? size - done : 8;
      if (cpu_memory_rw_debug(qemu_get_cpu((int)cpu), address + done, &value, part, false) != 0) {
        unresolved_count++;
      }
      event_write(
          is_nt ? ARB_EVENT_STORE_NT : ARB_EVENT_STORE, cpu, (uint8_t)part,
          offset + (uint32_t)done, value);
    }
    has_unfenced[cpu] = true;
  }
  pthread_mutex_unlock(&state_lock);
}

static void on_write_back(unsigned int cpu, void *data) {
  /* Blocks live as long as QEMU likes, and there are few of these instructions. */
  const struct insn *insn = data;
  if (!atomic_load(&is_watching)) return;
  uint64_t address = (uint64_t)(int64_t)insn->displacement;
  if (insn->base != NO_REGISTER) address += register_read(cpu, insn->base);
  if (insn->index != NO_REGISTER) address += register_read(cpu, insn->index) << insn->scale_shift;
  /* Number 16 of gdb's registers is the instruction pointer, here that of this instruction. */
  if (insn->is_rip_relative) address += register_read(cpu, 16) + insn->length;
  uint64_t physical = physical_address(cpu, address);
  pthread_mutex_lock(&state_lock);
  if (log_file == NULL) {
    /* Not yet. */
  } else if (physical == UNKNOWN || insn->is_segmented) {
    unresolved_count++;
  } else if (physical - area_physical < area_bytes) {
    uint32_t line = (uint32_t)(physical - area_physical) & ~63U;
    event_write(
        insn->kind == INSN_FLUSH ? ARB_EVENT_FLUSH : ARB_EVENT_WRITE_BACK, cpu, 0, line, 0);
    has_unfenced[cpu] = true;
  }
  pthread_mutex_unlock(&state_lock);
}

static void on_fence(unsigned int cpu, void *data) {
  (void)data;
  if (!atomic_load(&is_watching)) return;
  pthread_mutex_lock(&state_lock);
  if (log_file != NULL && has_unfenced[cpu]) {
    event_write(ARB_EVENT_FENCE, cpu, 0, 0, 0);
    has_unfenced[cpu] = false;
  }
  pthread_mutex_unlock(&state_lock);
}

static void watch_instruction(struct qemu_plugin_insn *instruction, struct insn insn) {
  if (insn.kind == INSN_WRITE_BACK || insn.kind == INSN_FLUSH) {
    struct insn *kept = malloc(sizeof *kept);
    if (kept == NULL) abort();
    *kept = insn;
    qemu_plugin_register_vcpu_insn_exec_cb(
        instruction, on_write_back, QEMU_PLUGIN_CB_R_REGS, kept);
    return;
  }
  if (insn.kind == INSN_FENCE || insn.kind == INSN_LOCKED) {
    qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_fence, QEMU_PLUGIN_CB_NO_REGS, NULL);
  }
  uintptr_t is_nt = insn.kind == INSN_STORE_NT;
  qemu_plugin_register_vcpu_mem_cb(
      instruction, on_store, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_W, (void *)is_nt);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  size_t count = qemu_plugin_tb_n_insns(block);
  for (size_t at = 0; at < count; at++) {
    struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, at);
    struct insn insn =
        insn_decode(qemu_plugin_insn_data(instruction), qemu_plugin_insn_size(instruction));
    if (insn.kind == INSN_MARK) {
      qemu_plugin_register_vcpu_insn_exec_cb(
          instruction, on_mark, QEMU_PLUGIN_CB_R_REGS, (void *)(uintptr_t)insn.displacement);
    } else if (atomic_load(&is_watching)) {
      watch_instruction(instruction, insn);
    }
  }
}

static void on_end(qemu_plugin_id_t id, void *data) {
  (void)id, (void)data;
  pthread_mutex_lock(&state_lock);
  log_close();
  fprintf(
      stderr, "cachelog: logs %u, unresolved %llu\n", log_count,
      (unsigned long long)unresolved_count);
  pthread_mutex_unlock(&state_lock);
}

__attribute__((visibility("default"))) int qemu_plugin_install(
    qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
  for (int at = 0; at < argc; at++) {
    if (strncmp(argv[at], "log=", 4) == 0) {
      snprintf(log_prefix, sizeof log_prefix, "%s", argv[at] + 4);
    } else if (strncmp(argv[at], "bytes=", 6) == 0) {
      area_bytes = strtoull(argv[at] + 6, NULL, 10);
    } else {
      fprintf(stderr, "cachelog: unknown argument %s\n", argv[at]);
      return -1;
    }
  }
  if (log_prefix[0] == 0 || area_bytes == 0 || area_bytes > UINT32_MAX ||
      strcmp(info->target_name, "x86_64") != 0 || !info->system_emulation ||
      info->system.max_vcpus > CPU_COUNT_MAX) {
    fprintf(stderr, "cachelog: needs log=, bytes= and a whole x86_64 machine\n");
    return -1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_atexit_cb(id, on_end, NULL);
  return 0;
}
