/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * trace_seeds FOLDER: writes small recordings into a folder, from which libFuzzer starts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CArbiterTrace.h"

static FILE *file;
static ArbTracePacker *packer;
static uint32_t sequence;
static uint64_t total, total_lost;

static void put(const uint8_t *bytes, size_t count) {
  if (fwrite(bytes, 1, count, file) != count) abort();
}

/* Without compression, so that a change of one byte is a change of one record. */
static size_t pack_plainly(ArbTraceChunk *chunk, const ArbTraceEvent *events, uint32_t count,
                           const uint8_t **bytes) {
  static uint8_t room[ARB_TRACE_CHUNK_HEADER_SIZE + ARB_TRACE_RAW_MAX];
  arb_trace_encode(events, count, room + ARB_TRACE_CHUNK_HEADER_SIZE, chunk);
  chunk->packing = ARB_TRACE_PLAIN;
  chunk->stored_size = chunk->raw_size;
  chunk->checksum = arb_trace_checksum(room + ARB_TRACE_CHUNK_HEADER_SIZE, chunk->raw_size);
  arb_trace_write_chunk_header(chunk, room);
  *bytes = room;
  return ARB_TRACE_CHUNK_HEADER_SIZE + chunk->raw_size;
}

static void put_events(
    uint32_t thread, uint8_t source, const ArbTraceEvent *events, uint32_t count, int is_plain) {
  ArbTraceChunk chunk = {.type = ARB_TRACE_EVENTS, .source = source, .thread = thread};
  chunk.sequence = sequence++;
  chunk.lost = count == 0 || thread == 3 ? 7 : 0;
  total += count;
  total_lost += chunk.lost;
  const uint8_t *bytes;
  size_t size = is_plain ? pack_plainly(&chunk, events, count, &bytes)
                         : arb_trace_pack_events(packer, &chunk, events, count, &bytes);
  put(bytes, size);
}

static void put_bytes(uint8_t type, uint32_t count, const uint8_t *raw, uint32_t raw_size) {
  ArbTraceChunk chunk = {.type = type, .count = count, .raw_size = raw_size};
  chunk.sequence = sequence++;
  if (type == ARB_TRACE_END) {
    chunk.first = total;
    chunk.lost = total_lost;
  }
  const uint8_t *bytes;
  size_t size = arb_trace_pack_bytes(packer, &chunk, raw, &bytes);
  put(bytes, size);
}

static void open_file(const char *folder, int number) {
  char path[4096];
  snprintf(path, sizeof path, "%s/seed-%d", folder, number);
  file = fopen(path, "wb");
  if (file == NULL) {
    perror(path);
    exit(74);
  }
  sequence = 0;
  total = total_lost = 0;
  uint8_t header[ARB_TRACE_FILE_HEADER_SIZE];
  arb_trace_write_file_header(header);
  put(header, sizeof header);
}

/* Regions 0 and 1 of 64 KiB and 2^48 - 1 bytes, and two notes. */
static void put_texts(void) {
  static const uint8_t regions[] = "\x00\x80\x80\x04\x05/pmem\x01\xff\xff\xff\xff\xff\xff\x3f\x01x";
  static const uint8_t notes[] = "\x04tool\x07" "arbiter\x07" "command\x00";
  put_bytes(ARB_TRACE_REGIONS, 2, regions, sizeof regions - 1);
  put_bytes(ARB_TRACE_NOTES, 2, notes, sizeof notes - 1);
}

/* All operations, runs forwards and backwards, equal and odd sizes. */
static uint32_t make_events(ArbTraceEvent *events, int kind, uint32_t count) {
  uint64_t time = 0;
  for (uint32_t i = 0; i < count; i++) {
    ArbTraceEvent *event = &events[i];
    memset(event, 0, sizeof *event);
    event->start = time;
    event->span = kind == 0 ? 90 : 50 + i * 37 % 300;
    time += event->span + (kind == 2 && i == 5 ? 1ull << 40 : i * 11 % 64);
    event->operation = kind == 0 ? ARB_TRACE_STORE_NT : i % ARB_TRACE_OPERATION_COUNT;
    event->count = 1;
    if (event->operation == ARB_TRACE_FENCE) continue;
    event->flags = kind == 1 && i % 3 == 0 ? ARB_TRACE_FENCED : 0;
    event->length = kind == 0 ? 64 : 1 + i * 29 % 200;
    event->region = kind == 2 && i % 4 == 0;
    event->offset = kind == 0 ? i * 64 : 2048 + (uint64_t)i * 7919 % 8192;
    if (kind > 0 && i % 5 == 1) {
      event->count = 2 + i % 9;
      event->stride = i % 2 ? -64 : 256;
    }
  }
  return count;
}

int main(int count, char **arguments) {
  static ArbTraceEvent events[600];
  if (count != 2) {
    fprintf(stderr, "usage: trace_seeds FOLDER\n");
    return 64;
  }
  packer = arb_trace_packer_make(1, 600);
  if (packer == NULL) return 70;
  for (int number = 0; number < 8; number++) {
    open_file(arguments[1], number);
    put_texts();
    static const uint32_t sizes[] = {20, 100, 600, 12, 60, 30, 1, 3};
    uint32_t size = make_events(events, number % 3, sizes[number]);
    put_events(0, 1, events, size, number > 2);
    if (number % 2 == 1) put_events(3, 2, events, size / 2, number > 4);
    if (number == 2) put_events(9, 4, events, 0, 0);
    if (number != 4) put_bytes(ARB_TRACE_END, 0, NULL, 0);
    if (fclose(file) != 0) return 74;
  }
  arb_trace_packer_free(packer);
  return 0;
}
