// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What an interval says about a limit that a figure must not exceed.
public enum Verdict: String, Sendable, CaseIterable {
  /// The whole interval lies above the limit.
  case missed
  /// The limit lies within the interval.
  case undecided
  /// The whole interval lies at or below the limit.
  case met

  /// Judges an interval; without one nothing is decided.
  public init(interval: ClosedRange<Double>?, limit: Double) {
    guard let interval else {
      self = .undecided
      return
    }
    self = interval.upperBound <= limit ? .met : interval.lowerBound > limit ? .missed : .undecided
  }

  /// The worst of several verdicts; met where there are none.
  public static func worst(_ verdicts: [Verdict]) -> Verdict {
    allCases.first { verdicts.contains($0) } ?? .met
  }
}

/// Times of two arms that were taken in turn.
public struct Pairs: Sendable {
  /// The first arm's times.
  public var first: [Double] = []
  /// The second arm's times, each taken right before or after the first's.
  public var second: [Double] = []

  /// Runs two arms in turn; which of them goes first alternates, so that a drift of the machine
  /// weighs on both alike.
  public init(count: Int, first: (Int) -> Double, second: (Int) -> Double) {
    for pair in 0..<count {
      if pair % 2 == 0 {
        self.first.append(first(pair))
        self.second.append(second(pair))
      } else {
        self.second.append(second(pair))
        self.first.append(first(pair))
      }
    }
  }

  /// The second arm's time over the first's, pair by pair.
  public var ratios: [Double] { zip(first, second).map { $1 / $0 } }
}

/// A number with a fixed count of digits behind the point.
public func text(_ number: Double, digits: Int = 2) -> String {
  let scale = (0..<digits).reduce(1) { value, _ in value * 10 }
  let scaled = Int((abs(number) * Double(scale)).rounded())
  let rest = String(scaled % scale + scale).dropFirst()
  return "\(number < 0 && scaled > 0 ? "-" : "")\(scaled / scale)\(digits > 0 ? "." : "")"
    + (digits > 0 ? rest : "")
}
