// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The model's answer to one published figure, averaged over seeds.
public struct CalibrationAnswer: Sendable, Hashable {
  /// The point's name, as ``CalibrationOutcome/key``.
  public let key: String
  /// What was measured.
  public let point: CalibrationPoint
  /// Threads of the run.
  public let threadCount: Int
  /// What the model says.
  public let model: Double

  /// Signed relative error; 0 inside the measured band.
  public var error: Double { point.error(of: model) }

  /// Whether the model reproduces the point.
  public var isReproduced: Bool { point.isReproduced(by: model, threadCount: threadCount) }

  /// The entry of the list of known misses; nil where the point is not on it.
  public var knownMiss: KnownMiss? { KnownMiss.all.first { $0.key == key } }
}

/// The model's answers to every point of one target.
public struct CalibrationVerdict: Sendable {
  /// What was measured.
  public let target: CalibrationTarget
  /// Name of the profile that answered.
  public let profileName: String
  /// One answer per point of the target, in their order.
  public let answers: [CalibrationAnswer]

  /// Averages the runs of one target over their seeds.
  ///
  /// - Parameters:
  ///   - target: What was measured.
  ///   - profileName: Name of the profile that answered.
  ///   - runs: What ``CalibrationTarget/run(on:seed:)`` returned, once per seed.
  /// - Precondition: There is a run, and each has one outcome per point.
  public init(
    of target: CalibrationTarget, profileName: String, runs: [[CalibrationOutcome]]
  ) {
    precondition(!runs.isEmpty, "a verdict without a run")
    precondition(runs.allSatisfy { $0.count == target.points.count }, "a run without a point")
    self.target = target
    self.profileName = profileName
    answers = runs[0].indices.map { place in
      let first = runs[0][place]
      return CalibrationAnswer(
        key: first.key, point: first.point, threadCount: first.threadCount,
        model: runs.map { $0[place].model }.reduce(0, +) / Double(runs.count))
    }
  }

  /// How many points the model reproduces.
  public var reproducedCount: Int { answers.count(where: \.isReproduced) }

  /// The points that it does not.
  public var misses: [CalibrationAnswer] { answers.filter { !$0.isReproduced } }

  /// The answer that is furthest from its measurement.
  public var worst: CalibrationAnswer? {
    answers.max { abs($0.error) < abs($1.error) }
  }
}
