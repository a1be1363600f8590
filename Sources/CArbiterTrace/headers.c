/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Headers of files and chunks, and the walk from one to the next. Numbers are little-endian, and so
 * is every processor that Arbiter knows.
 */
#include <string.h>

#include "trace_file.h"

/* The first byte is no text, and the line ends show what a transfer as text has done. */
static const uint8_t file_magic[8] = {0x89, 'A', 'R', 'B', 'T', '\r', '\n', 0x1A};
static const uint8_t chunk_magic[4] = {'C', 'h', 'n', 'k'};

static uint32_t load32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, 4);
  return value;
}

static uint64_t load64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, 8);
  return value;
}

static void store32(uint8_t *at, uint32_t value) { memcpy(at, &value, 4); }
static void store64(uint8_t *at, uint64_t value) { memcpy(at, &value, 8); }

static int is_zero(const uint8_t *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (bytes[i] != 0) return 0;
  }
  return 1;
}

void arb_trace_write_file_header(uint8_t out[ARB_TRACE_FILE_HEADER_SIZE]) {
  memset(out, 0, ARB_TRACE_FILE_HEADER_SIZE);
  memcpy(out, file_magic, sizeof file_magic);
  store32(out + 8, ARB_TRACE_VERSION);
  store32(out + 28, arb_trace_checksum(out, 28));
}

ArbTraceFault arb_trace_walk_begin(
    ArbTraceWalk *walk, const uint8_t *bytes, size_t count, uint64_t file_size) {
  memset(walk, 0, sizeof *walk);
  size_t seen = count < sizeof file_magic ? count : sizeof file_magic;
  if (count == 0 || memcmp(bytes, file_magic, seen) != 0) return ARB_TRACE_NOT_A_TRACE;
  if (count < ARB_TRACE_FILE_HEADER_SIZE || file_size < ARB_TRACE_FILE_HEADER_SIZE) {
    return ARB_TRACE_CUT_SHORT;
  }
  /* The checksum comes first: a damaged version is no version. Every version has it here. */
  if (load32(bytes + 28) != arb_trace_checksum(bytes, 28)) return ARB_TRACE_BAD_FILE_HEADER;
  if (load32(bytes + 8) != ARB_TRACE_VERSION) return ARB_TRACE_OTHER_VERSION;
  if (!is_zero(bytes + 12, 16)) return ARB_TRACE_BAD_FILE_HEADER;
  walk->offset = ARB_TRACE_FILE_HEADER_SIZE;
  return ARB_TRACE_GOOD;
}

void arb_trace_write_chunk_header(
    const ArbTraceChunk *chunk, uint8_t out[ARB_TRACE_CHUNK_HEADER_SIZE]) {
  memcpy(out, chunk_magic, 4);
  out[4] = chunk->type;
  out[5] = chunk->source;
  out[6] = chunk->packing;
  out[7] = 0;
  store32(out + 8, chunk->sequence);
  store32(out + 12, chunk->thread);
  store32(out + 16, chunk->count);
  store32(out + 20, chunk->raw_size);
  store32(out + 24, chunk->stored_size);
  store32(out + 28, chunk->checksum);
  store64(out + 32, chunk->lost);
  store64(out + 40, chunk->first);
  store64(out + 48, chunk->last);
  store32(out + 56, 0);
  store32(out + 60, arb_trace_checksum(out, 60));
}

/* Whether the sizes of a chunk keep to their limits and its fields to its type. */
static int fields_are_possible(const ArbTraceChunk *chunk) {
  if (chunk->packing > ARB_TRACE_ZSTD) return 0;
  /* What compression makes longer is stored as it is. */
  if (chunk->packing == ARB_TRACE_PLAIN && chunk->stored_size != chunk->raw_size) return 0;
  if (chunk->packing == ARB_TRACE_ZSTD &&
      (chunk->stored_size == 0 || chunk->stored_size >= chunk->raw_size)) {
    return 0;
  }
  if (chunk->type == ARB_TRACE_EVENTS) {
    if (chunk->source < 1 || chunk->source > ARB_TRACE_SOURCE_COUNT) return 0;
    if (chunk->thread >= ARB_TRACE_THREADS_MAX) return 0;
    if (chunk->count > ARB_TRACE_CHUNK_EVENTS_MAX || chunk->raw_size > ARB_TRACE_RAW_MAX) return 0;
    /* A chunk may say no more than that events were lost. */
    if (chunk->count == 0) {
      return chunk->raw_size == 0 && chunk->lost > 0 && chunk->first == 0 && chunk->last == 0;
    }
    return chunk->raw_size >= ARB_TRACE_COLUMN_COUNT * 4 + chunk->count;
  }
  if (chunk->source != 0 || chunk->thread != 0 || chunk->last != 0) return 0;
  switch (chunk->type) {
    case ARB_TRACE_REGIONS:
    case ARB_TRACE_NOTES:
      return chunk->lost == 0 && chunk->first == 0 && chunk->count <= ARB_TRACE_TEXTS_MAX &&
             chunk->raw_size <= ARB_TRACE_TEXT_RAW_MAX;
    case ARB_TRACE_END: return chunk->count == 0 && chunk->raw_size == 0;
    default: return 0;
  }
}

static void read_fields(const uint8_t *bytes, ArbTraceChunk *chunk) {
  chunk->type = bytes[4];
  chunk->source = bytes[5];
  chunk->packing = bytes[6];
  chunk->sequence = load32(bytes + 8);
  chunk->thread = load32(bytes + 12);
  chunk->count = load32(bytes + 16);
  chunk->raw_size = load32(bytes + 20);
  chunk->stored_size = load32(bytes + 24);
  chunk->checksum = load32(bytes + 28);
  chunk->lost = load64(bytes + 32);
  chunk->first = load64(bytes + 40);
  chunk->last = load64(bytes + 48);
}

ArbTraceFault arb_trace_walk_next(
    ArbTraceWalk *walk, const uint8_t *bytes, size_t count, uint64_t file_size,
    ArbTraceChunk *chunk) {
  uint64_t left = file_size - walk->offset;
  if (walk->has_ended) return left == 0 ? ARB_TRACE_GOOD : ARB_TRACE_BYTES_AFTER_END;
  if (left < ARB_TRACE_CHUNK_HEADER_SIZE || count < ARB_TRACE_CHUNK_HEADER_SIZE) {
    return ARB_TRACE_CUT_SHORT;
  }
  if (load32(bytes + 60) != arb_trace_checksum(bytes, 60) || memcmp(bytes, chunk_magic, 4) != 0) {
    /* After a loss of power a file may be as long as it was to become, and hold zeros. */
    return is_zero(bytes, ARB_TRACE_CHUNK_HEADER_SIZE) ? ARB_TRACE_CUT_SHORT
                                                       : ARB_TRACE_BAD_CHUNK_HEADER;
  }
  read_fields(bytes, chunk);
  if (bytes[7] != 0 || load32(bytes + 56) != 0) return ARB_TRACE_BAD_FIELD;
  if (!fields_are_possible(chunk)) return ARB_TRACE_BAD_FIELD;
  if (chunk->sequence != walk->sequence) return ARB_TRACE_BAD_SEQUENCE;
  if (walk->sequence == ARB_TRACE_CHUNKS_MAX) return ARB_TRACE_BAD_FIELD;
  uint64_t events = walk->events, lost = walk->lost;
  if (chunk->type == ARB_TRACE_END) {
    if (chunk->first != events || chunk->lost != lost) return ARB_TRACE_BAD_TOTALS;
  } else {
    /* At most 2^22 chunks of 2^16 events cannot overflow; a claimed loss can. */
    if (chunk->type == ARB_TRACE_EVENTS) events += chunk->count;
    if (__builtin_add_overflow(lost, chunk->lost, &lost)) return ARB_TRACE_BAD_FIELD;
  }
  if (left - ARB_TRACE_CHUNK_HEADER_SIZE < chunk->stored_size) return ARB_TRACE_CUT_SHORT;
  walk->offset += ARB_TRACE_CHUNK_HEADER_SIZE + chunk->stored_size;
  walk->events = events;
  walk->lost = lost;
  walk->sequence++;
  walk->has_ended = chunk->type == ARB_TRACE_END;
  return ARB_TRACE_GOOD;
}
