// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMemory
internal import ArbiterMetrics
internal import ArbiterPlatform
internal import ArbiterWorkloads
internal import CArbiter

// One access between two readings of the time-stamp counter gives the percentiles; what two
// readings with nothing between them take is subtracted. Many accesses between two readings give
// the mean, from which the counter takes next to nothing. Both alternate, so that they see the
// same memory.

/// Times accesses of one thread to mapped memory: no allocation, no lock, no system call.
@safe
struct LatencyKernel: ~Copyable {
  /// What is timed.
  enum Subject {
    /// Loads, each at an address that waits for the data of the one before.
    case chain(LineOrder)
    /// Stores past the caches and a fence.
    case nonTemporal(bytes: Int)
    /// Stores through the caches, their write-back and a fence.
    case writeBack(bytes: Int, PersistOperations)
  }

  private let base: UnsafeMutableRawPointer
  private let byteCount: Int
  private let pattern: LinePattern
  private let subject: Subject
  /// 0, which the optimiser does not know: an address that adds `value & zero` waits for the value.
  private let zero: UInt64
  /// What the clock takes, and cannot tell from nothing.
  let clock: ClockCost
  private var place: UInt64 = 0
  private var offset = 0
  private var value: UInt64 = 0
  /// Ticks of accesses that were timed one by one, without the overhead.
  private(set) var histogram = Histogram()
  /// Ticks of whole groups of accesses, without the overhead.
  private(set) var groups = Histogram()

  /// Accesses that are timed together.
  private static let groupedLoads = 64
  private static let groupedStores = 16

  /// Makes a kernel.
  ///
  /// - Parameters:
  ///   - base: The first byte; aligned to a line.
  ///   - byteCount: Bytes that stores walk; at least those of one store.
  ///   - pattern: What is stored.
  ///   - subject: What is timed.
  @unsafe
  init(
    base: UnsafeMutableRawPointer, byteCount: Int, pattern: LinePattern, subject: Subject
  ) {
    unsafe self.base = base
    self.byteCount = byteCount
    self.pattern = pattern
    self.subject = subject
    zero = Opaque.zero
    clock =
      if case .chain = subject { ClockCost(isFenced: false) } else { ClockCost(isFenced: true) }
  }

  /// Times accesses until the time-stamp counter reaches a value, one group at least.
  mutating func run(untilTick deadline: Int64) {
    switch subject {
    case .chain(let order):
      repeat { loadGroup(order) } while TimeStampClock.now() < deadline
    case .nonTemporal(let bytes):
      repeat { storeGroup(bytes, nil) } while TimeStampClock.now() < deadline
    case .writeBack(let bytes, let operations):
      repeat { storeGroup(bytes, operations) } while TimeStampClock.now() < deadline
    }
  }

  /// Forgets what was timed.
  mutating func reset() {
    histogram.reset()
    groups.reset()
  }

  @inline(__always)
  private mutating func load(_ order: LineOrder, after tick: Int64) {
    let line = order.line(at: place) << 6
    place &+= 1
    let waits = (value | UInt64(truncatingIfNeeded: tick)) & zero
    // SAFETY: the order stays below its number of lines, all of which the region holds.
    value = unsafe arb_load_now(base + Int(truncatingIfNeeded: line &+ waits))
  }

  @inline(__always)
  private mutating func loadGroup(_ order: LineOrder) {
    let start = TimeStampClock.nowOrdered()
    for _ in 0..<Self.groupedLoads { load(order, after: 0) }
    noteGroup(TimeStampClock.nowOrdered() &- start)
    let single = TimeStampClock.nowOrdered()
    load(order, after: single)
    note(TimeStampClock.nowOrdered() &- single)
  }

  @inline(__always)
  private mutating func store(_ bytes: Int, _ operations: PersistOperations?) {
    let first = offset
    offset &+= bytes
    if offset &+ bytes > byteCount { offset = 0 }
    var line = 0
    while line < bytes {
      let content = pattern.line(at: first &+ line)
      // SAFETY: `first` + `bytes` lies within the region by the line that wraps the offset.
      if operations == nil {
        unsafe LineWriter.storeNonTemporal(content, to: base + first + line)
      } else {
        unsafe LineWriter.storeCached(content, to: base + first + line)
      }
      line &+= 64
    }
    // SAFETY: the bytes that were just stored.
    if let operations { unsafe operations.flush(base + first, byteCount: bytes) }
    LineWriter.fence()
  }

  @inline(__always)
  private mutating func storeGroup(_ bytes: Int, _ operations: PersistOperations?) {
    let start = TimeStampClock.nowOrdered()
    for _ in 0..<Self.groupedStores { store(bytes, operations) }
    // The store fence orders stores; only this one waits, and the clock has to.
    arb_fence_full()
    noteGroup(TimeStampClock.nowOrdered() &- start)
    let single = TimeStampClock.nowOrdered()
    store(bytes, operations)
    arb_fence_full()
    note(TimeStampClock.nowOrdered() &- single)
  }

  @inline(__always)
  private mutating func note(_ ticks: Int64) {
    histogram.record(UInt64(max(0, ticks &- clock.ticks)))
  }

  @inline(__always)
  private mutating func noteGroup(_ ticks: Int64) {
    groups.record(UInt64(max(0, ticks &- clock.ticks)))
  }

  /// Accesses of a group.
  var groupSize: Int {
    if case .chain = subject { return Self.groupedLoads }
    return Self.groupedStores
  }

  /// Ticks of an access in the middle one of all groups; nil where none was timed.
  ///
  /// Not of all groups together: a thread that is put aside for milliseconds would be most of it.
  var groupedTicks: Double? { groups.quantile(0.5).map { Double($0) / Double(groupSize) } }
}

/// What two readings of the time-stamp counter with nothing between them show.
struct ClockCost {
  /// The median of their distances.
  let ticks: Int64
  /// Distances that differ by less are the same: some machines count in large steps.
  let resolutionTicks: Int64

  /// Reads the counter some thousand times.
  ///
  /// - Parameter isFenced: Whether all stores are waited for, as a clock of stores has to.
  init(isFenced: Bool) {
    var distances: [Int64] = (0..<1024).map { _ in
      let start = TimeStampClock.nowOrdered()
      if isFenced { arb_fence_full() }
      return max(0, TimeStampClock.nowOrdered() &- start)
    }
    distances.sort()
    let median = distances[distances.count / 2]
    let step = zip(distances, distances.dropFirst()).map { $1 - $0 }.filter { $0 > 0 }.min() ?? 1
    ticks = median
    resolutionTicks = max(step, distances[distances.count * 9 / 10] - median)
  }
}
