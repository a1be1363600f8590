/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Instructions and system calls that Swift cannot reach by itself. No policy, no state.
 *
 * The store and flush shims are plain inline functions without a target attribute: an attribute
 * would make Swift call them instead of inlining them. Nobody may reach arb_flush_clwb or
 * arb_flush_clflushopt before CPUID has said that the instruction exists.
 *
 * Non-temporal stores are inline assembly, not _mm_stream_si128. To the compiler the intrinsic is
 * an ordinary store with a hint, and its passes may drop the hint: Swift 6.3.1 merged a loop of
 * such stores with a loop of ordinary ones, so that both went to the cache.
 */
#ifndef CARBITER_H
#define CARBITER_H

#include <cpuid.h>
#include <emmintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <x86intrin.h>

/* Instructions: stores, flushes, fences. */

/* Writes 16 aligned bytes past the caches, whatever the optimiser thinks of it. */
static inline void arb_stream_16(__m128i *_Nonnull target, __m128i value) {
  __asm__ volatile("movntdq %1, %0" : "=m"(*target) : "x"(value));
}

/* Writes one 64-byte line past the caches. `target` must be 64-byte aligned. */
static inline void arb_store_nt_line(
    void *_Nonnull target, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
    uint64_t w5, uint64_t w6, uint64_t w7) {
  __m128i *line = (__m128i *)target;
  arb_stream_16(line + 0, _mm_set_epi64x((long long)w1, (long long)w0));
  arb_stream_16(line + 1, _mm_set_epi64x((long long)w3, (long long)w2));
  arb_stream_16(line + 2, _mm_set_epi64x((long long)w5, (long long)w4));
  arb_stream_16(line + 3, _mm_set_epi64x((long long)w7, (long long)w6));
}

/* Writes one 64-byte line into the cache. `target` must be 16-byte aligned. */
static inline void arb_store_line(
    void *_Nonnull target, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
    uint64_t w5, uint64_t w6, uint64_t w7) {
  __m128i *line = (__m128i *)target;
  _mm_store_si128(line + 0, _mm_set_epi64x((long long)w1, (long long)w0));
  _mm_store_si128(line + 1, _mm_set_epi64x((long long)w3, (long long)w2));
  _mm_store_si128(line + 2, _mm_set_epi64x((long long)w5, (long long)w4));
  _mm_store_si128(line + 3, _mm_set_epi64x((long long)w7, (long long)w6));
}

/* Copies one 64-byte line past the caches. `target` must be 64-byte aligned, `source` need not. */
static inline void arb_copy_nt_line(void *_Nonnull target, const void *_Nonnull source) {
  const __m128i *from = (const __m128i *)source;
  __m128i *line = (__m128i *)target;
  arb_stream_16(line + 0, _mm_loadu_si128(from + 0));
  arb_stream_16(line + 1, _mm_loadu_si128(from + 1));
  arb_stream_16(line + 2, _mm_loadu_si128(from + 2));
  arb_stream_16(line + 3, _mm_loadu_si128(from + 3));
}

/* Copies one 64-byte line through the cache. `target` must be 16-byte aligned. */
static inline void arb_copy_line(void *_Nonnull target, const void *_Nonnull source) {
  const __m128i *from = (const __m128i *)source;
  __m128i *line = (__m128i *)target;
  _mm_store_si128(line + 0, _mm_loadu_si128(from + 0));
  _mm_store_si128(line + 1, _mm_loadu_si128(from + 1));
  _mm_store_si128(line + 2, _mm_loadu_si128(from + 2));
  _mm_store_si128(line + 3, _mm_loadu_si128(from + 3));
}

/* Writes a line back and may keep it in the cache. */
static inline void arb_flush_clwb(void *_Nonnull line) {
  __asm__ volatile("clwb %0" : "+m"(*(volatile char *)line)::"memory");
}

/* Writes a line back and evicts it; unordered against other flushes. */
static inline void arb_flush_clflushopt(void *_Nonnull line) {
  __asm__ volatile("clflushopt %0" : "+m"(*(volatile char *)line)::"memory");
}

/* Writes a line back and evicts it; ordered, on every x86-64. */
static inline void arb_flush_clflush(void *_Nonnull line) {
  __asm__ volatile("clflush %0" : "+m"(*(volatile char *)line)::"memory");
}

/* Orders all earlier stores and write-backs before all later stores. */
static inline void arb_fence_store(void) { __asm__ volatile("sfence" ::: "memory"); }

/* Waits until all earlier loads and stores are complete; nothing later starts before. For clocks:
 * the store fence orders stores among each other, and a clock may be read before they arrive. */
static inline void arb_fence_full(void) { __asm__ volatile("mfence" ::: "memory"); }

/* Stores a word at once or not at all, also towards a loss of power (8 aligned bytes); release:
 * whoever loads it with acquire sees what was stored before it. */
static inline void arb_store_word(void *_Nonnull place, uint64_t word) {
  __atomic_store_n((uint64_t *)place, word, __ATOMIC_RELEASE);
}

/* Loads a word at once; acquire, partner of arb_store_word. */
static inline uint64_t arb_load_word(const void *_Nonnull place) {
  return __atomic_load_n((const uint64_t *)place, __ATOMIC_ACQUIRE);
}

/* Loads a word at this place of the program, whatever the optimiser thinks of it: for clocks. */
static inline uint64_t arb_load_now(const void *_Nonnull place) {
  uint64_t word;
  __asm__ volatile("movq %1, %0" : "=r"(word) : "m"(*(const uint64_t *)place) : "memory");
  return word;
}

/* Tells the core that the thread spins. */
static inline void arb_pause(void) { __asm__ volatile("pause" ::: "memory"); }

/* Instructions: time and identity. */

/* The time-stamp counter; later instructions may start before it is read. */
static inline int64_t arb_read_tsc(void) { return (int64_t)__rdtsc(); }

/* The time-stamp counter once all earlier instructions have been executed. */
static inline int64_t arb_read_tsc_ordered(void) {
  unsigned int core;
  return (int64_t)__rdtscp(&core);
}

/* The four registers that CPUID answers with. */
typedef struct {
  uint32_t eax, ebx, ecx, edx;
} ArbCpuid;

/* CPUID of a leaf that the caller has found to exist. */
static inline ArbCpuid arb_cpuid(uint32_t leaf, uint32_t subleaf) {
  ArbCpuid answer;
  __cpuid_count(leaf, subleaf, answer.eax, answer.ebx, answer.ecx, answer.edx);
  return answer;
}

/* System calls. Each returns -errno on failure. */

/* The kernel's number of the calling thread. */
int64_t arb_thread_number(void);

/* Lets the calling thread run on the CPUs whose bits are set in `mask`. */
int64_t arb_thread_set_affinity(const uint64_t *_Nonnull mask, size_t byte_count);

/* Reads the CPUs that the calling thread may use; returns the bytes written. */
int64_t arb_thread_get_affinity(uint64_t *_Nonnull mask, size_t byte_count);

/* Sleeps while `*word == expected`, at most `nanoseconds`; wakes on arb_futex_wake. */
int64_t arb_futex_wait(const void *_Nonnull word, uint32_t expected, int64_t nanoseconds);

/* Wakes every thread that sleeps on `word`. */
int64_t arb_futex_wake(const void *_Nonnull word);

/* The magic number of the file system that holds `path`. */
int64_t arb_filesystem_magic(const char *_Nonnull path);

/* 1 where the kernel maps the file directly (DAX), 0 where not, -EOPNOTSUPP where it cannot say. */
int64_t arb_file_is_dax(const char *_Nonnull path);

/* The numbers of the device that a special file names, as major << 32 | minor. */
int64_t arb_file_device_numbers(const char *_Nonnull path);

/* Maps `byte_count` bytes from `offset` on, readable and writable, at an address that is a multiple
 * of `alignment` (a power of two, at least a page). Room is reserved without access first, so that
 * nothing else can take the address meanwhile. */
int64_t arb_map_aligned(
    size_t byte_count, size_t alignment, int descriptor, int flags, int64_t offset);

/* A file in DRAM without a path, closed on exec. */
int64_t arb_memory_file(const char *_Nonnull name);

/* A new file for its owner alone in `folder`, without a name, to be named by linkat. */
int64_t arb_open_nameless(const char *_Nonnull folder);

/* Opens a file that exists, past the page cache (O_DIRECT, which Swift does not see). */
int64_t arb_open_direct(const char *_Nonnull path, int flags);

/* The numbers of the device that holds the file, as major << 32 | minor. */
int64_t arb_file_holder(int descriptor);

/* The numbers of the device that an open special file is, as major << 32 | minor. */
int64_t arb_file_device(int descriptor);

/* What fstatfs says of an open file: the magic number of its file system. */
int64_t arb_file_magic(int descriptor);

/* Copies through the kernel between two places of this process; returns the bytes copied, which
 * are fewer where memory behind the first cannot be read or written. No signal is raised. */
int64_t arb_copy_checked(
    void *_Nonnull target, const void *_Nonnull source, size_t byte_count, int writes);

/* Reserves `byte_count` bytes of a file on its medium from offset 0. */
int64_t arb_file_allocate(int descriptor, int64_t byte_count);

/* Pages and memory nodes. */

/* Moves pages of a process to nodes, or tells where they lie where `nodes` is NULL. Each status is
 * a node or a negative errno; those that the kernel did not get to stay as they were. With
 * `moves_shared` pages that several processes map move too, which needs CAP_SYS_NICE. Returns 0,
 * or how many pages were not moved. */
int64_t arb_pages_move(
    int process, size_t count, const uint64_t *_Nonnull addresses, const int32_t *_Nullable nodes,
    int32_t *_Nonnull status, int moves_shared);

/* 0 where this thread may move pages that several processes map, -EPERM where not. */
int64_t arb_pages_may_move_shared(void);

/* What a thread says of where its memory is to come from. */
typedef struct {
  int32_t mode;
  uint64_t nodes[16];
} ArbMemoryPolicy;

/* Lets new memory of the calling thread, and of what it starts, come from the node it runs on, by
 * a policy that keeps the kernel's balancing of nodes away from it. Notes what was in force. */
int64_t arb_memory_policy_local(ArbMemoryPolicy *_Nonnull before);

/* Puts back into force what was noted. */
int64_t arb_memory_policy_restore(const ArbMemoryPolicy *_Nonnull before);

/* Return addresses of the calling thread, innermost first, by the C library's unwinder. Writes at
 * most `count` of them and returns how many. The first call may allocate. */
int32_t arb_return_addresses(uintptr_t *_Nonnull addresses, int32_t count);

#endif
