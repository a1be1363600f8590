// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCalibration
internal import ArbiterDevice
internal import ArbiterProfiles

/// Every published measurement that is judged, and the runs that answer it.
struct FidelityStudy: Sendable {
  /// A run of one target or of one trace with one seed.
  enum Job: Sendable {
    case target(Int, seed: UInt64)
    case trace(Int, seed: UInt64)
  }

  /// What came of a job.
  enum Outcome: Sendable {
    case target(Int, [CalibrationOutcome])
    case trace(Int, VANSAnswer, wallSeconds: Double)
  }

  let targets: [CalibrationTarget]
  /// The profile of each target, in their order.
  let profiles: [DeviceProfile]
  /// The traces that VANS was run on; none where only some targets are judged.
  let traces: [VANSResult]
  /// The profile of the traces.
  let traceProfile: DeviceProfile
  let seeds: [UInt64]

  /// Chooses what is judged.
  ///
  /// - Parameters:
  ///   - numbers: The targets; empty for all that the profile has.
  ///   - own: A profile in place of those that the targets belong to, with its ancestors.
  ///   - seeds: A run of everything for each.
  ///   - isTraced: Whether the traces follow on which VANS was run.
  ///   - library: Where the targets' own profiles are.
  /// - Throws: `ProfileError` where a target's profile is not there.
  init(
    numbers: [Int], own: ResolvedProfile?, seeds: [UInt64], traces isTraced: Bool,
    library: ProfileLibrary = .embedded
  ) throws {
    let all = numbers.isEmpty ? own.map(Self.targets(of:)) : nil
    targets = (all ?? CalibrationTarget.all)
      .filter { numbers.isEmpty || numbers.contains($0.number) }
      .sorted { $0.number < $1.number }
    profiles = try targets.map { target in
      try own?.profile ?? library.profile(named: target.profileName)
    }
    traces = isTraced ? VANSResult.all : []
    traceProfile = try own?.profile ?? library.profile(named: ProfileLibrary.defaultName)
    self.seeds = seeds
  }

  /// The targets of the nearest relation of a profile that has any; all of a profile without one.
  private static func targets(of own: ResolvedProfile) -> [CalibrationTarget] {
    for name in [own.profile.name] + own.ancestors {
      let targets = CalibrationTarget.all.filter { $0.profileName == name }
      if !targets.isEmpty { return targets }
    }
    return CalibrationTarget.all
  }

  /// The work, long jobs first so that all processors end at about the same time.
  var jobs: [Job] {
    let byLength = targets.indices.sorted {
      (targets[$0].points.count, $1) > (targets[$1].points.count, $0)
    }
    return byLength.flatMap { index in seeds.map { Job.target(index, seed: $0) } }
      + traces.indices.flatMap { index in seeds.map { Job.trace(index, seed: $0) } }
  }

  func run(_ job: Job) -> Outcome {
    switch job {
    case .target(let index, let seed):
      return .target(index, targets[index].run(on: profiles[index], seed: seed))
    case .trace(let index, let seed):
      let began = Console.seconds
      let answer = traces[index].answer(of: traceProfile, seed: seed)
      return .trace(index, answer, wallSeconds: Console.seconds - began)
    }
  }

  /// The verdict on each target of which every seed was run.
  func verdicts(_ outcomes: [Outcome]) -> [CalibrationVerdict] {
    targets.indices.compactMap { index in
      let runs = outcomes.compactMap { outcome in
        if case .target(index, let run) = outcome { run } else { nil }
      }
      guard runs.count == seeds.count else { return nil }
      return CalibrationVerdict(
        of: targets[index], profileName: profiles[index].name, runs: runs)
    }
  }

  /// The rows of the comparison with VANS of which every seed was run.
  func rows(_ outcomes: [Outcome]) -> [VANSRow] {
    traces.indices.compactMap { index in
      var answers: [VANSAnswer] = []
      var seconds = 0.0
      for case .trace(index, let answer, let wallSeconds) in outcomes {
        answers.append(answer)
        seconds += wallSeconds
      }
      guard answers.count == seeds.count, !answers.isEmpty else { return nil }
      return VANSRow(vans: traces[index], answers: answers, wallSeconds: seconds)
    }
  }
}

/// One trace: what VANS answered, what the model answers, what the module does.
struct VANSRow: Sendable {
  let vans: VANSResult
  /// Bandwidth of the model in GB/s; nil where latency is the question.
  let gigabytesPerSecond: Double?
  let nanosecondsPerRequest: Double
  let writeAmplification: Double?
  /// Requests that this machine simulated in a second, on one processor.
  let requestsPerWallSecond: Double

  init(vans: VANSResult, answers: [VANSAnswer], wallSeconds: Double) {
    func mean(_ value: (VANSAnswer) -> Double?) -> Double? {
      let values = answers.compactMap(value)
      return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
    }
    self.vans = vans
    gigabytesPerSecond = mean(\.gigabytesPerSecond)
    nanosecondsPerRequest = mean(\.nanosecondsPerRequest) ?? 0
    writeAmplification = mean(\.writeAmplification)
    requestsPerWallSecond = answers.map(\.requestCount).reduce(0, +) / max(wallSeconds, 1e-9)
  }
}
