// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

// The C library's functions may differ in the last bit from one version to the next, and then a
// seed would not give the same run on every machine. These use additions and multiplications only,
// which are exact to the bit everywhere.

/// Functions that give the same bits on every machine.
enum PortableMath {
  private static let ln2High = 0x1.62e42feep-1
  private static let ln2Low = 0x1.a39ef35793c76p-33

  /// e to the power of a number, to a few parts in 10^16.
  static func exp(_ x: Double) -> Double {
    if x < -745 { return 0 }
    if x > 709 { return .infinity }
    let power = (x * 1.4426950408889634).rounded()
    // What remains lies within half of ln 2 around 0.
    let rest = (x - power * ln2High) - power * ln2Low
    var sum = 1.0
    for term in stride(from: 14.0, to: 0, by: -1) { sum = 1 + rest / term * sum }
    return Double(sign: .plus, exponent: Int(power), significand: 1) * sum
  }

  /// The natural logarithm of a number above 0.
  static func log(_ x: Double) -> Double {
    precondition(x > 0 && x.isFinite, "the logarithm of \(x)")
    var exponent = Double(x.exponent)
    var significand = x.significand
    if significand > 1.4142135623730951 {
      significand /= 2
      exponent += 1
    }
    // ln m = 2 artanh((m - 1) / (m + 1)); the series ends below 10^-17 after 11 terms.
    let ratio = (significand - 1) / (significand + 1)
    let square = ratio * ratio
    var sum = 0.0
    for term in stride(from: 23.0, to: 0, by: -2) { sum = sum * square + 1 / term }
    return 2 * ratio * sum + exponent * (ln2High + ln2Low)
  }

  /// x to the power of y, for x above 0.
  static func pow(_ x: Double, _ y: Double) -> Double { exp(y * log(x)) }
}

extension SeededRandom {
  /// A number from 0 to below 1.
  mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// A number of events that happen independently of each other, `mean` of them on average.
  ///
  /// - Complexity: O(`mean`), in pieces of at most 500.
  mutating func poisson(_ mean: Double) -> Int {
    var left = mean
    var count = 0
    while left > 0 {
      let piece = min(left, 500)
      left -= piece
      let limit = PortableMath.exp(-piece)
      var product = unit()
      while product > limit {
        count += 1
        product *= unit()
      }
    }
    return count
  }
}
