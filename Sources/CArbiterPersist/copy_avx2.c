/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Copies by 32 bytes.
 */
#include <immintrin.h>

#include "copy_engines.h"

#define ENGINE(name) name##_avx2
#define ENGINE_KIND ARB_VECTOR_AVX2
#define ENGINE_TARGET __attribute__((target("avx2")))
#define VECTOR __m256i
#define VECTOR_BYTES 32
#define VECTOR_LOAD(place) _mm256_loadu_si256((const __m256i *)(const void *)(place))
#define VECTOR_STORE(place, value) _mm256_storeu_si256((__m256i *)(void *)(place), value)
#define VECTOR_SPLAT(byte) _mm256_set1_epi8((char)(byte))
#define VECTOR_STREAM "vmovntdq"
#define VECTOR_REGISTER(value) "x"(value)
#define GROUP_LINES 4

#include "copy_engine.h"
