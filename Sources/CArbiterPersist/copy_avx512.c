/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Copies by 64 bytes: one store is one line, which no other store can tear.
 */
#include <immintrin.h>

#include "copy_engines.h"

#define ENGINE(name) name##_avx512
#define ENGINE_KIND ARB_VECTOR_AVX512
#define ENGINE_TARGET __attribute__((target("avx512f")))
#define VECTOR __m512i
#define VECTOR_BYTES 64
#define VECTOR_LOAD(place) _mm512_loadu_si512((const void *)(place))
#define VECTOR_STORE(place, value) _mm512_storeu_si512((void *)(place), value)
#define VECTOR_SPLAT(byte) _mm512_set1_epi32((int)((byte)*0x01010101u))
#define VECTOR_STREAM "vmovntdq"
#define VECTOR_REGISTER(value) "v"(value)
#define GROUP_LINES 8

#include "copy_engine.h"
