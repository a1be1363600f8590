// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What an open gate costs: pairs of the same loop of 64-byte stores, once bare and once through a
// gate at zero delay, taken in turn in one process. The order within a pair alternates, so that a
// drift of the machine weighs on both arms alike. The figure is the median over the pairs of the
// difference per store, with its distribution-free 95 % interval.
//
//   met        the whole interval lies at or below the limit
//   missed     the whole interval lies above it
//   undecided  the limit lies within the interval
//
// The verdict is that of the worst case. Non-temporal stores leave a core time to do a gate's work
// while the memory is busy; stores that stay in the first-level cache do not, so that the last case
// shows all that a gate costs.

internal import Arbiter
internal import BenchmarkSupport

#if canImport(Glibc)
internal import Glibc
#endif

/// How much is measured.
struct Size {
  var pairCount: Int
  var storesPerArm: Int

  static let full = Size(pairCount: 201, storesPerArm: 400_000)
  /// For test runs: too few stores to mean anything, enough to see that it runs.
  static let smoke = Size(pairCount: 31, storesPerArm: 20_000)
}

/// A kind of store, known to the compiler, so that each has loops of its own.
protocol LineStore {
  static var name: String { get }
  static func store(_ line: CacheLine, to target: UnsafeMutableRawPointer)
}

enum NonTemporalStore: LineStore {
  static let name = "non-temporal"

  @inline(__always)
  static func store(_ line: CacheLine, to target: UnsafeMutableRawPointer) {
    unsafe LineWriter.storeNonTemporal(line, to: target)
  }
}

enum CachedStore: LineStore {
  static let name = "cached"

  @inline(__always)
  static func store(_ line: CacheLine, to target: UnsafeMutableRawPointer) {
    unsafe LineWriter.storeCached(line, to: target)
  }
}

@main
enum GateBenchmark {
  static let limitNanoseconds = 2.0

  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard arguments.allSatisfy({ $0 == "--smoke" }) else {
      print("usage: gate [--smoke]")
      exit(2)
    }
    let size = arguments.isEmpty ? Size.full : Size.smoke
    let clock = try TimeStampClock.calibrate()
    guard provesNonTemporal() else {
      print("gate: invalid, non-temporal stores leave their lines in the cache")
      exit(1)
    }
    var verdicts: [Verdict] = []
    for lineCount in [1 << 20, 1 << 8] {
      verdicts.append(
        try measure(NonTemporalStore.self, lineCount: lineCount, size: size, clock: clock))
    }
    verdicts.append(try measure(CachedStore.self, lineCount: 1 << 8, size: size, clock: clock))
    let verdict = Verdict.worst(verdicts)
    print("gate: \(verdict) against \(limitNanoseconds) ns")
    // A smoke run is too short to judge by.
    if verdict == .missed && arguments.isEmpty { exit(1) }
  }

  /// Whether non-temporal stores really pass the caches.
  ///
  /// An optimiser that drops the hint would make both arms fast and the figure worthless. Lines
  /// that were stored past the caches have to be read from memory, which takes many times as long.
  static func provesNonTemporal() -> Bool {
    let past = readingTicks(after: NonTemporalStore.self)
    let cached = readingTicks(after: CachedStore.self)
    print("reading 256 lines after non-temporal stores \(past) ticks, after cached \(cached)")
    return past > 3 * cached
  }

  /// The median time of reading 16 KiB that was just stored.
  @inline(never)
  static func readingTicks<Store: LineStore>(after store: Store.Type) -> Int64 {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 256 * 64, alignment: 4096)
    defer { unsafe memory.deallocate() }
    var times: [Int64] = []
    var sum: UInt64 = 0
    for round in 0..<101 {
      for line in 0..<256 {
        unsafe Store.store(
          CacheLine(words: SIMD8(repeating: UInt64(round))), to: memory + line * 64)
      }
      // A fence is also a wall to the compiler: loads move to neither side.
      LineWriter.fence()
      let start = TimeStampClock.nowOrdered()
      for line in 0..<256 { unsafe sum &+= memory.load(fromByteOffset: line * 64, as: UInt64.self) }
      LineWriter.fence()
      times.append(TimeStampClock.nowOrdered() - start)
    }
    precondition(sum == 256 * 5050, "stores were lost")
    return times.sorted()[50]
  }

  static func measure<Store: LineStore>(
    _ store: Store.Type, lineCount: Int, size: Size, clock: TimeStampClock
  ) throws -> Verdict {
    let bytes = lineCount * 64
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
    defer { unsafe memory.deallocate() }
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 1, count: bytes)
    let board = try GateBoard(capacity: 1, clock: clock)
    var gate = try Gate(on: board)
    let count = size.storesPerArm
    // Warm up both arms.
    unsafe _ = bare(store, memory, lineMask: lineCount - 1, count: count)
    unsafe _ = gated(store, memory, lineMask: lineCount - 1, count: count, gate: &gate)
    var differences: [Double] = []
    var bareTimes: [Double] = []
    var gatedTimes: [Double] = []
    for pair in 0..<size.pairCount {
      var bareTicks: Int64 = 0
      var gatedTicks: Int64 = 0
      for arm in 0..<2 {
        if (pair + arm) % 2 == 0 {
          unsafe bareTicks = bare(store, memory, lineMask: lineCount - 1, count: count)
        } else {
          unsafe gatedTicks = gated(
            store, memory, lineMask: lineCount - 1, count: count, gate: &gate)
        }
      }
      let perStore = 1 / Double(count)
      bareTimes.append(clock.nanoseconds(bareTicks) * perStore)
      gatedTimes.append(clock.nanoseconds(gatedTicks) * perStore)
      differences.append(clock.nanoseconds(gatedTicks - bareTicks) * perStore)
    }
    return report(
      name: Store.name, lineCount: lineCount, bare: bareTimes, gated: gatedTimes,
      differences: differences)
  }

  static func report(
    name: String, lineCount: Int, bare: [Double], gated: [Double], differences: [Double]
  ) -> Verdict {
    guard let median = Statistics.median(differences), let bareMedian = Statistics.median(bare),
      let gatedMedian = Statistics.median(gated),
      let interval = Statistics.medianInterval(differences)
    else { return .undecided }
    let verdict = Verdict(interval: interval, limit: limitNanoseconds)
    print(
      "\(name), \(ByteCount(bytes: lineCount * 64)): bare \(text(bareMedian)) ns, gate "
        + "\(text(gatedMedian)) ns, difference \(text(median)) ns "
        + "(95 % \(text(interval.lowerBound)) to \(text(interval.upperBound)), "
        + "\(differences.count) pairs): \(verdict)")
    return verdict
  }

  /// The loop without a gate.
  ///
  /// Never inlined, so that both arms are compiled alike.
  @inline(never)
  static func bare<Store: LineStore>(
    _ store: Store.Type, _ memory: UnsafeMutableRawPointer, lineMask: Int, count: Int
  ) -> Int64 {
    let start = TimeStampClock.nowOrdered()
    var index = 0
    while index < count {
      let offset = (index & lineMask) &* 64
      let word = UInt64(truncatingIfNeeded: index)
      // SAFETY: the mask keeps the offset within the memory.
      unsafe Store.store(CacheLine(words: SIMD8(repeating: word)), to: memory + offset)
      index &+= 1
    }
    LineWriter.fence()
    return TimeStampClock.nowOrdered() &- start
  }

  /// The same through a gate.
  @inline(never)
  static func gated<Store: LineStore>(
    _ store: Store.Type, _ memory: UnsafeMutableRawPointer, lineMask: Int, count: Int,
    gate: inout Gate
  ) -> Int64 {
    let start = TimeStampClock.nowOrdered()
    var index = 0
    while index < count {
      let offset = (index & lineMask) &* 64
      let word = UInt64(truncatingIfNeeded: index)
      gate.pass(address: UInt64(truncatingIfNeeded: offset), length: 64)
      // SAFETY: the mask keeps the offset within the memory.
      unsafe Store.store(CacheLine(words: SIMD8(repeating: word)), to: memory + offset)
      index &+= 1
    }
    LineWriter.fence()
    return TimeStampClock.nowOrdered() &- start
  }
}
