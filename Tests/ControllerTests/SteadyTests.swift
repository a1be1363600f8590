// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterScheduler
import ArbiterWorkloads
import Testing

/// What the scheme `arbiter` makes of writers that all write sequentially, for ever.
///
/// The figures of the steady state leave out the first 12 periods under the scheme.
@Suite("Sequential writers under the adaptive controller")
struct SteadyTests {
  static let threadCounts = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 26, 32, 48, 64]

  @Test(arguments: threadCounts, [64, 256])
  func `sequential writers get nearly all that one writer gets`(
    threads: Int, accessBytes: Int
  ) throws {
    let peak = try Bench.peak()
    var run = Run(threads: Bench.crowd(threads, Workload(accessBytes: accessBytes)))
    run.skipped = 12
    run.periods = 30
    var reference = run.baseline
    reference.skipped = threads <= 4 ? 12 : 5
    reference.periods = threads <= 4 ? 30 : 8
    let baseline = try reference.measured()
    for isSaturated in [false, true] {
      run.isSaturated = isSaturated
      let outcome = try run.measured()
      let share = outcome.result.effectiveBandwidth / peak
      let start = outcome.firstPeriod(atLeast: 0.95 * peak).map(Double.init) ?? .infinity
      var bars: [Bar] = [
        .share(0.97, "of peak", share),
        .atMost(1.03, "WA", outcome.amplification, digits: 3),
        .atMost(threads <= 32 ? 5 : 12, "periods to 95 %", start, digits: 0),
        .atLeast(0.95, "fairness", outcome.result.fairness ?? 0, digits: 3),
      ]
      if threads >= 4 {
        bars.append(.atMost(0.5, "p99 of baseline's", outcome.p99 / baseline.p99, digits: 2))
      }
      if threads <= 4 {
        let steady = outcome.result.effectiveBandwidth / baseline.result.effectiveBandwidth
        bars.append(.share(0.99, "of baseline", steady))
        bars.append(.share(0.99, "start included", outcome.bytes / baseline.bytes))
      }
      #expect(outcome.violations.isEmpty)
      let title = "\(threads) x \(accessBytes) B \(isSaturated ? "saturated" : "clean")"
      let unpaced = baseline.result.effectiveBandwidth / peak * 100
      check(title, bars, note: "baseline \(unpaced.text())%; \(outcome.trace(6))")
    }
  }

  /// What a delay that somebody set by hand could reach, and a fence without any delay: no bounds
  /// for these, but whoever knows the load in advance should not beat the controller by much.
  @Test(arguments: [4, 8, 16, 26, 64], [false, true])
  func `no fixed delay is better than the controller`(threads: Int, isSaturated: Bool) throws {
    let peak = try Bench.peak()
    var run = Run(threads: Bench.crowd(threads))
    run.isSaturated = isSaturated
    run.skipped = 8
    run.periods = 8
    var shares: [String] = []
    var best = 0.0
    for point in DelayPoint.allCases {
      let unit = Double(threads) * (point == .block ? 256 : 64) / peak * 1e9
      var found = (share: 0.0, ratio: 0.0)
      for ratio in [0.9, 1, 1.1, 1.3, 1.6, 2, 3] {
        let settings = GateSettings(delayNanoseconds: ratio * unit, point: point, anchor: .arrival)
        let share = try run.under(.fixed(settings)).measured().result.effectiveBandwidth / peak
        if share > found.share { found = (share, ratio) }
      }
      shares.append(
        "best delay per \(point) \((found.share * 100).text())% at \(found.ratio)")
      best = max(best, found.share)
    }
    let fence = GateSettings(delayNanoseconds: 0, isFencedAtBlocks: true)
    let fenced = try run.under(.fixed(fence)).measured()
    shares.append(
      "fence \((fenced.result.effectiveBandwidth / peak * 100).text())% p99 \(fenced.p99.text(0))")
    run.skipped = 12
    run.periods = 20
    let outcome = try run.measured()
    let share = outcome.result.effectiveBandwidth / peak
    check(
      "\(threads) writers \(isSaturated ? "saturated" : "clean") beside a fixed delay",
      [.share(0.98, "arbiter of the best fixed delay", share / best)],
      note: shares.joined(separator: ", ") + ", arbiter p99 \(outcome.p99.text(0))")
  }

  @Test func `a short stall of the medium is got over`() throws {
    let peak = try Bench.peak()
    var run = Run(threads: Bench.crowd(26))
    var profile = try Bench.profile()
    profile.stallPeriodNanoseconds = 10e6
    profile.stallNanoseconds = 60e3
    run.profile = profile
    for isSaturated in [false, true] {
      run.isSaturated = isSaturated
      run.skipped = 12
      run.periods = 100
      let outcome = try run.measured()
      check(
        "26 writers, stall of 60 us per 10 ms, \(isSaturated ? "saturated" : "clean")",
        [.share(0.9, "of peak", outcome.result.effectiveBandwidth / peak)])
    }
  }
}
