// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads
import Testing

/// A load that the scheme `arbiter` cannot help, or not much, and must not hurt.
enum HardLoad: String, Sendable, CaseIterable, CustomTestStringConvertible {
  case random64 = "random 64 B"
  case random256 = "random 256 B"
  case mixedSequential = "half reads, sequential 256 B"
  case mixedRandom = "half reads, random 64 B"
  case halves = "half sequential, half random 64 B"
  case thinking = "64 KiB, then 320 us of thought"
  case sixModules = "sequential 64 B on six modules"

  var testDescription: String { rawValue }

  var moduleCount: Int { self == .sixModules ? 6 : 1 }

  /// Six modules take six times as long to simulate.
  var periods: Int { Bench.isLong ? 1000 : self == .sixModules ? 60 : 200 }

  func threads(_ count: Int) -> [ThreadPlan] {
    let random = Workload(pattern: .random, accessBytes: 64)
    switch self {
    case .random64: return Bench.crowd(count, random)
    case .random256: return Bench.crowd(count, Workload(pattern: .random, accessBytes: 256))
    case .mixedSequential: return Bench.crowd(count, Workload(accessBytes: 256, readShare: 0.5))
    case .mixedRandom:
      return Bench.crowd(count, Workload(pattern: .random, accessBytes: 64, readShare: 0.5))
    case .halves: return Bench.crowd(count / 2) + Bench.crowd(count - count / 2, random)
    case .thinking:
      return Bench.crowd(count, Workload(accessBytes: 65_536, think: .microseconds(320)))
    case .sixModules: return Bench.crowd(count)
    }
  }
}

@Suite("Loads that the adaptive controller must not hurt")
struct GuardTests {
  @Test(arguments: HardLoad.allCases, [2, 4, 8, 26])
  func `no load gets less than without a scheme`(load: HardLoad, threads: Int) throws {
    var run = Run(threads: load.threads(threads))
    run.moduleCount = load.moduleCount
    run.periods = load.periods
    let outcome = try run.measured()
    let baseline = try run.baseline.measured()
    let floor = load == .halves && threads == 26 ? 1.15 : 0.99
    let shares = zip(outcome.threadBytes, baseline.threadBytes).map { Double($0) / Double($1) }
    let least = (shares.min() ?? 0) * 100
    let most = (shares.max() ?? 0) * 100
    let ratios = "WA \(outcome.amplification.text(2)), was \(baseline.amplification.text(2))"
    check(
      "\(load.rawValue), \(threads) threads, \(load.periods) periods",
      [.share(floor, "bytes of baseline's", outcome.bytes / baseline.bytes)],
      note: "a thread \(least.text(0)) to \(most.text(0))%, \(ratios), \(outcome.trace(6))")
    #expect(outcome.violations.isEmpty)
  }

  @Test func `gated writers do not starve beside writers without a gate`() throws {
    let ungated = Array(repeating: ThreadPlan(Workload(), isGated: false), count: 8)
    var run = Run(threads: Bench.crowd(8) + ungated)
    run.periods = Bench.isLong ? 1000 : 200
    let outcome = try run.measured()
    let baseline = try run.baseline.measured()
    func gated(_ outcome: Outcome) -> Double { Double(outcome.threadBytes[..<8].reduce(0, +)) }
    check(
      "8 gated beside 8 not attached, \(run.periods) periods",
      [.share(0.9, "gated bytes of baseline's", gated(outcome) / gated(baseline))],
      note: "all bytes \((outcome.bytes / baseline.bytes * 100).text())%, \(outcome.trace(12))")
  }
}
