// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterWorkloads

/// One line of memory that a thread asks for.
struct LineRequest: Sendable {
  enum Kind: UInt8, Sendable {
    case read = 0x52  // R
    case write = 0x57  // W
    case criticalRead = 0x43  // C
  }

  var kind: Kind
  /// Address of the line, in the address space of the text.
  var address: UInt64
  /// When the thread asks for it, in nanoseconds.
  var time: UInt64
  /// Until when the thread waits for the memory.
  var end: UInt64
}

/// A thread's events as the lines that they touch, in its own order.
///
/// Within a run a line that follows itself counts once: eight stores of eight bytes are one line.
struct LineLane: Sendable {
  private(set) var tally = ConversionTally()
  private var cursor: TraceCursor
  private let source: TraceSource
  private let bases: [UInt64]

  private var event: TraceEvent?
  /// The event behind `event`, where that had to be looked at.
  private var waiting: TraceEvent?
  private var kind = LineRequest.Kind.read
  /// The access of the run that comes next, and the bytes of it that are done.
  private var access: UInt64 = 0
  private var done: UInt64 = 0
  private var lastLine: UInt64?

  init(cursor: TraceCursor, source: TraceSource, bases: [UInt64]) {
    self.cursor = cursor
    self.source = source
    self.bases = bases
  }

  var loadedCount: Int { cursor.loadedCount }

  /// A time before which the lane has nothing; nil at the end, as far as is known.
  var startHint: UInt64? { cursor.nextStart }

  /// Returns the next line, or nil behind the last one.
  mutating func next() throws(TraceError) -> LineRequest? {
    while true {
      if let current = event {
        if let request = nextLine(of: current) { return request }
        event = nil
      }
      guard let new = try nextEvent() else { return nil }
      try begin(new)
    }
  }

  private mutating func nextEvent() throws(TraceError) -> TraceEvent? {
    if let waiting {
      self.waiting = nil
      return waiting
    }
    guard let event = try cursor.next() else { return nil }
    tally.eventCount += 1
    return event
  }

  private mutating func begin(_ new: TraceEvent) throws(TraceError) {
    switch new.operation {
    case .fence: return tally.count(.fences)
    case .flush: return tally.count(.flushes)
    case .load: kind = .read
    case .store:
      tally.count(.cachedStores)
      kind = .write
    case .storeNonTemporal, .storeWrittenBack: kind = .write
    }
    if new.isFenced { tally.count(.fencedAccesses) }
    if !Self.isWholeLines(new) { tally.count(.partLines) }
    // What came from VANS as a critical read goes back as one.
    if new.operation == .load, source == .converted, new.count == 1, new.length == 64 {
      waiting = try nextEvent()
      if waiting?.operation == .fence {
        kind = .criticalRead
        waiting = nil
      }
    }
    (event, access, done, lastLine) = (new, 0, 0, nil)
  }

  private static func isWholeLines(_ event: TraceEvent) -> Bool {
    event.offset % 64 == 0 && event.length % 64 == 0 && event.stride % 64 == 0
  }

  private mutating func nextLine(of event: TraceEvent) -> LineRequest? {
    let length = UInt64(event.length)
    let base = bases[Int(event.region)]
    while access < event.count {
      // The offset of a sound event, and so of each of its accesses, is within 48 bits.
      let offset = UInt64(Int64(event.offset) + Int64(event.stride) * Int64(access))
      let at = offset + done
      let line = (base + at) & ~63
      let before = access * length + done
      let step = min(length - done, line + 64 - (base + at))
      done += step
      if done == length { (access, done) = (access + 1, 0) }
      var after = before + step
      if event.stride == 0, step == length {
        // All further accesses are this one again.
        access = UInt64(event.count)
        after = length * access
      }
      guard line != lastLine else { continue }
      lastLine = line
      return request(line, event, from: before, to: after)
    }
    return nil
  }

  /// Spreads the run's span over its bytes.
  private func request(
    _ line: UInt64, _ event: TraceEvent, from: UInt64, to: UInt64
  ) -> LineRequest {
    let perByte =
      Double(event.spanNanoseconds) / (Double(event.length) * Double(event.count))
    let time = event.startNanoseconds &+ UInt64(Double(from) * perByte)
    // A span that is the program's own time is none that the memory took.
    let end = source.spanIsOwnTime ? time : event.startNanoseconds &+ UInt64(Double(to) * perByte)
    return LineRequest(kind: kind, address: line, time: time, end: end)
  }
}
