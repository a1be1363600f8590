// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A figure, or the reason why there is none: unavailable is never zero.
///
/// In text an unavailable figure is `-` with its reason below; in JSON it is null and the reason
/// stands in the object's member `unavailable` under the figure's name; a metric is left out, and
/// `arbiter_unavailable_info` names it with its reason.
public enum Figure<Value: Sendable>: Sendable {
  /// What was measured.
  case known(Value)
  /// Why nothing was, as one clause.
  case unavailable(String)

  /// The figure; nil where there is none.
  public var value: Value? {
    if case .known(let value) = self { return value }
    return nil
  }

  /// Why there is none; nil where there is one.
  public var reason: String? {
    if case .unavailable(let reason) = self { return reason }
    return nil
  }

  /// Makes a figure of one that may be missing.
  public init(_ value: Value?, otherwise reason: @autoclosure () -> String) {
    self = value.map { .known($0) } ?? .unavailable(reason())
  }

  /// Another figure from this one; the reason stays.
  public func map<Other>(_ transform: (Value) -> Other) -> Figure<Other> {
    switch self {
    case .known(let value): .known(transform(value))
    case .unavailable(let reason): .unavailable(reason)
    }
  }
}

extension Figure: Equatable where Value: Equatable {}
extension Figure: Hashable where Value: Hashable {}

/// A quantity that was estimated from a sample, with its standard error.
public struct Estimate: Sendable, Hashable {
  /// The best guess.
  public var value: Double
  /// One standard deviation of the guess, in the same unit; at least 0.
  public var standardError: Double

  /// Makes an estimate.
  public init(_ value: Double, standardError: Double) {
    self.value = value
    self.standardError = standardError
  }

  /// A quantity that was counted and not estimated.
  public static func exact(_ value: Double) -> Estimate { Estimate(value, standardError: 0) }

  /// The error as a share of the value; nil where the value is 0.
  public var relativeError: Double? { value == 0 ? nil : standardError / abs(value) }

  /// The sum of two independent estimates.
  public static func + (one: Estimate, other: Estimate) -> Estimate {
    let error = one.standardError * one.standardError + other.standardError * other.standardError
    return Estimate(one.value + other.value, standardError: error.squareRoot())
  }
}
