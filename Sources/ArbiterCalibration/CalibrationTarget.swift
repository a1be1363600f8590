// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The published measurements that the model must reproduce. OS is the raw data of Yang et al.,
// FAST'20 (first-generation 256 GB modules at 15 W), PB that of Böther et al., VLDB'22
// (PerMA-Bench). One non-interleaved module unless a target says otherwise. A range is the spread
// of several published runs.

public import ArbiterDevice

/// A published measurement and the experiment that repeats it on the model.
public struct CalibrationTarget: Sendable {
  /// Number in the list of published measurements.
  public let number: Int
  /// What was measured.
  public let title: String
  /// Where it was published.
  public let source: String
  /// What the points' `x` counts.
  public let axis: String
  /// Name of the profile that must reproduce it.
  public let profileName: String
  /// The published figures.
  public let points: [CalibrationPoint]
  let experiment: @Sendable (CalibrationPoint, CalibrationBench) -> Double
  let threadCount: @Sendable (CalibrationPoint) -> Int

  init(
    _ number: Int, _ title: String, source: String, axis: String = "threads",
    profile: String = "optane-100-256g", points: [CalibrationPoint],
    threadCount: @escaping @Sendable (CalibrationPoint) -> Int = { $0.x },
    experiment: @escaping @Sendable (CalibrationPoint, CalibrationBench) -> Double
  ) {
    self.number = number
    self.title = title
    self.source = source
    self.axis = axis
    profileName = profile
    self.points = points
    self.threadCount = threadCount
    self.experiment = experiment
  }

  /// Runs the experiment of every point on a profile.
  ///
  /// - Parameters:
  ///   - profile: The module, normally the one named ``profileName``.
  ///   - seed: The source of randomness.
  /// - Returns: One outcome per point, in their order.
  public func run(on profile: DeviceProfile, seed: UInt64) -> [CalibrationOutcome] {
    let bench = CalibrationBench(profile: profile, seed: seed)
    return points.map { point in
      CalibrationOutcome(
        target: number, title: title, point: point, model: experiment(point, bench),
        threadCount: threadCount(point))
    }
  }

  /// Every target, by number.
  public static let all: [CalibrationTarget] =
    (writeTargets + storeTargets + wearTargets + powerTargets + interleaveTargets + bufferTargets
    + readTargets + translationTargets + mixedTargets + generationTargets)
    .sorted { $0.number < $1.number }
}

/// A point per pair of place and value.
func points(
  _ quantity: MeasuredQuantity, _ pairs: [(Int, Double)], series: String = ""
) -> [CalibrationPoint] {
  pairs.map { CalibrationPoint($0.0, quantity, $0.1...$0.1, series: series) }
}
