// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterWorkloads
internal import CArbiterRecord

/// One thread's events, one after the other, in the thread's own order.
///
/// Holds one chunk in memory, at most 2 MiB of events. A copy goes its own way.
public struct TraceCursor: Sendable {
  private let bytes: TraceBytes
  private let chunks: [ChunkPlace]
  private let limits: [UInt64]
  private var nextChunk = 0
  private var events: [ArbTraceEvent] = []
  private var nextEvent = 0

  init(bytes: TraceBytes, chunks: [ChunkPlace], limits: [UInt64]) {
    self.bytes = bytes
    self.chunks = chunks
    self.limits = limits
  }

  /// Returns the next event, or nil behind the last one.
  ///
  /// - Throws: ``TraceError`` where the next chunk is damaged or cannot be read. Every event that
  ///   was returned before is good.
  /// - Complexity: O(1) but for the first event of a chunk, whose chunk is decoded.
  public mutating func next() throws(TraceError) -> TraceEvent? {
    while nextEvent == events.count {
      guard nextChunk < chunks.count else { return nil }
      events = try chunks[nextChunk].events(from: bytes, limits: limits)
      nextChunk += 1
      nextEvent = 0
    }
    let event = TraceEvent(events[nextEvent])
    nextEvent += 1
    // Whoever merges threads has many cursors, most of them between two chunks.
    if nextEvent == events.count { (events, nextEvent) = ([], 0) }
    return event
  }

  /// A time that the next event does not start before, as far as is known without decoding; nil
  /// behind the last event.
  var nextStart: UInt64? {
    if nextEvent < events.count { return events[nextEvent].start }
    return nextChunk < chunks.count ? chunks[nextChunk].first : nil
  }

  /// Events that are in memory.
  var loadedCount: Int { events.count }
}
