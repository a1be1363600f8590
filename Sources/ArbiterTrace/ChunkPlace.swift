// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiterRecord
internal import CArbiterTrace

/// Where a chunk lies, and what its header says of it.
struct ChunkPlace: Sendable {
  let offset: UInt64
  let first: UInt64
  let last: UInt64
  let count: UInt32
  private let rawSize: UInt32
  private let storedSize: UInt32
  private let checksum: UInt32
  private let packing: UInt8

  /// Keeps what a walk has judged; the sizes are within their limits from then on.
  init(_ chunk: ArbTraceChunk, offset: UInt64) {
    self.offset = offset
    first = chunk.first
    last = chunk.last
    count = chunk.count
    rawSize = chunk.raw_size
    storedSize = chunk.stored_size
    checksum = chunk.checksum
    packing = chunk.packing
  }

  private var chunk: ArbTraceChunk {
    var chunk = ArbTraceChunk()
    chunk.packing = packing
    chunk.count = count
    chunk.raw_size = rawSize
    chunk.stored_size = storedSize
    chunk.checksum = checksum
    chunk.first = first
    chunk.last = last
    return chunk
  }

  /// The chunk's bytes as they were before compression.
  func unpacked(from bytes: TraceBytes) throws(TraceError) -> [UInt8] {
    let stored = try bytes.bytes(
      at: offset + UInt64(ARB_TRACE_CHUNK_HEADER_SIZE), count: Int(storedSize))
    var chunk = chunk
    var fault = ARB_TRACE_GOOD
    // SAFETY: C reads as many bytes as the header says are stored, and writes as many as it says
    // are raw; both arrays have just these sizes.
    let raw = unsafe [UInt8](unsafeUninitializedCapacity: Int(rawSize)) { buffer, count in
      // An empty buffer may have no address; C wants one.
      var nothing: UInt8 = 0
      fault = unsafe withUnsafeMutablePointer(to: &nothing) { nothing in
        unsafe arb_trace_unpack(&chunk, stored, buffer.baseAddress ?? nothing)
      }
      count = fault == ARB_TRACE_GOOD ? Int(rawSize) : 0
    }
    guard fault == ARB_TRACE_GOOD else { throw TraceError(fault, offset: offset) }
    return raw
  }

  /// The chunk's events; `limits` are the sizes of all regions.
  func events(from bytes: TraceBytes, limits: [UInt64]) throws(TraceError) -> [ArbTraceEvent] {
    let raw = try unpacked(from: bytes)
    var chunk = chunk
    var fault = ARB_TRACE_GOOD
    var index: UInt32 = 0
    // SAFETY: C writes at most the chunk's count of events, for which there is room.
    let events = unsafe [ArbTraceEvent](unsafeUninitializedCapacity: Int(count)) { buffer, filled in
      if let start = buffer.baseAddress {
        fault = unsafe arb_trace_decode(&chunk, raw, limits, start, &index)
      }
      filled = fault == ARB_TRACE_GOOD ? Int(count) : 0
    }
    guard fault == ARB_TRACE_GOOD else { throw TraceError(fault, offset: offset, event: index) }
    return events
  }
}
