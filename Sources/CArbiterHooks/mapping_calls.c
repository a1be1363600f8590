/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Mappings of the program, reached through the linker's --wrap: what it maps shared from a file is
 * recorded, and what it unmaps no longer.
 */
#define _GNU_SOURCE
#include "hooks.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <sys/types.h>

#define PAGE 4096ull
#define TYPE_MASK 15

void *__real_mmap(void *address, size_t bytes, int rights, int flags, int descriptor, off_t offset);
void *__real_mmap64(void *address, size_t bytes, int rights, int flags, int descriptor,
                    off_t offset);
int __real_munmap(void *address, size_t bytes);
void *__real_mremap(void *address, size_t bytes, size_t new_bytes, int flags, ...);
void *__wrap_mmap(void *address, size_t bytes, int rights, int flags, int descriptor, off_t offset);
void *__wrap_mmap64(void *address, size_t bytes, int rights, int flags, int descriptor,
                    off_t offset);
int __wrap_munmap(void *address, size_t bytes);
void *__wrap_mremap(void *address, size_t bytes, size_t new_bytes, int flags, ...);

static uint64_t whole_pages(size_t bytes) { return ((uint64_t)bytes + PAGE - 1) / PAGE * PAGE; }

static uint64_t number(const void *address) { return (uint64_t)(uintptr_t)address; }

static void note_mapping(void *mapped, size_t bytes, int flags, int descriptor, off_t offset) {
  if (arb_hooks_session == NULL || mapped == MAP_FAILED) return;
  /* What lay there before is gone. */
  if ((flags & MAP_FIXED) != 0) arb_hook_range_remove(number(mapped), whole_pages(bytes));
  int type = flags & TYPE_MASK;
  if ((type != MAP_SHARED && type != MAP_SHARED_VALIDATE) || descriptor < 0) return;
  arb_hook_mapped(number(mapped), whole_pages(bytes), descriptor, (uint64_t)offset);
}

ARB_HOOK void *__wrap_mmap(void *address, size_t bytes, int rights, int flags, int descriptor,
                           off_t offset) {
  void *mapped = __real_mmap(address, bytes, rights, flags, descriptor, offset);
  note_mapping(mapped, bytes, flags, descriptor, offset);
  return mapped;
}

ARB_HOOK void *__wrap_mmap64(void *address, size_t bytes, int rights, int flags, int descriptor,
                             off_t offset) {
  void *mapped = __real_mmap64(address, bytes, rights, flags, descriptor, offset);
  note_mapping(mapped, bytes, flags, descriptor, offset);
  return mapped;
}

ARB_HOOK int __wrap_munmap(void *address, size_t bytes) {
  /* Before, because afterwards another thread may map the same addresses. */
  if (arb_hooks_session != NULL) arb_hook_range_remove(number(address), whole_pages(bytes));
  return __real_munmap(address, bytes);
}

ARB_HOOK void *__wrap_mremap(void *address, size_t bytes, size_t new_bytes, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  void *wanted = va_arg(rest, void *);
  va_end(rest);
  ArbHookRange range;
  int is_recorded = arb_hooks_session != NULL && bytes > 0 &&
                    arb_hook_range_find(number(address), &range);
  void *mapped = __real_mremap(address, bytes, new_bytes, flags, wanted);
  if (!is_recorded || mapped == MAP_FAILED) return mapped;
  range.offset += number(address) - range.start;
  arb_hook_range_remove(number(address), whole_pages(bytes));
  arb_hook_range_remove(number(mapped), whole_pages(new_bytes));
  range.start = number(mapped);
  range.bytes = whole_pages(new_bytes);
  arb_hook_region_reach(range.region, range.offset + range.bytes);
  (void)arb_hook_range_add(&range);
  return mapped;
}
