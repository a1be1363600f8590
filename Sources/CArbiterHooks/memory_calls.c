/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The functions of libc into which compilers turn loops and copies, reached through the linker's
 * --wrap: a copy is one load and one store of its whole length.
 */
#include "hooks.h"

void *__real_memcpy(void *target, const void *source, size_t bytes);
void *__real_memmove(void *target, const void *source, size_t bytes);
void *__real_memset(void *target, int value, size_t bytes);
void *__wrap_memcpy(void *target, const void *source, size_t bytes);
void *__wrap_memmove(void *target, const void *source, size_t bytes);
void *__wrap_memset(void *target, int value, size_t bytes);

static void note_copy(void *target, const void *source, size_t bytes) {
  arb_hook_range_access(ARB_TRACE_LOAD, source, bytes);
  arb_hook_range_access(ARB_TRACE_STORE, target, bytes);
}

ARB_HOOK void *__wrap_memcpy(void *target, const void *source, size_t bytes) {
  note_copy(target, source, bytes);
  return __real_memcpy(target, source, bytes);
}

ARB_HOOK void *__wrap_memmove(void *target, const void *source, size_t bytes) {
  note_copy(target, source, bytes);
  return __real_memmove(target, source, bytes);
}

ARB_HOOK void *__wrap_memset(void *target, int value, size_t bytes) {
  arb_hook_range_access(ARB_TRACE_STORE, target, bytes);
  return __real_memset(target, value, bytes);
}
