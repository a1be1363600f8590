/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The functions of libpmem. Those with a drain of their own are calls of the ones with flags, as in
 * libpmem itself.
 */
#define _GNU_SOURCE
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

#define LIBPMEM "libpmem.so.1"

static ArbReal real_memcpy = {"pmem_memcpy", LIBPMEM, NULL};
static ArbReal real_memmove = {"pmem_memmove", LIBPMEM, NULL};
static ArbReal real_memset = {"pmem_memset", LIBPMEM, NULL};
static ArbReal real_flush = {"pmem_flush", LIBPMEM, NULL};
static ArbReal real_drain = {"pmem_drain", LIBPMEM, NULL};
static ArbReal real_persist = {"pmem_persist", LIBPMEM, NULL};
static ArbReal real_msync = {"pmem_msync", LIBPMEM, NULL};
static ArbReal real_deep_flush = {"pmem_deep_flush", LIBPMEM, NULL};
static ArbReal real_deep_drain = {"pmem_deep_drain", LIBPMEM, NULL};
static ArbReal real_deep_persist = {"pmem_deep_persist", LIBPMEM, NULL};
static ArbReal real_map_file = {"pmem_map_file", LIBPMEM, NULL};
static ArbReal real_unmap = {"pmem_unmap", LIBPMEM, NULL};

void *arb_real_find(ArbReal *real) {
  int saved_errno = errno;
  uintptr_t guard = arb_thread.guard;
  arb_thread.guard = ARB_GUARD_UP;
  void *function = dlsym(RTLD_NEXT, real->name);
  if (function == NULL) {
    /* A library that came in through dlopen is not in the order of RTLD_NEXT (fio's engines). The
     * handle is kept, so that the library stays. */
    void *library = dlopen(real->library, RTLD_NOLOAD | RTLD_LAZY);
    if (library != NULL) function = dlsym(library, real->name);
  }
  arb_thread.guard = guard;
  errno = saved_errno;
  if (function == NULL) {
    /* Without this library the loader would have ended the program in the same way. */
    arb_say((const char *[]){"symbol lookup error: no loaded library has ", real->name, NULL});
    _exit(127);
  }
  __atomic_store_n(&real->function, function, __ATOMIC_RELAXED);
  return function;
}

static void *copy(ArbReal *real, void *target, const void *source, size_t byte_count,
                  unsigned flags, uintptr_t frame) {
  ArbStore store = {.kind = ARB_STORE_COPY, .call = ARB_CALL_COPY, .flags = flags,
                    .target = target, .source = source, .byte_count = byte_count};
  store.real.copy = (ArbCopyFunction)arb_real(real);
  arb_store_submit(&store, frame);
  return target;
}

static void *set(void *target, int value, size_t byte_count, unsigned flags, uintptr_t frame) {
  ArbStore store = {.kind = ARB_STORE_SET, .call = ARB_CALL_SET, .flags = flags, .value = value,
                    .target = target, .byte_count = byte_count};
  store.real.set = (ArbSetFunction)arb_real(&real_memset);
  arb_store_submit(&store, frame);
  return target;
}

static void write_back(ArbReal *part, ArbReal *last, ArbCallKind call, const void *address,
                       size_t byte_count, uintptr_t frame) {
  ArbStore store = {.kind = ARB_STORE_RANGE, .call = call, .byte_count = byte_count,
                    .target = (char *)(uintptr_t)address};
  store.real.range.part = (ArbRangeFunction)arb_real(part);
  store.real.range.last = (ArbRangeFunction)arb_real(last);
  arb_store_submit(&store, frame);
}

static int write_back_checked(ArbReal *real, ArbCallKind call, const void *address,
                              size_t byte_count, uintptr_t frame) {
  ArbStore store = {.kind = ARB_STORE_CHECKED, .call = call, .is_whole = 1,
                    .byte_count = byte_count, .target = (char *)(uintptr_t)address};
  store.real.checked = (ArbCheckedFunction)arb_real(real);
  arb_store_submit(&store, frame);
  return store.result;
}

ARB_EXPORT void *pmem_memcpy(void *target, const void *source, size_t byte_count, unsigned flags) {
  return copy(&real_memcpy, target, source, byte_count, flags, ARB_FRAME);
}

ARB_EXPORT void *pmem_memcpy_nodrain(void *target, const void *source, size_t byte_count) {
  return copy(&real_memcpy, target, source, byte_count, ARB_F_NODRAIN, ARB_FRAME);
}

ARB_EXPORT void *pmem_memcpy_persist(void *target, const void *source, size_t byte_count) {
  return copy(&real_memcpy, target, source, byte_count, 0, ARB_FRAME);
}

ARB_EXPORT void *pmem_memmove(void *target, const void *source, size_t byte_count, unsigned flags) {
  return copy(&real_memmove, target, source, byte_count, flags, ARB_FRAME);
}

ARB_EXPORT void *pmem_memmove_nodrain(void *target, const void *source, size_t byte_count) {
  return copy(&real_memmove, target, source, byte_count, ARB_F_NODRAIN, ARB_FRAME);
}

ARB_EXPORT void *pmem_memmove_persist(void *target, const void *source, size_t byte_count) {
  return copy(&real_memmove, target, source, byte_count, 0, ARB_FRAME);
}

ARB_EXPORT void *pmem_memset(void *target, int value, size_t byte_count, unsigned flags) {
  return set(target, value, byte_count, flags, ARB_FRAME);
}

ARB_EXPORT void *pmem_memset_nodrain(void *target, int value, size_t byte_count) {
  return set(target, value, byte_count, ARB_F_NODRAIN, ARB_FRAME);
}

ARB_EXPORT void *pmem_memset_persist(void *target, int value, size_t byte_count) {
  return set(target, value, byte_count, 0, ARB_FRAME);
}

ARB_EXPORT void pmem_flush(const void *address, size_t byte_count) {
  write_back(&real_flush, &real_flush, ARB_CALL_FLUSH, address, byte_count, ARB_FRAME);
}

ARB_EXPORT void pmem_persist(const void *address, size_t byte_count) {
  write_back(&real_flush, &real_persist, ARB_CALL_PERSIST, address, byte_count, ARB_FRAME);
}

ARB_EXPORT void pmem_deep_flush(const void *address, size_t byte_count) {
  write_back(&real_deep_flush, &real_deep_flush, ARB_CALL_DEEP, address, byte_count, ARB_FRAME);
}

ARB_EXPORT int pmem_msync(const void *address, size_t byte_count) {
  return write_back_checked(&real_msync, ARB_CALL_MSYNC, address, byte_count, ARB_FRAME);
}

ARB_EXPORT int pmem_deep_persist(const void *address, size_t byte_count) {
  return write_back_checked(&real_deep_persist, ARB_CALL_DEEP, address, byte_count, ARB_FRAME);
}

ARB_EXPORT int pmem_deep_drain(const void *address, size_t byte_count) {
  ArbCheckedFunction real = (ArbCheckedFunction)arb_real(&real_deep_drain);
  ArbThread *thread = arb_enter(ARB_FRAME);
  if (thread == NULL) return real(address, byte_count);
  arb_count_deep(thread, (uint64_t)(uintptr_t)address, byte_count);
  int64_t start = arb_record_start(thread, 0);
  int result = real(address, byte_count);
  arb_thread_note_fence(thread);
  arb_record_fence(thread, start);
  thread->guard = ARB_GUARD_DOWN;
  return result;
}

ARB_EXPORT void pmem_drain(void) {
  ArbDrainFunction real = (ArbDrainFunction)arb_real(&real_drain);
  ArbThread *thread = arb_enter(ARB_FRAME);
  if (thread == NULL) {
    real();
    return;
  }
  arb_count_drain(thread);
  int64_t start = arb_record_start(thread, 0);
  real();
  arb_thread_note_fence(thread);
  arb_record_fence(thread, start);
  thread->guard = ARB_GUARD_DOWN;
}

ARB_EXPORT void *pmem_map_file(const char *path, size_t byte_count, int flags, mode_t mode,
                               size_t *mapped_byte_count, int *is_pmem) {
  void *(*real)(const char *, size_t, int, mode_t, size_t *, int *) = arb_real(&real_map_file);
  void *address = real(path, byte_count, flags, mode, mapped_byte_count, is_pmem);
  arb_ranges_forget();
  return address;
}

ARB_EXPORT int pmem_unmap(void *address, size_t byte_count) {
  int (*real)(void *, size_t) = arb_real(&real_unmap);
  int result = real(address, byte_count);
  arb_ranges_forget();
  return result;
}
