// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads
import Testing

/// A load that changes at 20.3 ms and again at 60.7 ms: off the grid of the controller's periods.
enum LoadStep: String, Sendable, CaseIterable, CustomTestStringConvertible {
  case crowdComes = "4, 26, 4 writers"
  case crowdGoes = "26, 1, 26 writers"
  case disorder = "26 writers sequential, random 64 B, sequential"

  static let times = [TimeSpan.milliseconds(20.3), .milliseconds(60.7)]

  var testDescription: String { rawValue }

  var threads: [ThreadPlan] {
    switch self {
    case .crowdComes: return Bench.crowd(4) + Self.crowd(22, nil, Workload())
    case .crowdGoes: return Bench.crowd(1) + Self.crowd(25, Workload(), nil)
    case .disorder:
      return Self.crowd(26, Workload(), Workload(pattern: .random, accessBytes: 64))
    }
  }

  /// Threads that do one thing, between the steps another, and then the first again.
  private static func crowd(
    _ count: Int, _ outside: Workload?, _ inside: Workload?
  ) -> [ThreadPlan] {
    let phases = [
      ThreadPhase(workload: outside), ThreadPhase(start: times[0], workload: inside),
      ThreadPhase(start: times[1], workload: outside),
    ]
    return Array(repeating: ThreadPlan(phases: phases), count: count)
  }

  /// Share of the peak that the load allows after a step: 64 B in a block of 256 B is a quarter.
  func allowed(after step: Int) -> Double { self == .disorder && step == 0 ? 0.25 : 1 }

  /// Periods within which the load must get 95 % of that: gates tell when they come and go, but
  /// not that they write elsewhere.
  var periodsMax: Int { self == .disorder ? 3 : 1 }
}

@Suite("The adaptive controller when the load changes")
struct LoadStepTests {
  @Test(arguments: LoadStep.allCases, [false, true])
  func `the new load soon gets what it can`(load: LoadStep, isSaturated: Bool) throws {
    let peak = try Bench.peak()
    var run = Run(threads: load.threads)
    run.isSaturated = isSaturated
    var simulation = try Simulation(try run.configuration())
    for (step, time) in LoadStep.times.enumerated() {
      let allowed = load.allowed(after: step) * peak
      let windows = run.windows(from: time, count: 20, in: &simulation)
      let back = windows.firstIndex { $0 >= 0.95 * allowed }.map { Double($0 + 1) } ?? .infinity
      let share = windows.reduce(0, +) / Double(windows.count) / allowed
      check(
        "\(load.rawValue), step \(step + 1), \(isSaturated ? "saturated" : "clean")",
        [
          .atMost(Double(load.periodsMax), "periods to 95 % of what it can", back, digits: 0),
          .share(0.9, "bytes of 20 periods", share),
        ],
        note: windows.prefix(8).map { ($0 / 1e9).text(2) }.joined(separator: ", "))
    }
    #expect(simulation.violations().isEmpty)
  }

  /// Some modules' own counters are read once per second.
  @Test(arguments: [4, 26])
  func `slow counters lead to the same steady state`(threads: Int) throws {
    let peak = try Bench.peak()
    var run = Run(threads: Bench.crowd(threads))
    run.isSaturated = true
    run.period = Bench.isLong ? .seconds(1) : .milliseconds(100)
    run.skipped = 4
    run.periods = Bench.isLong ? 8 : 4
    let outcome = try run.measured()
    check(
      "\(threads) writers, counters every \(run.period.seconds.text()) s",
      [
        .share(0.97, "of peak", outcome.result.effectiveBandwidth / peak),
        .atMost(1.03, "WA", outcome.amplification, digits: 3),
      ], note: outcome.trace())
  }
}
