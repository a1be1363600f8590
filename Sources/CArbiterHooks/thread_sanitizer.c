/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What gcc and clang call under -fsanitize=thread: functions of the same names as those of the
 * thread sanitizer's library, which is not linked. The calls stand before the accesses; of atomic
 * operations they stand in their place, and these are carried out in the strongest order.
 */
#include "hooks.h"

#define MAKE(bytes)                                                            \
  ARB_HOOK void __tsan_read##bytes(void *address) {                            \
    arb_hook_access(ARB_TRACE_LOAD, bytes, address);                           \
  }                                                                            \
  ARB_HOOK void __tsan_write##bytes(void *address) {                           \
    arb_hook_access(ARB_TRACE_STORE, bytes, address);                          \
  }                                                                            \
  ARB_HOOK void __tsan_read_write##bytes(void *address) {                      \
    arb_hook_access(ARB_TRACE_LOAD, bytes, address);                           \
    arb_hook_access(ARB_TRACE_STORE, bytes, address);                          \
  }                                                                            \
  ARB_HOOK void __tsan_unaligned_read##bytes(void *address) {                  \
    arb_hook_access(ARB_TRACE_LOAD, bytes, address);                           \
  }                                                                            \
  ARB_HOOK void __tsan_unaligned_write##bytes(void *address) {                 \
    arb_hook_access(ARB_TRACE_STORE, bytes, address);                          \
  }                                                                            \
  ARB_HOOK void __tsan_unaligned_read_write##bytes(void *address) {            \
    arb_hook_access(ARB_TRACE_LOAD, bytes, address);                           \
    arb_hook_access(ARB_TRACE_STORE, bytes, address);                          \
  }                                                                            \
  ARB_HOOK void __tsan_volatile_read##bytes(void *address) {                   \
    arb_hook_access(ARB_TRACE_LOAD, bytes, address);                           \
  }                                                                            \
  ARB_HOOK void __tsan_volatile_write##bytes(void *address) {                  \
    arb_hook_access(ARB_TRACE_STORE, bytes, address);                          \
  }
MAKE(1)
MAKE(2)
MAKE(4)
MAKE(8)
MAKE(16)

ARB_HOOK void __tsan_read_range(void *address, uint64_t bytes) {
  arb_hook_range_access(ARB_TRACE_LOAD, address, bytes);
}
ARB_HOOK void __tsan_write_range(void *address, uint64_t bytes) {
  arb_hook_range_access(ARB_TRACE_STORE, address, bytes);
}
ARB_HOOK void __tsan_vptr_read(void **address) {
  arb_hook_access(ARB_TRACE_LOAD, sizeof(void *), address);
}
ARB_HOOK void __tsan_vptr_update(void **address, void *value) {
  (void)value;
  arb_hook_access(ARB_TRACE_STORE, sizeof(void *), address);
}

ARB_HOOK void __tsan_init(void) {}
ARB_HOOK void __tsan_func_entry(void *caller) { (void)caller; }
ARB_HOOK void __tsan_func_exit(void) {}
ARB_HOOK void __tsan_ignore_thread_begin(void) {}
ARB_HOOK void __tsan_ignore_thread_end(void) {}

/* Copies: through the wrappers, which record them. */
void *__wrap_memcpy(void *target, const void *source, size_t bytes);
void *__wrap_memmove(void *target, const void *source, size_t bytes);
void *__wrap_memset(void *target, int value, size_t bytes);

ARB_HOOK void *__tsan_memcpy(void *target, const void *source, uint64_t bytes) {
  return __wrap_memcpy(target, source, bytes);
}
ARB_HOOK void *__tsan_memmove(void *target, const void *source, uint64_t bytes) {
  return __wrap_memmove(target, source, bytes);
}
ARB_HOOK void *__tsan_memset(void *target, int value, uint64_t bytes) {
  return __wrap_memset(target, value, bytes);
}

/* Atomic operations. Those that read and write are recorded as a load and a store. */

#define MAKE_FETCH(bits, name)                                                                   \
  ARB_HOOK uint##bits##_t __tsan_atomic##bits##_fetch_##name(                                    \
      volatile uint##bits##_t *place, uint##bits##_t value, int order) {                         \
    (void)order;                                                                                 \
    arb_hook_access(ARB_TRACE_LOAD, bits / 8, (const void *)place);                              \
    arb_hook_access(ARB_TRACE_STORE, bits / 8, (const void *)place);                             \
    return __atomic_fetch_##name(place, value, __ATOMIC_SEQ_CST);                                \
  }

#define MAKE_COMPARE(bits, strength)                                                             \
  ARB_HOOK int __tsan_atomic##bits##_compare_exchange_##strength(                                \
      volatile uint##bits##_t *place, uint##bits##_t *expected, uint##bits##_t value, int order, \
      int failure_order) {                                                                       \
    (void)order;                                                                                 \
    (void)failure_order;                                                                         \
    arb_hook_access(ARB_TRACE_LOAD, bits / 8, (const void *)place);                              \
    int is_done = __atomic_compare_exchange_n(place, expected, value, 0, __ATOMIC_SEQ_CST,       \
                                              __ATOMIC_SEQ_CST);                                 \
    if (is_done) arb_hook_access(ARB_TRACE_STORE, bits / 8, (const void *)place);                \
    return is_done;                                                                              \
  }

#define MAKE_ATOMIC(bits)                                                                        \
  ARB_HOOK uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *place,       \
                                                     int order) {                                \
    (void)order;                                                                                 \
    arb_hook_access(ARB_TRACE_LOAD, bits / 8, (const void *)place);                              \
    return __atomic_load_n(place, __ATOMIC_SEQ_CST);                                             \
  }                                                                                              \
  ARB_HOOK void __tsan_atomic##bits##_store(volatile uint##bits##_t *place,                      \
                                            uint##bits##_t value, int order) {                   \
    (void)order;                                                                                 \
    arb_hook_access(ARB_TRACE_STORE, bits / 8, (const void *)place);                             \
    __atomic_store_n(place, value, __ATOMIC_SEQ_CST);                                            \
  }                                                                                              \
  ARB_HOOK uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t *place,         \
                                                         uint##bits##_t value, int order) {      \
    (void)order;                                                                                 \
    arb_hook_access(ARB_TRACE_LOAD, bits / 8, (const void *)place);                              \
    arb_hook_access(ARB_TRACE_STORE, bits / 8, (const void *)place);                             \
    return __atomic_exchange_n(place, value, __ATOMIC_SEQ_CST);                                  \
  }                                                                                              \
  MAKE_FETCH(bits, add)                                                                          \
  MAKE_FETCH(bits, sub)                                                                          \
  MAKE_FETCH(bits, and)                                                                          \
  MAKE_FETCH(bits, or)                                                                           \
  MAKE_FETCH(bits, xor)                                                                          \
  MAKE_FETCH(bits, nand)                                                                         \
  MAKE_COMPARE(bits, strong)                                                                     \
  MAKE_COMPARE(bits, weak)                                                                       \
  ARB_HOOK uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                            \
      volatile uint##bits##_t *place, uint##bits##_t expected, uint##bits##_t value, int order,  \
      int failure_order) {                                                                       \
    (void)__tsan_atomic##bits##_compare_exchange_strong(place, &expected, value, order,          \
                                                        failure_order);                          \
    return expected;                                                                             \
  }
MAKE_ATOMIC(8)
MAKE_ATOMIC(16)
MAKE_ATOMIC(32)
MAKE_ATOMIC(64)

ARB_HOOK void __tsan_atomic_thread_fence(int order) {
  (void)order;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
ARB_HOOK void __tsan_atomic_signal_fence(int order) {
  (void)order;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
