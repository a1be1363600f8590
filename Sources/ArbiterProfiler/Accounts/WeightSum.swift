// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMetrics

/// The weights of samples, summed up so that the error of their sum is known.
///
/// Samples fall like rain: with k of them the sum of their weights w has a variance of about the
/// sum of w². For few samples that is too sure of itself (one would be 1 ± 1, none 0 ± 0), so what
/// is given is the upper end of the interval that holds the true mean of a Poisson count with 84 %:
/// 1 + √(k + ¾) in place of √k, after Gehrels, Astrophysical Journal 303 (1986) 336, equation 7.
/// For hundreds of samples the two agree.
public struct WeightSum: Sendable, Hashable {
  /// Samples.
  public private(set) var count: UInt64 = 0
  /// Their weights together.
  public private(set) var total = 0.0
  private var squares = 0.0

  /// Makes a sum of nothing.
  public init() {}

  /// Adds a sample.
  ///
  /// - Precondition: The weight is finite and at least 0.
  public mutating func add(_ weight: Double) {
    precondition(weight.isFinite && weight >= 0, "weight \(weight) of a sample")
    count &+= 1
    total += weight
    squares += weight * weight
  }

  /// Adds the samples of another sum.
  public mutating func add(_ other: WeightSum) {
    count &+= other.count
    total += other.total
    squares += other.squares
  }

  /// The root of the mean square of the weights; 0 without samples.
  public var typicalWeight: Double {
    count == 0 ? 0 : (squares / Double(count)).squareRoot()
  }

  /// The sum with its error.
  ///
  /// - Parameters:
  ///   - isExact: Whether every event was counted and none sampled; there is no error then.
  ///   - weight: The weight of one sample where there is none to learn it from.
  /// - Returns: The sum of the weights and its upper standard error.
  public func estimate(isExact: Bool, typicalWeight weight: Double = 0) -> Estimate {
    if isExact { return .exact(total) }
    let deviations = 1 + (Double(count) + 0.75).squareRoot()
    return Estimate(total, standardError: deviations * (count == 0 ? weight : typicalWeight))
  }
}
