// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads
import Testing

/// A module that nobody has measured, its threads and the counters that a controller sees of it.
private struct PerturbedModule: Sendable {
  let index: Int
  let profile: DeviceProfile
  let threads: Int
  let isSaturated: Bool
  let seed: UInt64

  init(index: Int, of profile: DeviceProfile, seed: UInt64) {
    var random = SeededRandom(seed: seed, stream: UInt64(index))
    func ratio(_ range: ClosedRange<Double>) -> Double {
      range.lowerBound + (range.upperBound - range.lowerBound) * Double(random.below(1001)) / 1000
    }
    var module = profile
    module.mediaWriteNanoseconds *= ratio(0.7...1.3)
    module.bufferBlocks = 48 + random.below(17)
    module.storeWindowLines = 6 + random.below(11)
    module.victimRule = random.below(4) == 0 ? .leastRecent : .leastRecentOfRandom
    module.victimCandidates = 1 + random.below(4)
    module.coreJitterRatio = ratio(0...0.9)
    module.mediaJitterRatio = ratio(0...0.9)
    self.index = index
    self.profile = module
    threads = [8, 12, 16, 26, 32][random.below(5)]
    isSaturated = index % 2 == 0
    self.seed = random.next()
  }

  var text: String {
    "\(index): \(threads) writers, block \(profile.mediaWriteNanoseconds.text(0)) ns, "
      + "\(profile.bufferBlocks) blocks, window \(profile.storeWindowLines), "
      + "\(profile.victimRule.rawValue) of \(profile.victimCandidates), jitter "
      + "\(profile.coreJitterRatio.text(2))/\(profile.mediaJitterRatio.text(2)), "
      + (isSaturated ? "saturated" : "clean")
  }

  /// What the controller reaches on it.
  func tried() throws -> Trial {
    let peak = try Bench.peak(of: profile)
    var run = Run(threads: Bench.crowd(threads))
    run.profile = profile
    run.isSaturated = isSaturated
    run.channel = CounterChannel(noiseRatio: 0.05, lagPeriods: 1)
    run.seed = seed
    run.skipped = 12
    run.periods = 60
    let outcome = try run.measured()
    var reference = run.baseline
    reference.periods = 20
    let baseline = try reference.measured().result.effectiveBandwidth
    return Trial(
      module: self, ofPeak: outcome.result.effectiveBandwidth / peak,
      ofBaseline: outcome.result.effectiveBandwidth / baseline,
      amplification: outcome.amplification, trace: outcome.trace())
  }
}

private struct Trial: Sendable {
  var module: PerturbedModule
  var ofPeak: Double
  var ofBaseline: Double
  var amplification: Double
  var trace: String
}

@Suite("The adaptive controller on modules that nobody has measured")
struct PerturbedModuleTests {
  /// Counters are 5 % noisy and one period late.
  ///
  /// A quarter of the modules may miss 95 % of what their own single writer gets; none may miss
  /// 90 %, or lose more than 2 % of what it has without a scheme.
  @Test func `the controller knows nothing of the module it was tuned on`() async throws {
    let seed = Bench.seed
    let profile = try Bench.profile()
    let count = Bench.isLong ? 240 : 24
    let trials = try await withThrowingTaskGroup(of: Trial.self) { group in
      for index in 0..<count {
        group.addTask { try PerturbedModule(index: index, of: profile, seed: seed).tried() }
      }
      var trials: [Trial] = []
      for try await trial in group { trials.append(trial) }
      return trials.sorted { $0.module.index < $1.module.index }
    }
    for trial in trials {
      check(
        "seed \(seed), module \(trial.module.text)",
        [
          .share(0.9, "of its peak", trial.ofPeak),
          .share(0.98, "of its baseline", trial.ofBaseline),
        ], note: "WA \(trial.amplification.text(3)), \(trial.trace)")
    }
    let good = trials.count { $0.ofPeak >= 0.95 }
    check(
      "seed \(seed), all modules",
      [.atLeast(Double(count) * 0.75, "with 95 % of peak", Double(good), digits: 0)],
      note: "of \(count)")
  }
}
