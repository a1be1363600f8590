/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Copies, fills and write-backs for memory whose stores have to survive: one table of functions,
 * resolved once, that every user of a mapping shares. Nothing here allocates, makes a system call
 * or fences; the caller fences (arb_fence_store) before anything relies on the bytes.
 *
 *   cached   the bytes go through the cache, each touched line is then written back by the table's
 *            flush instruction.
 *   stream   whole lines go past the cache (non-temporal), which needs no write-back. The first and
 *            the last line, where the range covers them only in part, go through the cache and are
 *            written back. Non-temporal stores are weakly ordered: other processors, and the
 *            medium, may see them after later stores, until the caller fences.
 *
 * Every move has the meaning of memmove: source and target may overlap.
 */
#ifndef CARBITERPERSIST_H
#define CARBITERPERSIST_H

#include <stddef.h>
#include <stdint.h>

/* How a line is written back. */
enum {
  ARB_FLUSH_NONE = 0,       /* not at all: the caches survive, or write-back would mean nothing */
  ARB_FLUSH_CLFLUSH = 1,    /* evicts, ordered; every x86-64 */
  ARB_FLUSH_CLFLUSHOPT = 2, /* evicts, in any order */
  ARB_FLUSH_CLWB = 3        /* may keep the line */
};

/* The registers that carry a copy. */
enum {
  ARB_VECTOR_SSE2 = 0,  /* 16 bytes; every x86-64 */
  ARB_VECTOR_AVX2 = 1,  /* 32 bytes */
  ARB_VECTOR_AVX512 = 2 /* 64 bytes, a whole line per store */
};

/* From this many bytes on a whole copy goes past the cache where the caller does not care. Below
 * it, lines that the program has just read are cheaper to store and write back. */
#define ARB_STREAM_BYTES_MIN 256

typedef void (*ArbMove)(void *_Nonnull target, const void *_Nonnull source, size_t byte_count);
typedef void (*ArbFill)(void *_Nonnull target, uint8_t byte, size_t byte_count);
typedef void (*ArbFlush)(const void *_Nonnull start, size_t byte_count);

/* What a mapping does to its bytes. */
typedef struct {
  ArbMove _Nonnull move_cached;
  ArbMove _Nonnull move_stream;
  ArbFill _Nonnull fill_cached;
  ArbFill _Nonnull fill_stream;
  /* Starts the write-back of every line that the range touches; nothing for an empty range. */
  ArbFlush _Nonnull flush;
  size_t stream_bytes_min;
  uint32_t flush_kind;
  uint32_t vector_kind;
} ArbPersistOps;

/* The best vector kind that this processor has and the kernel saves (CPUID and XGETBV). */
uint32_t arb_persist_best_vector(void);

/* The best flush kind that this processor has. */
uint32_t arb_persist_best_flush(void);

/* The table for a flush kind and a vector kind. Kinds that the processor lacks are replaced by the
 * best it has below them, so that what the table names (flush_kind, vector_kind) can be run. */
ArbPersistOps arb_persist_ops(uint32_t flush_kind, uint32_t vector_kind);

/* The table of two kinds that a table of arb_persist_ops names. Asks the processor nothing, which
 * costs microseconds in a virtual machine. */
const ArbPersistOps *_Nonnull arb_persist_ops_named(uint32_t flush_kind, uint32_t vector_kind);

/* Moves bytes by the way that suits their number. */
static inline void arb_persist_move(
    const ArbPersistOps *_Nonnull ops, void *_Nonnull target, const void *_Nonnull source,
    size_t byte_count) {
  if (byte_count < ops->stream_bytes_min) {
    ops->move_cached(target, source, byte_count);
  } else {
    ops->move_stream(target, source, byte_count);
  }
}

/* Fills bytes by the way that suits their number. */
static inline void arb_persist_fill(
    const ArbPersistOps *_Nonnull ops, void *_Nonnull target, uint8_t byte, size_t byte_count) {
  if (byte_count < ops->stream_bytes_min) {
    ops->fill_cached(target, byte, byte_count);
  } else {
    ops->fill_stream(target, byte, byte_count);
  }
}

#endif
