// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterMetrics
internal import ArbiterPlacement
internal import ArbiterSimulator

/// Every run of `arbiter simulate --tiers`.
struct TierStudy: Sendable {
  /// One run.
  struct Job: Sendable {
    var stream: Int
    var policy: TierPolicyName
    var seed: UInt64
  }

  /// The streams by name: one where a recording is replayed.
  let streams: [String]
  let policies: [TierPolicyName]
  let seeds: [UInt64]
  private let kinds: [TierStreamKind]
  private let machine: TierMachine
  private let footprintBytes: Int
  private let hotBytes: Int
  private let seconds: Double
  private let recording: TierRecording?
  private let options: TierSimulationOptions

  /// A study of generated streams.
  init(
    _ kinds: [TierStreamKind], options: TierSimulationOptions, machine: TierMachine,
    seconds: Double, seed: UInt64
  ) {
    self.kinds = kinds
    self.machine = machine
    self.seconds = seconds
    streams = kinds.map(\.rawValue)
    policies = options.policies
    seeds = (0..<UInt64(options.runs)).map { seed &+ $0 }
    footprintBytes = options.footprintBytes.bytes
    hotBytes = options.hotBytes.bytes
    recording = nil
    self.options = options
  }

  /// A study of a recording, which draws nothing and needs no second run.
  init(_ recording: TierRecording, options: TierSimulationOptions, seed: UInt64) {
    self.recording = recording
    self.options = options
    let tiers = recording.header.tiers
    kinds = []
    streams = ["recording"]
    policies = options.policies
    seeds = [seed]
    let fastBytes = options.fast?.bytes ?? tiers.fastBytes
    machine = TierMachine(recorded: tiers, fastBytes: fastBytes)
    (footprintBytes, hotBytes, seconds) = (0, 0, 0)
  }

  /// Bytes of fast memory.
  var fastBytes: Int { machine.fastBytes }

  /// What is run: the references too, which the others are compared with, named or not.
  var jobs: [Job] {
    let all = policies + [.firstTouch, .oracle].filter { !policies.contains($0) }
    return streams.indices.flatMap { stream in
      all.filter { unavailability($0) == nil }.flatMap { policy in
        seeds.map { Job(stream: stream, policy: policy, seed: $0) }
      }
    }
  }

  /// Why a policy has no figures; nil where it has.
  func unavailability(_ policy: TierPolicyName) -> String? {
    guard recording != nil else { return nil }
    return switch policy {
    case .memoryMode: "samples are too few to tell which lines meet in the cache"
    case .oracle: "samples do not tell all that will be accessed"
    case .scan: "a recording of samples has no accessed bits"
    default: nil
    }
  }

  /// Runs one job; nil where nobody can.
  ///
  /// - Parameter progress: Told the share that is done; false ends the run there.
  func run(_ job: Job, progress: (Double) -> Bool) -> TierOutcome? {
    let contender = options.contender(job.policy)
    guard let recording else {
      let simulation = TierSimulation(
        kinds[job.stream], on: machine, footprintBytes: footprintBytes, hotBytes: hotBytes,
        seconds: seconds, seed: job.seed)
      return simulation.run(contender, progress: progress)
    }
    guard case .policy(let make, let mechanism) = contender.kind else { return nil }
    var replay = TierReplay(
      recording, policy: make(job.seed), mechanism: mechanism, fastBytes: machine.fastBytes)
    return replay.run(progress: progress)
  }

  /// The findings, stream by stream, of the outcomes in the order of the jobs.
  func findings(_ outcomes: [TierOutcome?]) -> [TierFinding] {
    var byRun: [String: TierOutcome] = [:]
    func key(_ stream: Int, _ policy: TierPolicyName, _ seed: UInt64) -> String {
      "\(stream) \(policy.rawValue) \(seed)"
    }
    for (job, outcome) in zip(jobs, outcomes) {
      byRun[key(job.stream, job.policy, job.seed)] = outcome
    }
    return streams.indices.flatMap { stream in
      policies.map { policy in
        let runs = seeds.compactMap { seed -> TierFinding.Run? in
          guard let outcome = byRun[key(stream, policy, seed)] else { return nil }
          return TierFinding.Run(
            seed: seed, outcome: outcome, firstTouch: byRun[key(stream, .firstTouch, seed)],
            oracle: byRun[key(stream, .oracle, seed)])
        }
        return TierFinding(
          stream: streams[stream], policy: policy, runs: runs, absence: unavailability(policy))
      }
    }
  }
}

/// What the runs of one policy on one stream show.
struct TierFinding: Sendable {
  /// A run and those that it is compared with, of the same seed.
  struct Run: Sendable {
    var seed: UInt64
    var outcome: TierOutcome
    var firstTouch: TierOutcome?
    var oracle: TierOutcome?
  }

  let stream: String
  let policy: TierPolicyName
  let runs: [Run]
  /// Why there are no figures.
  let absence: String?

  /// The median of a figure over the runs, and its range.
  func spread(
    _ read: (Run) -> Double?
  ) -> (median: Double, least: Double, most: Double)? {
    let values = runs.compactMap(read)
    guard values.count == runs.count, let median = Statistics.median(values),
      let least = values.min(), let most = values.max()
    else { return nil }
    return (median, least, most)
  }
}

extension TierFinding.Run {
  /// Run time by that of the same work without any migration; below 1 is faster.
  var timeByFirstTouch: Double? { ratio(to: firstTouch) }

  /// Run time by that of the same work under the oracle.
  var timeByOracle: Double? { ratio(to: oracle) }

  private func ratio(to other: TierOutcome?) -> Double? {
    guard let other, other.isComplete, outcome.isComplete, other.seconds > 0 else { return nil }
    return outcome.seconds / other.seconds
  }
}
