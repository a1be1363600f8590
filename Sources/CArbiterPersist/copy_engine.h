/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The body of a copy engine, compiled once per kind of vector. Before it is included, define
 *
 *   VECTOR          the register's type           VECTOR_BYTES  its size: 16, 32 or 64
 *   VECTOR_LOAD(p)  an unaligned load             VECTOR_STREAM the non-temporal store's mnemonic
 *   VECTOR_STORE(p, v)  an unaligned store        VECTOR_SPLAT(b)  a byte in every place
 *   GROUP_LINES     lines loaded before the first of them is stored
 *   ENGINE(name)    the name with the vector's suffix
 *   ENGINE_TARGET   the attribute that lets the compiler use the vector
 *
 * Moves may overlap. A move to a lower address goes upwards, one to a higher address downwards, and
 * every step loads all it will store before it stores, so that no byte is read after it was lost.
 *
 * Non-temporal stores are volatile assembly: to the compiler the intrinsic is an ordinary store
 * with a hint that its passes may drop (see CArbiter.h).
 */
#include <string.h>

#include "CArbiter.h"
#include "CArbiterPersist.h"

#define LINE_BYTES 64
#define LINE_VECTORS (LINE_BYTES / VECTOR_BYTES)
#define INLINE static inline __attribute__((always_inline)) ENGINE_TARGET

typedef struct {
  VECTOR parts[LINE_VECTORS];
} ENGINE(Line);

INLINE void write_back(const void *line, uint32_t flush) {
  switch (flush) {
    case ARB_FLUSH_CLWB: arb_flush_clwb((void *)(uintptr_t)line); break;
    case ARB_FLUSH_CLFLUSHOPT: arb_flush_clflushopt((void *)(uintptr_t)line); break;
    case ARB_FLUSH_CLFLUSH: arb_flush_clflush((void *)(uintptr_t)line); break;
    default: break;
  }
}

INLINE void write_back_range(const char *start, size_t count, uint32_t flush) {
  if (flush == ARB_FLUSH_NONE || count == 0) return;
  const char *line = (const char *)((uintptr_t)start & ~(uintptr_t)(LINE_BYTES - 1));
  for (; line < start + count; line += LINE_BYTES) write_back(line, flush);
}

INLINE ENGINE(Line) load_line(const char *source) {
  ENGINE(Line) line;
  for (int part = 0; part < LINE_VECTORS; part++) {
    line.parts[part] = VECTOR_LOAD(source + part * VECTOR_BYTES);
  }
  return line;
}

INLINE void store_line(char *target, ENGINE(Line) line) {
  for (int part = 0; part < LINE_VECTORS; part++) {
    VECTOR_STORE(target + part * VECTOR_BYTES, line.parts[part]);
  }
}

INLINE void stream_line(char *target, ENGINE(Line) line) {
  for (int part = 0; part < LINE_VECTORS; part++) {
    VECTOR *place = (VECTOR *)(void *)(target + part * VECTOR_BYTES);
    __asm__ volatile(VECTOR_STREAM " %1, %0" : "=m"(*place) : VECTOR_REGISTER(line.parts[part]));
  }
}

/* Stores a whole line that starts on a line boundary. */
INLINE void put_line(char *target, ENGINE(Line) line, int streams, uint32_t flush) {
  if (streams) {
    stream_line(target, line);
  } else {
    store_line(target, line);
    write_back(target, flush);
  }
}

/* Two overlapping pieces of one type cover every count from its size to twice its size. */
#define MOVE_ENDS(TYPE)                                        \
  do {                                                         \
    TYPE first, last;                                          \
    memcpy(&first, source, sizeof first);                      \
    memcpy(&last, source + count - sizeof last, sizeof last);  \
    memcpy(target, &first, sizeof first);                      \
    memcpy(target + count - sizeof last, &last, sizeof last);  \
  } while (0)

/* Moves fewer than two lines' worth of bytes, at most 64, through the cache. */
INLINE void move_few(char *target, const char *source, size_t count) {
  if (count > 32) {
    __m128i first = _mm_loadu_si128((const __m128i *)(const void *)source);
    __m128i second = _mm_loadu_si128((const __m128i *)(const void *)(source + 16));
    __m128i third = _mm_loadu_si128((const __m128i *)(const void *)(source + count - 32));
    __m128i fourth = _mm_loadu_si128((const __m128i *)(const void *)(source + count - 16));
    _mm_storeu_si128((__m128i *)(void *)target, first);
    _mm_storeu_si128((__m128i *)(void *)(target + 16), second);
    _mm_storeu_si128((__m128i *)(void *)(target + count - 32), third);
    _mm_storeu_si128((__m128i *)(void *)(target + count - 16), fourth);
  } else if (count >= 16) {
    MOVE_ENDS(__m128i);
  } else if (count >= 8) {
    MOVE_ENDS(uint64_t);
  } else if (count >= 4) {
    MOVE_ENDS(uint32_t);
  } else if (count >= 2) {
    MOVE_ENDS(uint16_t);
  } else if (count == 1) {
    *target = *source;
  }
}

/* A part of one line, or all of it. */
INLINE void move_part(char *target, const char *source, size_t count, uint32_t flush) {
  if (count == 0) return;
  move_few(target, source, count);
  write_back(target, flush);
}

INLINE void move_group(
    char *target, const char *source, int lines, int streams, uint32_t flush) {
  ENGINE(Line) group[GROUP_LINES];
  for (int line = 0; line < lines; line++) group[line] = load_line(source + line * LINE_BYTES);
  for (int line = 0; line < lines; line++) {
    put_line(target + line * LINE_BYTES, group[line], streams, flush);
  }
}

INLINE void move_up(
    char *target, const char *source, size_t count, int streams, uint32_t flush) {
  size_t head = -(uintptr_t)target & (LINE_BYTES - 1);
  if (head > count) head = count;
  move_part(target, source, head, flush);
  target += head, source += head, count -= head;
  while (count >= GROUP_LINES * LINE_BYTES) {
    move_group(target, source, GROUP_LINES, streams, flush);
    target += GROUP_LINES * LINE_BYTES, source += GROUP_LINES * LINE_BYTES;
    count -= GROUP_LINES * LINE_BYTES;
  }
  while (count >= LINE_BYTES) {
    move_group(target, source, 1, streams, flush);
    target += LINE_BYTES, source += LINE_BYTES, count -= LINE_BYTES;
  }
  move_part(target, source, count, flush);
}

INLINE void move_down(
    char *target, const char *source, size_t count, int streams, uint32_t flush) {
  size_t tail = ((uintptr_t)target + count) & (LINE_BYTES - 1);
  if (tail > count) tail = count;
  count -= tail;
  move_part(target + count, source + count, tail, flush);
  while (count >= GROUP_LINES * LINE_BYTES) {
    count -= GROUP_LINES * LINE_BYTES;
    move_group(target + count, source + count, GROUP_LINES, streams, flush);
  }
  while (count >= LINE_BYTES) {
    count -= LINE_BYTES;
    move_group(target + count, source + count, 1, streams, flush);
  }
  move_part(target, source, count, flush);
}

INLINE void move(
    void *target, const void *source, size_t count, int streams, uint32_t flush) {
  char *to = (char *)target;
  const char *from = (const char *)source;
  /* Unsigned: true where the target lies below the source, or beyond its end. */
  if ((uintptr_t)to - (uintptr_t)from >= count) {
    move_up(to, from, count, streams, flush);
  } else {
    move_down(to, from, count, streams, flush);
  }
}

INLINE void fill(void *start, uint8_t byte, size_t count, int streams, uint32_t flush) {
  char *target = (char *)start;
  ENGINE(Line) line;
  for (int part = 0; part < LINE_VECTORS; part++) line.parts[part] = VECTOR_SPLAT(byte);
  size_t head = -(uintptr_t)target & (LINE_BYTES - 1);
  if (head > count) head = count;
  if (head > 0) {
    memset(target, byte, head);
    write_back(target, flush);
  }
  target += head, count -= head;
  for (; count >= LINE_BYTES; target += LINE_BYTES, count -= LINE_BYTES) {
    put_line(target, line, streams, flush);
  }
  if (count > 0) {
    memset(target, byte, count);
    write_back(target, flush);
  }
}

#define ENGINE_FUNCTIONS(NAME, KIND)                                                             \
  ENGINE_TARGET static void move_cached_##NAME(void *target, const void *source, size_t count) { \
    move(target, source, count, 0, KIND);                                                        \
  }                                                                                              \
  ENGINE_TARGET static void move_stream_##NAME(void *target, const void *source, size_t count) { \
    move(target, source, count, 1, KIND);                                                        \
  }                                                                                              \
  ENGINE_TARGET static void fill_cached_##NAME(void *target, uint8_t byte, size_t count) {       \
    fill(target, byte, count, 0, KIND);                                                          \
  }                                                                                              \
  ENGINE_TARGET static void fill_stream_##NAME(void *target, uint8_t byte, size_t count) {       \
    fill(target, byte, count, 1, KIND);                                                          \
  }                                                                                              \
  ENGINE_TARGET static void flush_##NAME(const void *start, size_t count) {                      \
    write_back_range((const char *)start, count, KIND);                                          \
  }

ENGINE_FUNCTIONS(none, ARB_FLUSH_NONE)
ENGINE_FUNCTIONS(clflush, ARB_FLUSH_CLFLUSH)
ENGINE_FUNCTIONS(clflushopt, ARB_FLUSH_CLFLUSHOPT)
ENGINE_FUNCTIONS(clwb, ARB_FLUSH_CLWB)

#define ENGINE_TABLE(NAME, KIND)                                             \
  {move_cached_##NAME, move_stream_##NAME, fill_cached_##NAME,               \
   fill_stream_##NAME, flush_##NAME, ARB_STREAM_BYTES_MIN, KIND, ENGINE_KIND}

/* Indexed by flush kind. */
const ArbPersistOps ENGINE(arb_copy_engine)[4] = {
    ENGINE_TABLE(none, ARB_FLUSH_NONE),
    ENGINE_TABLE(clflush, ARB_FLUSH_CLFLUSH),
    ENGINE_TABLE(clflushopt, ARB_FLUSH_CLFLUSHOPT),
    ENGINE_TABLE(clwb, ARB_FLUSH_CLWB),
};
