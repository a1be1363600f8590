// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a published figure measures.
public enum MeasuredQuantity: String, Sendable, Hashable, CaseIterable {
  /// Bytes per nanosecond.
  case gigabytesPerSecond = "GB/s"
  /// Media write bytes ÷ iMC write bytes.
  case writeAmplification = "WA"
  /// Nanoseconds.
  case nanoseconds = "ns"
  /// Microseconds.
  case microseconds = "us"
  /// Million per second.
  case millionsPerSecond = "M/s"
  /// A number of things.
  case count
  /// One bandwidth ÷ another.
  case ratio
}

/// One published figure.
public struct CalibrationPoint: Sendable, Hashable {
  /// The quantity's place on the target's axis, for example a number of threads.
  public let x: Int
  /// What was measured.
  public let quantity: MeasuredQuantity
  /// The measured value, or the band of several runs.
  public let measured: ClosedRange<Double>
  /// A word that tells series of one target apart, for example `clwb`; often empty.
  public let series: String

  init(
    _ x: Int, _ quantity: MeasuredQuantity, _ measured: ClosedRange<Double>, series: String = ""
  ) {
    self.x = x
    self.quantity = quantity
    self.measured = measured
    self.series = series
  }

  /// How far the model's value lies from the measured band, as a signed share of its nearer end.
  public func error(of model: Double) -> Double {
    if model > measured.upperBound { return model / measured.upperBound - 1 }
    if model < measured.lowerBound { return model / measured.lowerBound - 1 }
    return 0
  }

  /// Whether the model's value counts as reproduced.
  ///
  /// Within 15 % of the band; amplification up to 8 threads within 0.15 of it.
  public func isReproduced(by model: Double, threadCount: Int) -> Bool {
    if quantity == .writeAmplification && threadCount <= 8 {
      return model >= measured.lowerBound - 0.15 && model <= measured.upperBound + 0.15
    }
    return abs(error(of: model)) <= 0.15
  }
}

/// A point with the model's answer.
public struct CalibrationOutcome: Sendable, Hashable {
  /// Number of the target in the list of published measurements.
  public let target: Int
  /// The target's title.
  public let title: String
  /// What was measured.
  public let point: CalibrationPoint
  /// What the model says.
  public let model: Double
  /// Threads of the run.
  public let threadCount: Int

  /// A name that is stable between versions, for the list of known misses.
  public var key: String {
    let series = point.series.isEmpty ? "" : "/\(point.series)"
    return "\(target)\(series)/\(point.quantity.rawValue)/\(point.x)"
  }

  /// Signed relative error; 0 inside the measured band.
  public var error: Double { point.error(of: model) }

  /// Whether the model reproduces the point.
  public var isReproduced: Bool { point.isReproduced(by: model, threadCount: threadCount) }
}
