// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterTrace
internal import ArbiterWorkloads

/// Sums over events.
struct EventSums: Equatable {
  var events: UInt64 = 0
  var accesses: UInt64 = 0
  var loadBytes: UInt64 = 0
  var storeBytes: UInt64 = 0
  /// Earliest start and latest end of an event, in nanoseconds.
  var first: UInt64?
  var last: UInt64 = 0

  mutating func add(_ event: TraceEvent) {
    events &+= 1
    accesses = Self.sum(accesses, UInt64(event.count))
    // Below 2^64: both are below 2^32.
    let bytes = UInt64(event.length) &* UInt64(event.count)
    switch event.operation {
    case .load: loadBytes = Self.sum(loadBytes, bytes)
    case .store, .storeNonTemporal, .storeWrittenBack: storeBytes = Self.sum(storeBytes, bytes)
    case .flush, .fence: break
    }
    first = min(first ?? .max, event.startNanoseconds)
    last = max(last, Self.sum(event.startNanoseconds, UInt64(event.spanNanoseconds)))
  }

  mutating func add(_ other: EventSums) {
    guard let start = other.first else { return }
    events = Self.sum(events, other.events)
    accesses = Self.sum(accesses, other.accesses)
    loadBytes = Self.sum(loadBytes, other.loadBytes)
    storeBytes = Self.sum(storeBytes, other.storeBytes)
    first = min(first ?? .max, start)
    last = max(last, other.last)
  }

  var spanNanoseconds: UInt64 { first.map { last - $0 } ?? 0 }

  /// Nil where all events are at one instant.
  var eventsPerSecond: Double? {
    spanNanoseconds > 0 ? Double(events) * 1e9 / Double(spanNanoseconds) : nil
  }

  /// Recordings from elsewhere may claim anything: a sum stays at the largest number.
  private static func sum(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let (sum, overflows) = left.addingReportingOverflow(right)
    return overflows ? .max : sum
  }
}

/// What a recording holds, by thread, region and operation.
struct TraceSummary {
  let file: TraceFile
  let byteCount: UInt64
  private(set) var all = EventSums()
  private(set) var threads: [UInt32: EventSums] = [:]
  private(set) var regions: [UInt8: EventSums] = [:]
  private(set) var operations: [TraceOperation: EventSums] = [:]

  /// Reads every event, which also proves that every chunk is whole.
  init(
    _ file: TraceFile, byteCount: UInt64, progress: (UInt64) -> Void
  ) throws(TraceError) {
    self.file = file
    self.byteCount = byteCount
    var done: UInt64 = 0
    var byRegion = [EventSums](repeating: EventSums(), count: 256)
    var byOperation = [EventSums](repeating: EventSums(), count: TraceOperation.allCases.count)
    for thread in file.threads {
      var cursor = file.events(ofThread: thread.number)
      var sums = EventSums()
      while let event = try cursor.next() {
        sums.add(event)
        byOperation[Int(event.operation.rawValue)].add(event)
        if event.operation != .fence { byRegion[Int(event.region)].add(event) }
        done += 1
        if done % (1 << 18) == 0 { progress(done) }
      }
      threads[thread.number] = sums
      all.add(sums)
    }
    for region in file.regions { regions[region.number] = byRegion[Int(region.number)] }
    for operation in TraceOperation.allCases where byOperation[Int(operation.rawValue)].events > 0 {
      operations[operation] = byOperation[Int(operation.rawValue)]
    }
  }

  var bytesPerEvent: Double? {
    all.events > 0 ? Double(byteCount) / Double(all.events) : nil
  }

  /// Bytes of the encoded events before compression divided by those of the file.
  var compressionRatio: Double? {
    byteCount > 0 && file.rawByteCount > 0 ? Double(file.rawByteCount) / Double(byteCount) : nil
  }

  /// Lost events divided by all that there were; nil where there were none.
  var lostShare: Double? {
    let lost = Double(file.lostCount)
    let total = lost + Double(all.events)
    return total > 0 ? lost / total : nil
  }
}

extension TraceOperation {
  /// The operation's word in text and in documents.
  var word: String {
    switch self {
    case .load: "load"
    case .store: "store"
    case .storeNonTemporal: "store-nt"
    case .storeWrittenBack: "store-clwb"
    case .flush: "flush"
    case .fence: "fence"
    }
  }
}

extension TraceSource {
  /// The source's word in text and in documents.
  var word: String { "\(self)" }
}
