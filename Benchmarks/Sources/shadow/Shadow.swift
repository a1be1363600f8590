// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What the shadow estimate takes of a writer's time: pairs of the same loop of 64-byte stores
// through a gate, once under a monitor without counters and once under a monitor that reads a
// shadow estimate, taken in turn in one process. The order within a pair alternates. Time is the
// writer's own CPU time, so that other programs on the machine weigh little. The figure is the
// median over the pairs of the relative difference, with its distribution-free 95 % interval.
//
//   met        the whole interval lies at or below the limit
//   missed     the whole interval lies above it
//   undecided  the limit lies within the interval

internal import Arbiter
internal import ArbiterProfiles
internal import BenchmarkSupport

#if canImport(Glibc)
internal import Glibc
#endif

/// How much is measured.
struct Size {
  var pairCount: Int
  var armMilliseconds: Int

  static let full = Size(pairCount: 301, armMilliseconds: 20)
  /// For test runs: too little to mean anything, enough to see that it runs.
  static let smoke = Size(pairCount: 7, armMilliseconds: 10)
}

/// Leaves the gates open, so that only the looking costs.
struct IdleController: Controller {
  var settings: GateSettings { .open }
  var phase: String { "idle" }
  mutating func step(snapshot: CounterSnapshot, activity: GateActivity) -> GateSettings { .open }
  mutating func registrationChanged(registeredCount: Int) -> GateSettings { .open }
}

@main
enum ShadowBenchmark {
  static let limitPercent = 3.0

  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard arguments.allSatisfy({ $0 == "--smoke" }) else {
      print("usage: shadow [--smoke]")
      exit(2)
    }
    let size = arguments.isEmpty ? Size.full : Size.smoke
    let clock = try TimeStampClock.calibrate()
    let profile = try ProfileLibrary.embedded.profile(named: ProfileLibrary.defaultName)
    var verdicts: [Verdict] = []
    // The shortest period costs most: recordings are paid for per period.
    for isCached in [false, true] {
      verdicts.append(
        try measure(
          periodMilliseconds: 1, isCached: isCached, size: size, clock: clock, profile: profile))
    }
    let verdict = Verdict.worst(verdicts)
    print("shadow: \(verdict) against \(limitPercent) %")
    if verdict == .missed && arguments.isEmpty { exit(1) }
  }

  static func measure(
    periodMilliseconds: Double, isCached: Bool, size: Size, clock: TimeStampClock,
    profile: DeviceProfile
  ) throws -> Verdict {
    let bytes = isCached ? 16 << 10 : 64 << 20
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
    defer { unsafe memory.deallocate() }
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 1, count: bytes)
    var differences: [Double] = []
    var sampleCount = 0
    for pair in 0...size.pairCount {
      var costs = [0.0, 0.0]
      for arm in 0..<2 {
        let isShadowed = (pair + arm) % 2 == 0
        let board = try GateBoard(capacity: 1, clock: clock)
        let shadow = isShadowed ? try ShadowEstimate(board: board, profile: profile) : nil
        let reader: any CounterReader = shadow ?? UnavailableCounters(reason: "not looked for")
        let monitor = try Monitor(
          board: board, reader: reader, controller: IdleController(),
          periodNanoseconds: periodMilliseconds * 1e6)
        var gate = try Gate(on: board)
        unsafe costs[isShadowed ? 1 : 0] = write(
          memory, lineMask: bytes / 64 - 1, isCached: isCached, gate: &gate,
          milliseconds: size.armMilliseconds)
        monitor.stop()
        sampleCount += shadow?.sampleCount ?? 0
      }
      // The first pair warms up.
      if pair > 0 { differences.append((costs[1] / costs[0] - 1) * 100) }
    }
    guard let median = Statistics.median(differences),
      let interval = Statistics.medianInterval(differences)
    else { return .undecided }
    let verdict = Verdict(interval: interval, limit: limitPercent)
    print(
      "\(isCached ? "cached" : "non-temporal"), period \(Int(periodMilliseconds)) ms: difference "
        + "\(text(median)) % (95 % \(text(interval.lowerBound)) to \(text(interval.upperBound)), "
        + "\(differences.count) pairs, \(sampleCount) samples): \(verdict)")
    return verdict
  }

  /// CPU nanoseconds of a store, over a span of time.
  @inline(never)
  static func write(
    _ memory: UnsafeMutableRawPointer, lineMask: Int, isCached: Bool, gate: inout Gate,
    milliseconds: Int
  ) -> Double {
    let end = SystemClock.monotonicRawNanoseconds() + Int64(milliseconds) * 1_000_000
    let start = SystemClock.threadCPUNanoseconds()
    var index = 0
    repeat {
      for _ in 0..<4096 {
        let offset = (index & lineMask) &* 64
        let line = CacheLine(words: SIMD8(repeating: UInt64(truncatingIfNeeded: index)))
        gate.pass(address: UInt64(truncatingIfNeeded: offset), length: 64)
        // SAFETY: the mask keeps the offset within the memory.
        if isCached {
          unsafe LineWriter.storeCached(line, to: memory + offset)
        } else {
          unsafe LineWriter.storeNonTemporal(line, to: memory + offset)
        }
        index &+= 1
      }
    } while SystemClock.monotonicRawNanoseconds() < end
    LineWriter.fence()
    return Double(SystemClock.threadCPUNanoseconds() - start) / Double(index)
  }
}
