/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CArbiterCounters.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

_Static_assert(sizeof(ArbModuleRecord) == 256, "size of a module's record");
_Static_assert(offsetof(ArbModuleRecord, handle) == 4, "place of the handle");
_Static_assert(offsetof(ArbModuleRecord, socket) == 22, "place of the socket");
_Static_assert(offsetof(ArbModuleRecord, identifier) == 170, "place of the identifier");
_Static_assert(sizeof(ArbModuleCounts) == 64, "size of a module's counts");

/* dlsym's object pointer as a function pointer, the way POSIX describes. */
#define ARB_FIND(modules, field, name) \
  (*(void **)(&(modules)->field) = dlsym((modules)->library, name))

int arb_modules_load(ArbModuleLibrary *modules, const char *name) {
  memset(modules, 0, sizeof *modules);
  modules->library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (modules->library == NULL) return ARB_MODULE_NO_LIBRARY;
  ARB_FIND(modules, begin, "nvm_init");
  ARB_FIND(modules, count, "nvm_get_number_of_devices");
  ARB_FIND(modules, list, "nvm_get_devices");
  ARB_FIND(modules, read, "nvm_get_device_performance");
  ARB_FIND(modules, version, "nvm_get_major_version");
  if (!modules->begin || !modules->count || !modules->list || !modules->read) {
    return ARB_MODULE_NO_FUNCTION;
  }
  return ARB_MODULE_LOADED;
}

int arb_modules_version(const ArbModuleLibrary *modules) {
  return modules->version == NULL ? -1 : modules->version();
}

int arb_modules_begin(const ArbModuleLibrary *modules) { return modules->begin(); }

int arb_modules_count(const ArbModuleLibrary *modules, unsigned int *count) {
  return modules->count(count);
}

int arb_modules_list(const ArbModuleLibrary *modules, ArbModuleRecord *records, uint8_t count) {
  return modules->list(records, count);
}

int arb_modules_read(
    const ArbModuleLibrary *modules, const ArbModuleRecord *record, ArbModuleCounts *counts) {
  /* A library that leaves out the final zero must not make itself read past the record. */
  char identifier[ARB_MODULE_IDENTIFIER_BYTES + 1] = {0};
  memcpy(identifier, record->identifier, ARB_MODULE_IDENTIFIER_BYTES);
  memset(counts, 0, sizeof *counts);
  return modules->read(identifier, counts);
}

int64_t arb_process_end_with_parent(void) {
  return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ? -(int64_t)errno : 0;
}

int arb_spawn_close_from(void *actions, int first) {
  return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

int64_t arb_pipe_open(int *read_end, int *write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -(int64_t)errno;
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
    int64_t error = -(int64_t)errno;
    close(ends[0]);
    close(ends[1]);
    return error;
  }
  *read_end = ends[0];
  *write_end = ends[1];
  return 0;
}
