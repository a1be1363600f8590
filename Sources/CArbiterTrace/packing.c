/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Compression of chunks. Unpacking is done in one piece into memory whose size the header of the
 * chunk has promised: zstd then needs no window of its own, whatever window a frame asks for.
 */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "trace_file.h"

struct ArbTracePacker {
  ZSTD_CCtx *context;
  uint8_t *raw;    /* room for events before compression */
  uint8_t *stored; /* a header, and room for what is stored */
  size_t room;
  uint32_t events_max;
};

ArbTracePacker *arb_trace_packer_make(int level, uint32_t events_max) {
  ArbTracePacker *packer = calloc(1, sizeof *packer);
  if (packer == NULL) return NULL;
  size_t raw_max = ARB_TRACE_COLUMN_COUNT * 4 + (size_t)ARB_TRACE_EVENT_BYTES_MAX * events_max;
  packer->events_max = events_max;
  packer->room = ZSTD_compressBound(
      raw_max > ARB_TRACE_TEXT_PAYLOAD_MAX ? raw_max : ARB_TRACE_TEXT_PAYLOAD_MAX);
  packer->context = ZSTD_createCCtx();
  packer->raw = malloc(raw_max);
  packer->stored = malloc(ARB_TRACE_CHUNK_HEADER_SIZE + packer->room);
  if (packer->context == NULL || packer->raw == NULL || packer->stored == NULL ||
      ZSTD_isError(ZSTD_CCtx_setParameter(packer->context, ZSTD_c_compressionLevel, level))) {
    arb_trace_packer_free(packer);
    return NULL;
  }
  return packer;
}

void arb_trace_packer_free(ArbTracePacker *packer) {
  if (packer == NULL) return;
  ZSTD_freeCCtx(packer->context);
  free(packer->raw);
  free(packer->stored);
  free(packer);
}

size_t arb_trace_pack_bytes(
    ArbTracePacker *packer, ArbTraceChunk *chunk, const uint8_t *raw, const uint8_t **bytes) {
  uint8_t *payload = packer->stored + ARB_TRACE_CHUNK_HEADER_SIZE;
  if (chunk->raw_size > packer->room) abort(); /* the caller's promise */
  size_t size = chunk->raw_size == 0 ? 0 : ZSTD_compress2(
      packer->context, payload, packer->room, raw, chunk->raw_size);
  chunk->packing = ARB_TRACE_ZSTD;
  /* Where compression fails or gains nothing, the bytes go as they are. */
  if (ZSTD_isError(size) || size >= chunk->raw_size) {
    chunk->packing = ARB_TRACE_PLAIN;
    size = chunk->raw_size;
    if (size > 0) memcpy(payload, raw, size);
  }
  chunk->stored_size = (uint32_t)size;
  chunk->checksum = arb_trace_checksum(payload, size);
  arb_trace_write_chunk_header(chunk, packer->stored);
  *bytes = packer->stored;
  return ARB_TRACE_CHUNK_HEADER_SIZE + size;
}

size_t arb_trace_pack_events(
    ArbTracePacker *packer, ArbTraceChunk *chunk, const ArbTraceEvent *events, uint32_t count,
    const uint8_t **bytes) {
  if (count > packer->events_max) abort(); /* the caller's promise */
  chunk->count = chunk->raw_size = 0;
  chunk->first = chunk->last = 0;
  if (count > 0) arb_trace_encode(events, count, packer->raw, chunk);
  return arb_trace_pack_bytes(packer, chunk, packer->raw, bytes);
}

ArbTraceFault arb_trace_unpack(const ArbTraceChunk *chunk, const uint8_t *stored, uint8_t *raw) {
  size_t size = chunk->stored_size;
  if (arb_trace_checksum(stored, size) != chunk->checksum) return ARB_TRACE_BAD_CHECKSUM;
  if (chunk->packing == ARB_TRACE_PLAIN) {
    if (size > 0) memcpy(raw, stored, size);
    return ARB_TRACE_GOOD;
  }
  /* One frame, which says how long its content is, and nothing behind it. */
  if (ZSTD_getFrameContentSize(stored, size) != chunk->raw_size ||
      ZSTD_findFrameCompressedSize(stored, size) != size) {
    return ARB_TRACE_BAD_PACKING;
  }
  ZSTD_DCtx *context = ZSTD_createDCtx();
  if (context == NULL) return ARB_TRACE_NO_MEMORY;
  size_t made = ZSTD_decompressDCtx(context, raw, chunk->raw_size, stored, size);
  ZSTD_freeDCtx(context);
  return made == chunk->raw_size ? ARB_TRACE_GOOD : ARB_TRACE_BAD_PACKING;
}
