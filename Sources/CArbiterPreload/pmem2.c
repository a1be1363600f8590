/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The functions of libpmem2. A program asks a mapping for its functions, which differ with the
 * mapping's store granularity and carry no context. There are a handful of them: a getter hands out
 * a trampoline of its own for each real function that it meets, and the trampoline knows which one
 * that is by its number.
 */
#define _GNU_SOURCE
#include "preload.h"

#define LIBPMEM2 "libpmem2.so.1"
#define GRANULARITY_PAGE 2 /* PMEM2_GRANULARITY_PAGE: each piece would be an msync */

/* More than libpmem2 has functions of any one kind (it has three, one for each granularity). */
#define TRAMPOLINE_COUNT 4
#define FOR_EACH_TRAMPOLINE(make) make(0) make(1) make(2) make(3)

struct pmem2_map;
struct pmem2_config;
struct pmem2_source;

static ArbReal real_get_persist = {"pmem2_get_persist_fn", LIBPMEM2, NULL};
static ArbReal real_get_flush = {"pmem2_get_flush_fn", LIBPMEM2, NULL};
static ArbReal real_get_drain = {"pmem2_get_drain_fn", LIBPMEM2, NULL};
static ArbReal real_get_memcpy = {"pmem2_get_memcpy_fn", LIBPMEM2, NULL};
static ArbReal real_get_memmove = {"pmem2_get_memmove_fn", LIBPMEM2, NULL};
static ArbReal real_get_memset = {"pmem2_get_memset_fn", LIBPMEM2, NULL};
static ArbReal real_get_granularity = {"pmem2_map_get_store_granularity", LIBPMEM2, NULL};
static ArbReal real_map_new = {"pmem2_map_new", LIBPMEM2, NULL};
static ArbReal real_map_from_existing = {"pmem2_map_from_existing", LIBPMEM2, NULL};
static ArbReal real_map_delete = {"pmem2_map_delete", LIBPMEM2, NULL};
static ArbReal real_deep_flush = {"pmem2_deep_flush", LIBPMEM2, NULL};

typedef void (*AnyFunction)(void);

/* What stands behind one trampoline. `real` is claimed first; the rest is written by whoever
 * claimed it, and again with the same values by whoever meets the function later. */
typedef struct {
  AnyFunction real;
  AnyFunction part;  /* of a persist: the flush that goes with it */
  uint32_t is_whole; /* the mapping has page granularity */
} Behind;

static uint32_t is_page_granular(struct pmem2_map *map) {
  int (*get)(struct pmem2_map *) = (int (*)(struct pmem2_map *))arb_real(&real_get_granularity);
  return get(map) == GRANULARITY_PAGE;
}

/* The number of the trampoline for `real`, or -1. */
static int number_of(Behind *table, AnyFunction real, AnyFunction part, uint32_t is_whole) {
  for (int number = 0; number < TRAMPOLINE_COUNT; number++) {
    AnyFunction found = NULL;
    /* Relaxed: a program that hands the trampoline to another thread orders the fields itself. */
    if (!__atomic_compare_exchange_n(&table[number].real, &found, real, 0, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED) &&
        found != real) {
      continue;
    }
    __atomic_store_n(&table[number].part, part, __ATOMIC_RELAXED);
    __atomic_store_n(&table[number].is_whole, is_whole, __ATOMIC_RELAXED);
    return number;
  }
  return -1;
}

static AnyFunction behind(const Behind *entry) {
  return __atomic_load_n(&entry->real, __ATOMIC_RELAXED);
}

static Behind copies[TRAMPOLINE_COUNT], moves[TRAMPOLINE_COUNT], sets[TRAMPOLINE_COUNT];
static Behind flushes[TRAMPOLINE_COUNT], persists[TRAMPOLINE_COUNT], drains[TRAMPOLINE_COUNT];

static void *copy(const Behind *entry, void *target, const void *source, size_t byte_count,
                  unsigned flags, uintptr_t frame) {
  ArbStore store = {.kind = ARB_STORE_COPY, .call = ARB_CALL_COPY, .flags = flags,
                    .target = target, .source = source, .byte_count = byte_count,
                    .is_whole = __atomic_load_n(&entry->is_whole, __ATOMIC_RELAXED)};
  store.real.copy = (ArbCopyFunction)behind(entry);
  arb_store_submit(&store, frame);
  return target;
}

static void *set(const Behind *entry, void *target, int value, size_t byte_count, unsigned flags,
                 uintptr_t frame) {
  ArbStore store = {.kind = ARB_STORE_SET, .call = ARB_CALL_SET, .flags = flags, .value = value,
                    .target = target, .byte_count = byte_count,
                    .is_whole = __atomic_load_n(&entry->is_whole, __ATOMIC_RELAXED)};
  store.real.set = (ArbSetFunction)behind(entry);
  arb_store_submit(&store, frame);
  return target;
}

static void write_back(const Behind *entry, ArbCallKind call, const void *address,
                       size_t byte_count, uintptr_t frame) {
  ArbStore store = {.kind = ARB_STORE_RANGE, .call = call, .byte_count = byte_count,
                    .target = (char *)(uintptr_t)address,
                    .is_whole = __atomic_load_n(&entry->is_whole, __ATOMIC_RELAXED)};
  store.real.range.part = (ArbRangeFunction)__atomic_load_n(&entry->part, __ATOMIC_RELAXED);
  store.real.range.last = (ArbRangeFunction)behind(entry);
  arb_store_submit(&store, frame);
}

static void drain(const Behind *entry, uintptr_t frame) {
  ArbThread *thread = arb_enter(frame);
  if (thread == NULL) {
    behind(entry)();
    return;
  }
  arb_count_drain(thread);
  int64_t start = arb_record_start(thread, 0);
  behind(entry)();
  arb_thread_note_fence(thread);
  arb_record_fence(thread, start);
  thread->guard = ARB_GUARD_DOWN;
}

#define MAKE_TRAMPOLINES(n)                                                              \
  static void *copy_##n(void *target, const void *source, size_t count, unsigned flags) { \
    return copy(&copies[n], target, source, count, flags, ARB_FRAME);                    \
  }                                                                                      \
  static void *move_##n(void *target, const void *source, size_t count, unsigned flags) { \
    return copy(&moves[n], target, source, count, flags, ARB_FRAME);                     \
  }                                                                                      \
  static void *set_##n(void *target, int value, size_t count, unsigned flags) {          \
    return set(&sets[n], target, value, count, flags, ARB_FRAME);                        \
  }                                                                                      \
  static void flush_##n(const void *address, size_t count) {                             \
    write_back(&flushes[n], ARB_CALL_FLUSH, address, count, ARB_FRAME);                  \
  }                                                                                      \
  static void persist_##n(const void *address, size_t count) {                           \
    write_back(&persists[n], ARB_CALL_PERSIST, address, count, ARB_FRAME);               \
  }                                                                                      \
  static void drain_##n(void) { drain(&drains[n], ARB_FRAME); }
FOR_EACH_TRAMPOLINE(MAKE_TRAMPOLINES)

#define COPY(n) copy_##n,
#define MOVE(n) move_##n,
#define SET(n) set_##n,
#define FLUSH(n) flush_##n,
#define PERSIST(n) persist_##n,
#define DRAIN(n) drain_##n,
static const ArbCopyFunction copy_trampolines[] = {FOR_EACH_TRAMPOLINE(COPY)};
static const ArbCopyFunction move_trampolines[] = {FOR_EACH_TRAMPOLINE(MOVE)};
static const ArbSetFunction set_trampolines[] = {FOR_EACH_TRAMPOLINE(SET)};
static const ArbRangeFunction flush_trampolines[] = {FOR_EACH_TRAMPOLINE(FLUSH)};
static const ArbRangeFunction persist_trampolines[] = {FOR_EACH_TRAMPOLINE(PERSIST)};
static const ArbDrainFunction drain_trampolines[] = {FOR_EACH_TRAMPOLINE(DRAIN)};

/* The function that the real getter answers with; a number of -1 leaves it as it is, ungated. */
static AnyFunction ask(ArbReal *getter, struct pmem2_map *map) {
  AnyFunction (*get)(struct pmem2_map *) = (AnyFunction(*)(struct pmem2_map *))arb_real(getter);
  return get(map);
}

/* Whether functions are to be wrapped: not those that libpmem2 asks for inside a call of ours. */
static int is_active(void) {
  return __atomic_load_n(&arb_preload_is_active, __ATOMIC_RELAXED) != 0;
}

ARB_EXPORT ArbCopyFunction pmem2_get_memcpy_fn(struct pmem2_map *map) {
  AnyFunction real = ask(&real_get_memcpy, map);
  int number = is_active() ? number_of(copies, real, NULL, is_page_granular(map)) : -1;
  return number < 0 ? (ArbCopyFunction)real : copy_trampolines[number];
}

ARB_EXPORT ArbCopyFunction pmem2_get_memmove_fn(struct pmem2_map *map) {
  AnyFunction real = ask(&real_get_memmove, map);
  int number = is_active() ? number_of(moves, real, NULL, is_page_granular(map)) : -1;
  return number < 0 ? (ArbCopyFunction)real : move_trampolines[number];
}

ARB_EXPORT ArbSetFunction pmem2_get_memset_fn(struct pmem2_map *map) {
  AnyFunction real = ask(&real_get_memset, map);
  int number = is_active() ? number_of(sets, real, NULL, is_page_granular(map)) : -1;
  return number < 0 ? (ArbSetFunction)real : set_trampolines[number];
}

ARB_EXPORT ArbRangeFunction pmem2_get_flush_fn(struct pmem2_map *map) {
  AnyFunction real = ask(&real_get_flush, map);
  int number = is_active() ? number_of(flushes, real, real, is_page_granular(map)) : -1;
  return number < 0 ? (ArbRangeFunction)real : flush_trampolines[number];
}

ARB_EXPORT ArbRangeFunction pmem2_get_persist_fn(struct pmem2_map *map) {
  AnyFunction real = ask(&real_get_persist, map);
  AnyFunction part = ask(&real_get_flush, map);
  int number = is_active() ? number_of(persists, real, part, is_page_granular(map)) : -1;
  return number < 0 ? (ArbRangeFunction)real : persist_trampolines[number];
}

ARB_EXPORT ArbDrainFunction pmem2_get_drain_fn(struct pmem2_map *map) {
  AnyFunction real = ask(&real_get_drain, map);
  int number = is_active() ? number_of(drains, real, NULL, 0) : -1;
  return number < 0 ? (ArbDrainFunction)real : drain_trampolines[number];
}

ARB_EXPORT int pmem2_deep_flush(struct pmem2_map *map, void *address, size_t byte_count) {
  int (*real)(struct pmem2_map *, void *, size_t) = arb_real(&real_deep_flush);
  ArbThread *thread = arb_enter(ARB_FRAME);
  if (thread == NULL) return real(map, address, byte_count);
  arb_count_deep(thread, (uint64_t)(uintptr_t)address, byte_count);
  int64_t start = arb_record_start(thread, (uint64_t)(uintptr_t)address);
  int result = real(map, address, byte_count);
  arb_thread_note_fence(thread);
  arb_record_flush(thread, address, byte_count, start);
  thread->guard = ARB_GUARD_DOWN;
  return result;
}

ARB_EXPORT int pmem2_map_new(struct pmem2_map **map, const struct pmem2_config *configuration,
                             const struct pmem2_source *source) {
  int (*real)(struct pmem2_map **, const struct pmem2_config *, const struct pmem2_source *) =
      arb_real(&real_map_new);
  int result = real(map, configuration, source);
  arb_ranges_forget();
  return result;
}

ARB_EXPORT int pmem2_map_from_existing(struct pmem2_map **map, const struct pmem2_source *source,
                                       void *address, size_t byte_count, int granularity) {
  int (*real)(struct pmem2_map **, const struct pmem2_source *, void *, size_t, int) =
      arb_real(&real_map_from_existing);
  int result = real(map, source, address, byte_count, granularity);
  arb_ranges_forget();
  return result;
}

ARB_EXPORT int pmem2_map_delete(struct pmem2_map **map) {
  int (*real)(struct pmem2_map **) = arb_real(&real_map_delete);
  int result = real(map);
  arb_ranges_forget();
  return result;
}
