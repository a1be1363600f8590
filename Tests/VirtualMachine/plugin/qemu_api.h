/* Part of Arbiter. See plugin/LICENSE.
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the plug-in uses of QEMU 7.2: its interface for plug-ins, version 1, and five things that
 * the binary exports beside it. Debian has no package with the header of that interface.
 */
#ifndef ARBITER_VM_QEMU_API_H
#define ARBITER_VM_QEMU_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The interface for plug-ins. */

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;

typedef struct {
  const char *target_name;
  struct {
    int min, cur;
  } version;
  bool system_emulation;
  struct {
    int smp_vcpus, max_vcpus;
  } system;
} qemu_info_t;

enum { QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_CB_R_REGS, QEMU_PLUGIN_CB_RW_REGS };
enum { QEMU_PLUGIN_MEM_R = 1, QEMU_PLUGIN_MEM_W, QEMU_PLUGIN_MEM_RW };

void qemu_plugin_register_vcpu_tb_trans_cb(
    qemu_plugin_id_t id, void (*call)(qemu_plugin_id_t id, struct qemu_plugin_tb *block));
void qemu_plugin_register_vcpu_insn_exec_cb(
    struct qemu_plugin_insn *instruction, void (*call)(unsigned int cpu, void *data), int flags,
    void *data);
void qemu_plugin_register_vcpu_mem_cb(
    struct qemu_plugin_insn *instruction,
    void (*call)(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data),
    int flags, int direction, void *data);
void qemu_plugin_register_atexit_cb(
    qemu_plugin_id_t id, void (*call)(qemu_plugin_id_t id, void *data), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *instruction);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *instruction);
unsigned int qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t info, uint64_t address);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *address);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *address);

/* Beside it: registers, page tables and one instruction at a time. */

typedef struct {
  uint8_t *data;
  unsigned int len;
} GByteArray;

GByteArray *g_byte_array_new(void);
uint8_t *g_byte_array_free(GByteArray *array, int free_segment);

void *qemu_get_cpu(int index);
int x86_cpu_gdb_read_register(void *cpu, GByteArray *into, int number);
uint64_t cpu_get_phys_page_attrs_debug(void *cpu, uint64_t page, void *attributes);
int cpu_memory_rw_debug(void *cpu, uint64_t address, void *bytes, size_t count, bool is_write);
extern int singlestep;

#endif
