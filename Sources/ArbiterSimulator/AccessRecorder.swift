// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterWorkloads

/// Turns what simulated threads do into events of a recording, in virtual time.
///
/// An event begins when its thread wants the access, before any gate, and spans until the thread
/// may go on: what lies between two events is the thread's own time, as in any recording.
struct AccessRecorder {
  private let sink: (Int, TraceEvent) -> Void
  /// The last access of each thread, which a fence may still follow.
  private var last: [TraceEvent?]

  init(threadCount: Int, sink: @escaping (Int, TraceEvent) -> Void) {
    self.sink = sink
    last = Array(repeating: nil, count: threadCount)
  }

  mutating func add(
    thread: Int, _ access: Access, offset: UInt64, from start: Int64, until end: Int64
  ) {
    if let event = last[thread] { sink(thread, event) }
    last[thread] = Self.event(
      Self.operation(of: access.operation), offset: offset, length: access.length, from: start,
      until: end)
  }

  mutating func addFence(thread: Int, from start: Int64, until end: Int64) {
    if let event = last[thread] {
      let fenced = Self.event(.fence, offset: 0, length: 0, from: start, until: end)
      let begin = event.startNanoseconds
      // A fence of its own, of a thread that replays a recording.
      guard fenced.startNanoseconds <= begin else {
        sink(thread, event)
        last[thread] = fenced
        return
      }
      last[thread]?.isFenced = true
      let span = UInt64(end / 1000) - begin
      last[thread]?.spanNanoseconds = UInt32(clamping: span)
    } else {
      last[thread] = Self.event(.fence, offset: 0, length: 0, from: start, until: end)
    }
  }

  /// Gives out the last access of every thread.
  mutating func finish() {
    for thread in last.indices {
      if let event = last[thread] { sink(thread, event) }
      last[thread] = nil
    }
  }

  private static func event(
    _ operation: TraceOperation, offset: UInt64, length: UInt32, from start: Int64, until end: Int64
  ) -> TraceEvent {
    let begin = UInt64(start / 1000)
    return TraceEvent(
      operation, offset: offset, length: length, startNanoseconds: begin,
      spanNanoseconds: UInt32(clamping: UInt64(end / 1000) - begin))
  }

  private static func operation(of operation: Operation) -> TraceOperation {
    switch operation {
    case .storeNonTemporal: .storeNonTemporal
    case .storeWriteBack, .storeWriteBackCached: .storeWrittenBack
    case .storePlain, .storePlainCached: .store
    case .load: .load
    case .writeBack: .flush
    case .fence: .fence
    }
  }
}
