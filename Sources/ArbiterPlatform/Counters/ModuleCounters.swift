// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice

// Which figure is which. The library counts in units of 64 B, for the medium as for requests:
//
//   iMC write bytes    = write requests x 64
//   iMC read bytes     = read requests x 64
//   media write bytes  = media writes x 64 (a block of 256 B counts as four)
//   media read bytes   = media reads x 64; they include a read for every media write, as the
//                        module does it for partial blocks, so amplification of reads that is
//                        made of them is an upper bound
//
// Source: the comments of nvm_management.h, and intel/ipmctl's issue in which one 64 B read and
// one 64 B write show as 8 media reads and 4 media writes.

/// The counters of the modules of one interleave set, through libipmctl.
///
/// Figures count from the reader's first reading. They change at most once a second; a snapshot in
/// between repeats the last one with its time, which tells a tracker that nothing is new. After a
/// module's counts ran backwards (a reset) all figures start at 0 again, so that no period spans
/// the reset.
///
/// - Complexity: A snapshot takes a lock and copies at most 64 answers; it never waits for the
///   helper.
public struct ModuleCounters: CounterReader {
  /// How often figures started again because a module's counts ran backwards.
  public private(set) var resetCount = 0

  private let feed: ModuleCounterFeed
  private let handles: [UInt32]?
  private var readingNumber: UInt64 = 0
  private var last: CounterSnapshot?
  private var first: [UInt32: ModuleCounts] = [:]
  private var previous: [UInt32: ModuleCounts] = [:]
  private var reason: String?

  /// Makes a reader of a feed.
  ///
  /// - Parameters:
  ///   - feed: The readings of all modules.
  ///   - handles: The modules of the set; nil for all.
  public init(feed: ModuleCounterFeed, handles: [UInt32]?) {
    self.feed = feed
    self.handles = handles
  }

  /// The modules themselves; unavailable once they cannot be read.
  public var source: CounterSource { failure == nil ? .module : .unavailable }

  /// Why figures are missing; nil before the first reading and after a good one.
  public var reasonForAbsence: String? { failure }

  private var failure: String? {
    if case .failed(let reason) = feed.state { return reason }
    return reason
  }

  /// The figures of the last reading with its time; none before the first.
  public mutating func snapshot() -> CounterSnapshot {
    let none = CounterSnapshot.unavailable(
      atNanoseconds: SystemClock.monotonicRawNanoseconds())
    guard case .reading(let reading) = feed.state else { return none }
    if reading.number != readingNumber {
      readingNumber = reading.number
      last = take(reading)
    }
    return last ?? none
  }

  /// Sums a reading over the set; nil where a module of the set is missing from it.
  package mutating func take(_ reading: ModuleReading) -> CounterSnapshot? {
    var current: [UInt32: ModuleCounts] = [:]
    var time = Int64.min
    for answer in reading.answers where handles?.contains(answer.handle) ?? true {
      guard case .counts(let counts) = answer.outcome else {
        if case .refused(let error) = answer.outcome {
          let name = String(answer.handle, radix: 16)
          reason = "libipmctl does not read the counts of module 0x\(name): error \(error)"
        }
        return nil
      }
      current[answer.handle] = counts
      time = max(time, answer.timeNanoseconds)
    }
    let wanted = handles ?? reading.answers.map(\.handle)
    if let missing = wanted.first(where: { current[$0] == nil }) {
      reason = "libipmctl does not list module 0x\(String(missing, radix: 16))"
      return nil
    }
    guard !current.isEmpty else {
      reason = "the interleave set has no module"
      return nil
    }
    reason = nil
    let isReset = previous.keys != current.keys || current.contains { isBehind($0.key, $0.value) }
    if isReset {
      if !previous.isEmpty { resetCount += 1 }
      first = current
    }
    previous = current
    return sum(current, at: time)
  }

  private func isBehind(_ handle: UInt32, _ counts: ModuleCounts) -> Bool {
    guard let before = previous[handle] else { return true }
    return Self.figures.contains { counts[keyPath: $0] < before[keyPath: $0] }
  }

  private func sum(_ current: [UInt32: ModuleCounts], at time: Int64) -> CounterSnapshot {
    func bytes(_ figure: any KeyPath<ModuleCounts, UInt64> & Sendable) -> UInt64? {
      var total: UInt64 = 0
      for (handle, counts) in current {
        let growth = counts[keyPath: figure] - (first[handle]?[keyPath: figure] ?? 0)
        let (bytes, isTooMuch) = growth.multipliedReportingOverflow(by: 64)
        let (sum, isOver) = total.addingReportingOverflow(bytes)
        // No module moves 16 EiB: such a count says nothing.
        if isTooMuch || isOver { return nil }
        total = sum
      }
      return total
    }
    return CounterSnapshot(
      timeNanoseconds: time, source: .module, imcWriteBytes: bytes(\.requestedWrites),
      imcReadBytes: bytes(\.requestedReads), mediaWriteBytes: bytes(\.mediaWrites),
      mediaReadBytes: bytes(\.mediaReads))
  }

  private static let figures: [any KeyPath<ModuleCounts, UInt64> & Sendable] = [
    \.mediaReads, \.mediaWrites, \.requestedReads, \.requestedWrites,
  ]
}
