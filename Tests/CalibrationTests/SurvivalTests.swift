// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCalibration
import ArbiterDevice
import ArbiterProfiles
import ArbiterScheduler
import Testing

@Suite("Conclusions")
struct SurvivalTests {
  private typealias Runs = [ConclusionCase: RunResult]

  private static let arbiter = ConclusionCase(scheme: .arbiter, threadCount: 26, accessBytes: 64)
  private static let baseline = ConclusionCase(scheme: .baseline, threadCount: 26, accessBytes: 64)
  private let gain = Conclusion.gain(over: .baseline)

  /// Runs in which arbiter reaches the given share of baseline.
  private func runs(_ ratio: Double?) -> Runs {
    func run(_ bandwidth: Double) -> RunResult {
      var run = RunResult(counterSource: .model, seconds: 1, threadCount: 26, moduleCount: 1)
      run.effectiveBandwidth = bandwidth
      return run
    }
    guard let ratio else { return [:] }
    return [Self.arbiter: run(ratio * 1e9), Self.baseline: run(1e9)]
  }

  /// A survival over a planted parameter with the given ratios.
  private func survival(_ base: Double, _ others: [Double?]) throws -> Survival {
    let profile = try ProfileLibrary.embedded.profile(named: ProfileLibrary.defaultName)
    let variants = others.enumerated().map { index, ratio in
      (
        variant: ProfileVariant(
          key: "planted", value: Double(index), name: "planted = \(index)", profile: profile),
        runs: runs(ratio)
      )
    }
    return try #require(Survival(of: gain, base: runs(base), variants: variants))
  }

  @Test func `a conclusion that reads the same everywhere survives`() throws {
    let survival = try survival(2, [1.2, 3, 1.06])
    #expect(survival.isSurviving && survival.flips.isEmpty)
    #expect(survival.word == "wins" && survival.range == 1.06...3)
  }

  @Test func `a conclusion that flips is reported with the place and the word`() throws {
    let survival = try survival(2, [1.2, 1.01, 0.5])
    #expect(!survival.isSurviving)
    #expect(survival.flips.map(\.word) == ["level", "loses"])
    #expect(survival.flips.map(\.variant.value) == [1, 2])
    #expect(survival.flips.map(\.value) == [1.01, 0.5])
    #expect(survival.range == 0.5...2)
  }

  @Test func `a draw that becomes a win flips as well`() throws {
    #expect(try survival(1, [1.2]).flips.map(\.word) == ["wins"])
  }

  @Test func `a variant without a figure is neither for nor against, but no survival`() throws {
    let survival = try survival(2, [nil, 2.1])
    #expect(survival.flips.isEmpty && survival.silentCount == 1 && !survival.isSurviving)
  }

  @Test func `without a figure of the profile itself there is nothing to survive`() {
    #expect(Survival(of: gain, base: [:], variants: []) == nil)
  }

  @Test func `conclusions have names of their own and read every case`() {
    let names = Conclusion.all.map(\.name)
    #expect(Set(names).count == names.count)
    #expect(names.contains(gain.name))
    #expect(Set(ConclusionCase.all).count == ConclusionCase.all.count)
  }

  @Test func `a planted parameter of the model flips a conclusion`() throws {
    let profile = try ProfileLibrary.embedded.profile(named: ProfileLibrary.defaultName)
    var orderly = profile
    orderly.storeWindowLines = 1
    func runs(_ profile: DeviceProfile) throws -> Runs {
      var runs: Runs = [:]
      for place in [Self.arbiter, Self.baseline] {
        runs[place] = try place.run(on: profile, seed: 1)
      }
      return runs
    }
    let variant = ProfileVariant(
      key: "store_window_lines", value: 1, name: "store_window_lines = 1", profile: orderly)
    let survival = try #require(
      Survival(of: gain, base: runs(profile), variants: [(variant, runs(orderly))]))
    #expect(survival.word == "wins")
    #expect(survival.flips.map(\.word) == ["level"])
  }
}

@Suite("Verdicts")
struct VerdictTests {
  @Test func `answers are means over seeds`() throws {
    let target = try #require(CalibrationTarget.all.first { $0.number == 2 })
    func run(_ factor: Double) -> [CalibrationOutcome] {
      target.points.map {
        CalibrationOutcome(
          target: 2, title: "", point: $0, model: $0.measured.lowerBound * factor, threadCount: 1)
      }
    }
    let good = CalibrationVerdict(of: target, profileName: "p", runs: [run(0.9), run(1.1)])
    #expect(good.reproducedCount == target.points.count && good.misses.isEmpty)
    #expect(good.answers.allSatisfy { abs($0.error) < 1e-9 })
    let bad = CalibrationVerdict(of: target, profileName: "p", runs: [run(0.9), run(0.5)])
    #expect(bad.reproducedCount == 0 && bad.misses.count == target.points.count)
    #expect(abs((bad.worst?.error ?? 0) + 0.3) < 0.05)
  }

  @Test func `a trace of VANS is answered by threads`() throws {
    let profile = try ProfileLibrary.embedded.profile(named: ProfileLibrary.defaultName)
    func answer(_ title: String) throws -> VANSAnswer {
      try #require(VANSResult.all.first { $0.title == title }).answer(of: profile, seed: 1)
    }
    let (one, many) = (try answer("1 stream"), try answer("26 streams, in turn"))
    #expect(try #require(one.gigabytesPerSecond) > 2)
    #expect(try #require(many.writeAmplification) > #require(one.writeAmplification) + 0.5)
    let (near, far) = (try answer("dependent loads, 8 KB"), try answer("dependent loads, 1 MB"))
    #expect(near.nanosecondsPerRequest + 50 < far.nanosecondsPerRequest)
    #expect(far.gigabytesPerSecond == nil && far.writeAmplification == nil)
    #expect(Set(VANSResult.all.map(\.title)).count == VANSResult.all.count)
  }
}
