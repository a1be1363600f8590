/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "CArbiter.h"
#include "CArbiterPersist.h"
#include "copy_engines.h"

/* Source: Intel SDM volume 1, 14.3 and 15.2 (AVX2 and AVX-512: OSXSAVE, then the state that XCR0
 * says the kernel saves, then the instruction's own bit); volume 2A, CPUID. */
enum {
  BASIC_OSXSAVE = 1 << 27,      /* leaf 1, ECX */
  BASIC_AVX = 1 << 28,          /* leaf 1, ECX */
  EXTENDED_AVX2 = 1 << 5,       /* leaf 7, EBX */
  EXTENDED_AVX512F = 1 << 16,   /* leaf 7, EBX */
  EXTENDED_CLFLUSHOPT = 1 << 23, /* leaf 7, EBX */
  EXTENDED_CLWB = 1 << 24,      /* leaf 7, EBX */
  STATE_YMM = 0x06,             /* XCR0: XMM and upper halves of YMM */
  STATE_ZMM = 0xE6              /* XCR0: those, mask registers, upper halves of ZMM, ZMM16-31 */
};

static uint32_t saved_state(void) {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static uint32_t extended_features(void) {
  return arb_cpuid(0, 0).eax >= 7 ? arb_cpuid(7, 0).ebx : 0;
}

uint32_t arb_persist_best_vector(void) {
  const uint32_t basic = arb_cpuid(1, 0).ecx;
  const uint32_t extended = extended_features();
  if ((basic & BASIC_OSXSAVE) == 0 || (basic & BASIC_AVX) == 0) return ARB_VECTOR_SSE2;
  const uint32_t state = saved_state();
  if ((extended & EXTENDED_AVX512F) != 0 && (state & STATE_ZMM) == STATE_ZMM) {
    return ARB_VECTOR_AVX512;
  }
  if ((extended & EXTENDED_AVX2) != 0 && (state & STATE_YMM) == STATE_YMM) return ARB_VECTOR_AVX2;
  return ARB_VECTOR_SSE2;
}

uint32_t arb_persist_best_flush(void) {
  const uint32_t extended = extended_features();
  if ((extended & EXTENDED_CLWB) != 0) return ARB_FLUSH_CLWB;
  if ((extended & EXTENDED_CLFLUSHOPT) != 0) return ARB_FLUSH_CLFLUSHOPT;
  return ARB_FLUSH_CLFLUSH;
}

ArbPersistOps arb_persist_ops(uint32_t flush_kind, uint32_t vector_kind) {
  const uint32_t extended = extended_features();
  if (flush_kind >= ARB_FLUSH_CLWB && (extended & EXTENDED_CLWB) == 0) {
    flush_kind = ARB_FLUSH_CLFLUSHOPT;
  }
  if (flush_kind == ARB_FLUSH_CLFLUSHOPT && (extended & EXTENDED_CLFLUSHOPT) == 0) {
    flush_kind = ARB_FLUSH_CLFLUSH;
  }
  if (flush_kind > ARB_FLUSH_CLWB) flush_kind = ARB_FLUSH_CLWB;
  const uint32_t best = arb_persist_best_vector();
  if (vector_kind > best) vector_kind = best;
  return *arb_persist_ops_named(flush_kind, vector_kind);
}

const ArbPersistOps *arb_persist_ops_named(uint32_t flush_kind, uint32_t vector_kind) {
  switch (vector_kind) {
    case ARB_VECTOR_AVX512: return &arb_copy_engine_avx512[flush_kind];
    case ARB_VECTOR_AVX2: return &arb_copy_engine_avx2[flush_kind];
    default: return &arb_copy_engine_sse2[flush_kind];
  }
}
