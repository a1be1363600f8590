/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What clang calls under -fsanitize-coverage=...,trace-loads,trace-stores. It calls nothing for
 * accesses of other sizes, for atomic read-modify-writes, and for copies that it expands itself.
 */
#include "hooks.h"

#define MAKE(bytes)                                                     \
  ARB_HOOK void __sanitizer_cov_load##bytes(const void *address) {      \
    arb_hook_access(ARB_TRACE_LOAD, bytes, address);                    \
  }                                                                     \
  ARB_HOOK void __sanitizer_cov_store##bytes(const void *address) {     \
    arb_hook_access(ARB_TRACE_STORE, bytes, address);                   \
  }
MAKE(1)
MAKE(2)
MAKE(4)
MAKE(8)
MAKE(16)

/* For programs that trace more than loads and stores, which is not needed; weak, so that a program
 * may have its own. */
#define MAKE_IDLE(name, parameters) \
  __attribute__((weak)) ARB_HOOK void name parameters {}
MAKE_IDLE(__sanitizer_cov_trace_pc, (void))
MAKE_IDLE(__sanitizer_cov_trace_pc_guard, (uint32_t *guard __attribute__((unused))))
MAKE_IDLE(__sanitizer_cov_trace_pc_guard_init, (uint32_t *start __attribute__((unused)),
                                                uint32_t *stop __attribute__((unused))))
MAKE_IDLE(__sanitizer_cov_8bit_counters_init, (char *start __attribute__((unused)),
                                               char *stop __attribute__((unused))))
MAKE_IDLE(__sanitizer_cov_bool_flag_init, (char *start __attribute__((unused)),
                                           char *stop __attribute__((unused))))
MAKE_IDLE(__sanitizer_cov_pcs_init, (const uintptr_t *start __attribute__((unused)),
                                     const uintptr_t *stop __attribute__((unused))))
