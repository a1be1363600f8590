// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Numbers as people read them: three significant figures, a fitting unit.
public enum Figures {
  /// What stands where a figure is unavailable.
  public static let unavailable = "-"

  /// Returns a number with three significant figures; ``unavailable`` for nil, infinity and NaN.
  ///
  /// Values from 0.001 up to a million are written out, all others with an exponent.
  public static func rounded(_ number: Double?) -> String {
    guard let number, number.isFinite else { return unavailable }
    guard number != 0 else { return "0" }
    let sign = number < 0 ? "-" : ""
    let (digits, power) = decimal(abs(number))
    guard power >= -3, power < 6 else {
      let last = power > 0 ? "e\(power)" : "e-\(-power)"
      return "\(sign)\(digits / 100).\(padded(digits % 100, to: 2))\(last)"
    }
    switch power {
    case 2...:
      return "\(sign)\(digits)" + String(repeating: "0", count: power - 2)
    case 1:
      return "\(sign)\(digits / 10).\(digits % 10)"
    case 0:
      return "\(sign)\(digits / 100).\(padded(digits % 100, to: 2))"
    default:
      return "\(sign)0." + String(repeating: "0", count: -power - 1) + String(digits)
    }
  }

  /// Returns a bandwidth in GB/s (10^9 B/s), without the unit.
  public static func gigabytesPerSecond(_ bytesPerSecond: Double?) -> String {
    rounded(bytesPerSecond.map { $0 / 1e9 })
  }

  /// Returns a duration with the unit that suits it: ns, us, ms or s.
  public static func duration(nanoseconds: Double?) -> String {
    guard let nanoseconds, nanoseconds.isFinite else { return unavailable }
    for (unit, scale) in [("s", 1e9), ("ms", 1e6), ("us", 1e3)] where abs(nanoseconds) >= scale {
      return "\(rounded(nanoseconds / scale)) \(unit)"
    }
    return "\(rounded(nanoseconds)) ns"
  }

  /// The three leading digits (100...999) of a number above 0 and its power of ten.
  private static func decimal(_ number: Double) -> (digits: Int, power: Int) {
    var power = 0
    var scaled = number
    while scaled >= 10 {
      scaled /= 10
      power += 1
    }
    while scaled < 1 {
      scaled *= 10
      power -= 1
    }
    let digits = Int((scaled * 100).rounded())
    return digits == 1000 ? (100, power + 1) : (digits, power)
  }

  private static func padded(_ number: Int, to width: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, width - text.count)) + text
  }
}
