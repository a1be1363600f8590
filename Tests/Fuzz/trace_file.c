/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer target: reads any bytes as a trace file, whole, the way ArbiterTrace does. Every block
 * of memory has exactly the size that C is told, so that the address sanitizer sees each byte that
 * is touched beyond it.
 *
 * An input is read twice: as it is, and with its checksums and chunk numbers put right, since
 * hardly any change of a fuzzer would get past them. Tests/Scripts/fuzz builds and runs it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CArbiterTrace.h"

static void require(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "trace_file: %s\n", what);
  abort();
}

/* A copy in a block of its own; never NULL. */
static uint8_t *copy_of(const uint8_t *bytes, size_t count) {
  uint8_t *copy = malloc(count > 0 ? count : 1);
  require(copy != NULL, "no memory for a copy");
  if (count > 0) memcpy(copy, bytes, count);
  return copy;
}

/* What has been decoded is encoded and decoded again: the same events. */
static void check_events(
    const ArbTraceChunk *chunk, const ArbTraceEvent *events, const uint64_t *limits) {
  ArbTraceChunk again = *chunk;
  size_t raw_max = ARB_TRACE_COLUMN_COUNT * 4 + (size_t)chunk->count * ARB_TRACE_EVENT_BYTES_MAX;
  uint8_t *raw = malloc(raw_max);
  ArbTraceEvent *decoded = malloc(chunk->count * sizeof *decoded);
  ArbTraceEvent *accepted = malloc(chunk->count * sizeof *accepted);
  require(raw != NULL && decoded != NULL && accepted != NULL, "no memory to encode again");
  require(
      arb_trace_accept(limits, events, chunk->count, accepted) == chunk->count,
      "a decoded event is not accepted");
  require(
      memcmp(events, accepted, chunk->count * sizeof *events) == 0,
      "a decoded event is not in the form of files");
  arb_trace_encode(events, chunk->count, raw, &again);
  uint32_t place;
  require(
      arb_trace_decode(&again, raw, limits, decoded, &place) == ARB_TRACE_GOOD,
      "encoded events do not decode");
  require(
      memcmp(events, decoded, chunk->count * sizeof *events) == 0 &&
          again.first == chunk->first && again.last == chunk->last,
      "decoded events differ");
  free(raw);
  free(decoded);
  free(accepted);
}

static void read_texts(const ArbTraceChunk *chunk, const uint8_t *raw, uint64_t *limits) {
  ArbTraceSpan rest = {raw, chunk->raw_size};
  volatile uint8_t last = 0;
  for (uint32_t i = 0; i < chunk->count; i++) {
    ArbTraceSpan key = {NULL, 0}, value = {NULL, 0};
    uint64_t size = 0;
    uint8_t number = 0;
    ArbTraceFault fault = chunk->type == ARB_TRACE_REGIONS
                              ? arb_trace_next_region(&rest, &number, &size, &value)
                              : arb_trace_next_note(&rest, &key, &value);
    if (fault != ARB_TRACE_GOOD) return;
    if (chunk->type == ARB_TRACE_REGIONS && size > limits[number]) limits[number] = size;
    /* A text that lies outside would be seen here. */
    for (size_t at = 0; at < key.count; at++) last = key.bytes[at];
    for (size_t at = 0; at < value.count; at++) last = value.bytes[at];
  }
  (void)last;
}

static void read_chunk(const ArbTraceChunk *chunk, const uint8_t *stored, uint64_t *limits) {
  require(chunk->raw_size <= ARB_TRACE_RAW_MAX, "a size beyond the limit was let through");
  uint8_t *own = copy_of(stored, chunk->stored_size);
  uint8_t *raw = malloc(chunk->raw_size > 0 ? chunk->raw_size : 1);
  require(raw != NULL, "no memory to unpack");
  if (arb_trace_unpack(chunk, own, raw) == ARB_TRACE_GOOD) {
    if (chunk->type == ARB_TRACE_EVENTS && chunk->count > 0) {
      ArbTraceEvent *events = malloc(chunk->count * sizeof *events);
      require(events != NULL, "no memory for events");
      uint32_t place = 0;
      if (arb_trace_decode(chunk, raw, limits, events, &place) == ARB_TRACE_GOOD) {
        check_events(chunk, events, limits);
      }
      require(place < chunk->count, "the event at fault is beyond the chunk");
      free(events);
    }
    if (chunk->type == ARB_TRACE_REGIONS || chunk->type == ARB_TRACE_NOTES) {
      read_texts(chunk, raw, limits);
    }
  }
  free(raw);
  free(own);
}

/* Reads the texts of all chunks, then the events of all chunks, as a reader does. */
static void read_file(const uint8_t *bytes, size_t size) {
  static uint64_t limits[ARB_TRACE_REGION_COUNT];
  memset(limits, 0, sizeof limits);
  for (int wants_events = 0; wants_events < 2; wants_events++) {
    ArbTraceWalk walk;
    size_t first = size < ARB_TRACE_FILE_HEADER_SIZE ? size : ARB_TRACE_FILE_HEADER_SIZE;
    if (arb_trace_walk_begin(&walk, bytes, first, size) != ARB_TRACE_GOOD) return;
    while (!walk.has_ended) {
      ArbTraceChunk chunk;
      memset(&chunk, 0, sizeof chunk);
      uint64_t offset = walk.offset;
      size_t left = size - offset;
      size_t count = left < ARB_TRACE_CHUNK_HEADER_SIZE ? left : ARB_TRACE_CHUNK_HEADER_SIZE;
      if (arb_trace_walk_next(&walk, bytes + offset, count, size, &chunk) != ARB_TRACE_GOOD) break;
      require(walk.offset > offset && walk.offset <= size, "the walk does not advance");
      if ((chunk.type == ARB_TRACE_EVENTS) == wants_events) {
        read_chunk(&chunk, bytes + offset + ARB_TRACE_CHUNK_HEADER_SIZE, limits);
      }
    }
  }
}

static void put32(uint8_t *at, uint32_t value) { memcpy(at, &value, 4); }

/* Puts checksums and numbers right, as far as sizes lead. */
static void repair(uint8_t *bytes, size_t size) {
  uint8_t header[ARB_TRACE_FILE_HEADER_SIZE];
  if (size < sizeof header) return;
  arb_trace_write_file_header(header);
  memcpy(bytes, header, sizeof header);
  size_t at = sizeof header;
  for (uint32_t sequence = 0; size - at >= ARB_TRACE_CHUNK_HEADER_SIZE; sequence++) {
    uint8_t *chunk = bytes + at;
    uint32_t stored;
    memcpy(&stored, chunk + 24, 4);
    memcpy(chunk, "Chnk", 4);
    put32(chunk + 8, sequence);
    at += ARB_TRACE_CHUNK_HEADER_SIZE;
    if (stored <= size - at) put32(chunk + 28, arb_trace_checksum(bytes + at, stored));
    put32(chunk + 60, arb_trace_checksum(chunk, 60));
    if (stored > size - at) return;
    at += stored;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *own = copy_of(data, size);
  read_file(own, size);
  repair(own, size);
  read_file(own, size);
  free(own);
  return 0;
}
