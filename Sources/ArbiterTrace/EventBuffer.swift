// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterWorkloads
internal import CArbiterRecord
internal import CArbiterTrace

/// Events of one thread that wait to become a chunk.
@safe
final class EventBuffer {
  let source: TraceSource
  var lost: UInt64 = 0
  var count = 0
  private let capacity: Int
  // SAFETY: allocated by take with `capacity` places, of which the first `count` are filled, and
  // freed by empty and deinit; nobody else holds the pointer. Events are plain data.
  private var events: UnsafeMutablePointer<ArbTraceEvent>?

  init(capacity: Int, source: TraceSource) {
    self.source = source
    self.capacity = capacity
    unsafe events = nil
  }

  deinit { unsafe events?.deallocate() }

  /// Gives the memory back, until events come again.
  ///
  /// - Precondition: None waits.
  func empty() {
    precondition(count == 0, "events wait")
    unsafe events?.deallocate()
    unsafe events = nil
  }

  /// The events that wait.
  var waiting: UnsafeBufferPointer<ArbTraceEvent> {
    unsafe UnsafeBufferPointer(start: events, count: count)
  }

  /// Copies those that are events and inside their regions; returns how many.
  ///
  /// - Precondition: There is room for all.
  func take(_ new: UnsafeBufferPointer<ArbTraceEvent>, limits: [UInt64]) -> Int {
    precondition(new.count <= capacity - count, "more events than a chunk has room for")
    guard let start = new.baseAddress else { return 0 }
    let events = unsafe self.events ?? .allocate(capacity: capacity)
    unsafe self.events = events
    // SAFETY: there is room behind the events that wait, and limits has an entry per region.
    let taken = unsafe arb_trace_accept(limits, start, new.count, events + count)
    count += taken
    return taken
  }
}

/// The C side's memory for encoding and compressing chunks.
@safe
final class Packer {
  // SAFETY: made in init, freed in deinit, and held by nobody else.
  private let packer: OpaquePointer

  init(level: Int, eventsPerChunk: Int) throws(TraceError) {
    guard let packer = unsafe arb_trace_packer_make(Int32(level), UInt32(eventsPerChunk)) else {
      throw TraceError(
        .limit, offset: 0, reason: "there is no memory for a writer of recordings",
        nextStep: "free some memory")
    }
    unsafe self.packer = packer
  }

  deinit { unsafe arb_trace_packer_free(packer) }

  /// Returns the bytes of a chunk of events; they are valid until the next call.
  func pack(_ chunk: inout ArbTraceChunk, _ buffer: EventBuffer) -> UnsafeRawBufferPointer {
    var bytes: UnsafePointer<UInt8>?
    // SAFETY: at most as many events as a chunk may have; see TraceWriter.init.
    let count = unsafe arb_trace_pack_events(
      packer, &chunk, buffer.waiting.baseAddress, UInt32(buffer.count), &bytes)
    return unsafe UnsafeRawBufferPointer(start: bytes, count: count)
  }

  /// Returns the bytes of a chunk with a payload of its own; they are valid until the next call.
  func pack(_ chunk: inout ArbTraceChunk, _ payload: [UInt8]) -> UnsafeRawBufferPointer {
    chunk.raw_size = UInt32(payload.count)
    var bytes: UnsafePointer<UInt8>?
    // SAFETY: texts are far shorter than the largest payload; see TraceWriter.
    let count = unsafe arb_trace_pack_bytes(packer, &chunk, payload, &bytes)
    return unsafe UnsafeRawBufferPointer(start: bytes, count: count)
  }
}
