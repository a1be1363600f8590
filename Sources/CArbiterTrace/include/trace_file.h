/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The format of trace files: bytes in, bytes out. Nothing here opens a file. What is read may come
 * from anywhere: every size is compared with its limit before memory is asked for, and every event
 * is sound or refused. Documentation/TraceFormat.md describes the bytes.
 */
#ifndef ARBITER_TRACE_FILE_H
#define ARBITER_TRACE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "CArbiterRecord.h"

#define ARB_TRACE_VERSION 1
#define ARB_TRACE_FILE_HEADER_SIZE 32
#define ARB_TRACE_CHUNK_HEADER_SIZE 64

/* Limits of version 1. */
#define ARB_TRACE_CHUNK_EVENTS_MAX 65536
#define ARB_TRACE_CHUNKS_MAX (1u << 22)
#define ARB_TRACE_THREADS_MAX 65536
#define ARB_TRACE_COLUMN_COUNT 8
/* Bytes before compression that an event takes at most: one in each of two columns, and varints
 * of 64, 49, and four times 32 bits. */
#define ARB_TRACE_EVENT_BYTES_MAX 39
#define ARB_TRACE_RAW_MAX \
  (ARB_TRACE_COLUMN_COUNT * 4 + ARB_TRACE_EVENT_BYTES_MAX * ARB_TRACE_CHUNK_EVENTS_MAX)
#define ARB_TRACE_TEXT_MAX 65536
#define ARB_TRACE_TEXTS_MAX 1024
/* Of a chunk of texts before compression. */
#define ARB_TRACE_TEXT_RAW_MAX (1u << 20)
/* The most that a writer puts into one: two texts with their lengths, or a text and two numbers. */
#define ARB_TRACE_TEXT_PAYLOAD_MAX (2 * (ARB_TRACE_TEXT_MAX + 10))

typedef enum {
  ARB_TRACE_EVENTS = 1,
  ARB_TRACE_REGIONS = 2,
  ARB_TRACE_NOTES = 3,
  ARB_TRACE_END = 4,
} ArbTraceChunkType;

typedef enum {
  ARB_TRACE_PLAIN = 0,
  ARB_TRACE_ZSTD = 1,
} ArbTracePacking;

#define ARB_TRACE_SOURCE_COUNT 4 /* numbered from 1 */

/* What is wrong with bytes. */
typedef enum {
  ARB_TRACE_GOOD = 0,
  ARB_TRACE_NOT_A_TRACE,
  ARB_TRACE_OTHER_VERSION,
  ARB_TRACE_BAD_FILE_HEADER,
  ARB_TRACE_CUT_SHORT,
  ARB_TRACE_BAD_CHUNK_HEADER,
  ARB_TRACE_BAD_FIELD,
  ARB_TRACE_BAD_SEQUENCE,
  ARB_TRACE_BAD_TOTALS,
  ARB_TRACE_BYTES_AFTER_END,
  ARB_TRACE_BAD_CHECKSUM,
  ARB_TRACE_BAD_PACKING,
  ARB_TRACE_BAD_RECORD,
  ARB_TRACE_BAD_EVENT,
  ARB_TRACE_OUTSIDE_REGION,
  ARB_TRACE_BAD_TIMES,
  ARB_TRACE_BAD_TEXT,
  ARB_TRACE_NO_MEMORY,
} ArbTraceFault;

/* The header of a chunk. */
typedef struct {
  uint8_t type;         /* ArbTraceChunkType */
  uint8_t source;       /* of a chunk of events: where they come from; else 0 */
  uint8_t packing;      /* ArbTracePacking of what follows the header */
  uint32_t sequence;    /* chunks before this one */
  uint32_t thread;      /* of a chunk of events; else 0 */
  uint32_t count;       /* events, regions or notes */
  uint32_t raw_size;    /* bytes before compression */
  uint32_t stored_size; /* bytes in the file, after this header */
  uint32_t checksum;    /* of the bytes in the file */
  uint64_t lost;        /* events lost of this thread since its chunk before; of the end: in all */
  uint64_t first;       /* earliest start of an event; of the end: number of all events */
  uint64_t last;        /* latest end of an event */
} ArbTraceChunk;

/* A reader's place in a file. Begins as zeros. */
typedef struct {
  uint64_t offset;   /* of the next header */
  uint64_t events;   /* seen so far */
  uint64_t lost;     /* the same */
  uint32_t sequence; /* chunks seen */
  uint32_t has_ended;
} ArbTraceWalk;

/* CRC-32 as zlib and PNG have it. */
uint32_t arb_trace_checksum(const uint8_t *bytes, size_t count);

void arb_trace_write_file_header(uint8_t out[ARB_TRACE_FILE_HEADER_SIZE]);
/* Judges the first bytes of a file of `file_size` bytes and puts the walk behind them. */
ArbTraceFault arb_trace_walk_begin(
    ArbTraceWalk *walk, const uint8_t *bytes, size_t count, uint64_t file_size);
/* Takes the header at `walk->offset`, of which `count` bytes are given (all of them, unless the
 * file ends before), and moves the walk behind the chunk. Any fault leaves the walk where it is. */
ArbTraceFault arb_trace_walk_next(
    ArbTraceWalk *walk, const uint8_t *bytes, size_t count, uint64_t file_size,
    ArbTraceChunk *chunk);

/* Puts a header into bytes. */
void arb_trace_write_chunk_header(
    const ArbTraceChunk *chunk, uint8_t out[ARB_TRACE_CHUNK_HEADER_SIZE]);

/* Copies events that are sound and inside their regions, in the one form that files have; returns
 * how many. `out` has room for `count`. `limits` are the sizes of all ARB_TRACE_REGION_COUNT
 * regions; what has not been described has none. */
size_t arb_trace_accept(
    const uint64_t *limits, const ArbTraceEvent *events, size_t count, ArbTraceEvent *out);

/* Events to bytes before compression. `out` has room for ARB_TRACE_COLUMN_COUNT sizes of 4 bytes
 * and ARB_TRACE_EVENT_BYTES_MAX bytes for each event; the chunk gets its count, raw size, first and
 * last. */
void arb_trace_encode(
    const ArbTraceEvent *events, uint32_t count, uint8_t *out, ArbTraceChunk *chunk);
/* The way back. `events` has room for `chunk->count`; `place` gets the number of the event at
 * fault. */
ArbTraceFault arb_trace_decode(
    const ArbTraceChunk *chunk, const uint8_t *raw, const uint64_t *limits,
    ArbTraceEvent *events, uint32_t *place);

/* What a writer needs of memory, once: some 80 bytes for each event of a chunk, and a context of
 * zstd. */
typedef struct ArbTracePacker ArbTracePacker;
ArbTracePacker *arb_trace_packer_make(int level, uint32_t events_max);
void arb_trace_packer_free(ArbTracePacker *packer);
/* A whole chunk, header included, of at most as many events as the packer was made for. Type,
 * source, sequence, thread and lost of the chunk are the caller's. The bytes are valid until the
 * next call; their number is returned. */
size_t arb_trace_pack_events(
    ArbTracePacker *packer, ArbTraceChunk *chunk, const ArbTraceEvent *events, uint32_t count,
    const uint8_t **bytes);
/* The same of a payload that is there already: texts. */
size_t arb_trace_pack_bytes(
    ArbTracePacker *packer, ArbTraceChunk *chunk, const uint8_t *raw, const uint8_t **bytes);

/* Compares the stored bytes of a chunk with their checksum and unpacks them into `raw`, which has
 * room for `chunk->raw_size`. */
ArbTraceFault arb_trace_unpack(const ArbTraceChunk *chunk, const uint8_t *stored, uint8_t *raw);

/* Bytes that somebody else owns. */
typedef struct {
  const uint8_t *bytes;
  size_t count;
} ArbTraceSpan;

/* The next region of a chunk of regions; moves `rest` behind it. */
ArbTraceFault arb_trace_next_region(
    ArbTraceSpan *rest, uint8_t *number, uint64_t *byte_count, ArbTraceSpan *name);
/* The next note of a chunk of notes; moves `rest` behind it. */
ArbTraceFault arb_trace_next_note(ArbTraceSpan *rest, ArbTraceSpan *key, ArbTraceSpan *value);

#endif
