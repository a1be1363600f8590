// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What is known of a device by its orderings and knees, but not by values that could be compared.

public import ArbiterDevice

/// A figure of the model that a trend looks at.
public struct TrendFigure: Sendable, Hashable {
  /// What it is, with the place, for example `loads, 50 % of the cache`.
  public let label: String
  /// The model's value.
  public let value: Double
  /// The unit.
  public let unit: String

  init(_ label: String, _ value: Double, _ unit: String) {
    self.label = label
    self.value = value
    self.unit = unit
  }
}

/// The model's answer to a trend.
public struct TrendOutcome: Sendable, Hashable {
  /// The figures that were compared.
  public let figures: [TrendFigure]
  /// Whether they are ordered as the claim says.
  public let holds: Bool
}

/// A published trend and the experiment that looks for it in the model.
public struct CalibrationTrend: Sendable {
  /// Number in the list of published trends; no target has it.
  public let number: Int
  /// What was observed.
  public let title: String
  /// What must hold of the model's figures, as one sentence.
  public let claim: String
  /// Where the trend was published.
  public let source: String
  /// Name of the profile that must show it.
  public let profileName: String
  let experiment: @Sendable (CalibrationBench) -> TrendOutcome

  init(
    _ number: Int, _ title: String, claim: String, source: String, profile: String,
    experiment: @escaping @Sendable (CalibrationBench) -> TrendOutcome
  ) {
    self.number = number
    self.title = title
    self.claim = claim
    self.source = source
    profileName = profile
    self.experiment = experiment
  }

  /// Runs the experiment on a profile.
  ///
  /// - Parameters:
  ///   - profile: The device, normally the one named ``profileName``.
  ///   - seed: The source of randomness.
  /// - Returns: The figures, and whether the trend is there.
  public func run(on profile: DeviceProfile, seed: UInt64) -> TrendOutcome {
    experiment(CalibrationBench(profile: profile, seed: seed))
  }

  /// Every trend, by number.
  public static let all: [CalibrationTrend] = pageCacheTrends
}
