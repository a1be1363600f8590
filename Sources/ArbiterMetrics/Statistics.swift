// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// An exponentially weighted moving average.
public struct MovingAverage: Sendable {
  /// The share of a new sample in the average, above 0 and at most 1.
  public let weight: Double

  /// The average so far; nil before the first sample.
  public private(set) var value: Double?

  /// Makes an empty average.
  ///
  /// - Precondition: `weight` is above 0 and at most 1.
  public init(weight: Double) {
    precondition(weight > 0 && weight <= 1, "moving-average weight out of range")
    self.weight = weight
  }

  /// Takes in a sample and returns the new average.
  @discardableResult
  public mutating func add(_ sample: Double) -> Double {
    let next = value.map { $0 + weight * (sample - $0) } ?? sample
    value = next
    return next
  }
}

/// Summaries of a handful of samples.
public enum Statistics {
  /// The middle of the samples (the mean of the two middle ones of an even number); nil of none.
  public static func median(_ samples: [Double]) -> Double? {
    quantile(samples, 0.5)
  }

  /// The given quantile by linear interpolation between neighbours; nil of no samples.
  ///
  /// - Precondition: `share` lies between 0 and 1.
  public static func quantile(_ samples: [Double], _ share: Double) -> Double? {
    precondition(share >= 0 && share <= 1, "quantile share out of range")
    guard !samples.isEmpty else { return nil }
    let sorted = samples.sorted()
    let place = share * Double(sorted.count - 1)
    let below = Int(place)
    let above = min(below + 1, sorted.count - 1)
    return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
  }

  /// Jain's fairness index: 1 where all shares are equal, 1/n where one has everything.
  ///
  /// Source: Jain, Chiu and Hawe, DEC-TR-301 (1984).
  ///
  /// - Returns: nil where there are no shares or none is above 0.
  public static func fairness(_ shares: [Double]) -> Double? {
    let total = shares.reduce(0, +)
    let squares = shares.reduce(0) { $0 + $1 * $1 }
    guard squares > 0 else { return nil }
    return total * total / (Double(shares.count) * squares)
  }

  /// The distribution-free confidence interval of the median at 95 % or more, by order statistics.
  ///
  /// - Returns: The two samples that bound it; nil of fewer than six samples.
  public static func medianInterval(_ samples: [Double]) -> ClosedRange<Double>? {
    let count = samples.count
    guard count >= 6 else { return nil }
    let sorted = samples.sorted()
    let half = 1.96 * Double(count).squareRoot() / 2
    let below = max(0, Int((Double(count) / 2 - half).rounded(.down)) - 1)
    let above = min(count - 1, Int((Double(count) / 2 + half).rounded(.up)))
    return sorted[below]...sorted[above]
  }
}
