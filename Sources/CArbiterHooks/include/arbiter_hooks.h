/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * libarbiter-hooks.a: records the loads and stores of a program that was compiled with one of the
 * sets of flags below, under `arbiter record`. Without it the hooks cost a few instructions.
 *
 *   gcc     -fsanitize=thread --param tsan-instrument-func-entry-exit=0
 *   clang   -fsanitize=thread -mllvm -tsan-instrument-func-entry-exit=0
 *           -mllvm -tsan-instrument-read-before-write=1
 *   clang   -fsanitize-coverage=func,trace-loads,trace-stores
 *
 * The flags are for compiling alone, never for linking, where there is
 *
 *   -larbiter-hooks -Wl,--wrap=memcpy,--wrap=memmove,--wrap=memset,--wrap=mmap,--wrap=mmap64,
 *   --wrap=munmap,--wrap=mremap
 *
 * `pkg-config arbiter-hooks` knows them all: --variable=gcc, --variable=clang,
 * --variable=clang_coverage, and --libs.
 *
 * Recorded are accesses to memory of shared file mappings that the program makes itself (mmap), and
 * to ranges that it names with the functions below. What the compiler does not see is not recorded:
 * other libraries, the kernel, inline assembly, write-back and fence instructions. The functions
 * below say the latter. Documentation/Recording.md has the details, with what each set of flags
 * sees and does not.
 */
#ifndef ARBITER_HOOKS_H
#define ARBITER_HOOKS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Records accesses to this memory from now on. Ranges of the same name are one region of the
 * recording, also in several processes; offsets count from `address`. A range inside another one
 * has precedence. Returns 0; 1 where the program is not being recorded; -1 with errno ENOSPC where
 * 64 ranges are there already, or EINVAL for an empty range. */
int arbiter_record_range(const void *address, size_t bytes, const char *name);

/* Ends that, for the range that begins at `address`. */
void arbiter_forget_range(const void *address);

/* Say what the compiler does not see: non-temporal stores, write-backs (clwb, clflushopt, clflush)
 * and fences (sfence, mfence). Called beside the instructions, which they do not execute. */
void arbiter_record_store_nt(const void *address, size_t bytes);
void arbiter_record_flush(const void *address, size_t bytes);
void arbiter_record_fence(void);

/* The same for loads and stores by inline assembly or by code that was compiled without hooks. */
void arbiter_record_load(const void *address, size_t bytes);
void arbiter_record_store(const void *address, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
