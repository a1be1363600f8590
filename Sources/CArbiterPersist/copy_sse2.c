/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Copies by 16 bytes: what every x86-64 can do.
 */
#include <immintrin.h>

#include "copy_engines.h"

#define ENGINE(name) name##_sse2
#define ENGINE_KIND ARB_VECTOR_SSE2
#define ENGINE_TARGET 
#define VECTOR __m128i
#define VECTOR_BYTES 16
#define VECTOR_LOAD(place) _mm_loadu_si128((const __m128i *)(const void *)(place))
#define VECTOR_STORE(place, value) _mm_storeu_si128((__m128i *)(void *)(place), value)
#define VECTOR_SPLAT(byte) _mm_set1_epi8((char)(byte))
#define VECTOR_STREAM "movntdq"
#define VECTOR_REGISTER(value) "x"(value)
#define GROUP_LINES 2

#include "copy_engine.h"
