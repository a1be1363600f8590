// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import Testing

/// A measured figure beside the bound that it has to keep.
struct Bar {
  private let name: String
  private let value: Double
  private let bound: Double
  private let isUpper: Bool
  private let unit: String
  private let digits: Int

  /// A figure that must not fall below a bound.
  static func atLeast(
    _ bound: Double, _ name: String, _ value: Double, unit: String = "", digits: Int = 1
  ) -> Bar {
    Bar(name: name, value: value, bound: bound, isUpper: false, unit: unit, digits: digits)
  }

  /// A figure that must not rise above a bound.
  static func atMost(
    _ bound: Double, _ name: String, _ value: Double, unit: String = "", digits: Int = 1
  ) -> Bar {
    Bar(name: name, value: value, bound: bound, isUpper: true, unit: unit, digits: digits)
  }

  /// A share that must not fall below a bound, both shown in per cent.
  static func share(_ bound: Double, _ name: String, _ value: Double) -> Bar {
    .atLeast(bound * 100, name, value * 100, unit: "%")
  }

  var holds: Bool { isUpper ? value <= bound : value >= bound }

  /// As `share 98.2 % >= 97`, with an exclamation mark where the bound is not kept.
  var text: String {
    let shown = value.isFinite ? value.text(digits) : "none"
    let sign = isUpper ? "<=" : ">="
    return "\(holds ? "" : "!! ")\(name) \(shown)\(unit) (\(sign) \(bound.text(digits)))"
  }
}

/// Prints all figures of a case in one line and records each bound that is not kept.
func check(
  _ title: String, _ bars: [Bar], note: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let line = bars.map(\.text).joined(separator: "  ")
  print("\(title): \(line)\(note.isEmpty ? "" : "  | \(note)")")
  for bar in bars {
    #expect(bar.holds, "\(title): \(bar.text)", sourceLocation: sourceLocation)
  }
}

extension Double {
  /// The number with so many digits after the point.
  func text(_ digits: Int = 1) -> String {
    guard isFinite, magnitude < 1e15 else { return "\(self)" }
    var scale = 1
    for _ in 0..<digits { scale *= 10 }
    let units = Int((magnitude * Double(scale)).rounded())
    let sign = self < 0 && units > 0 ? "-" : ""
    guard digits > 0 else { return "\(sign)\(units)" }
    let fraction = String(units % scale)
    let zeros = String(repeating: "0", count: digits - fraction.count)
    return "\(sign)\(units / scale).\(zeros)\(fraction)"
  }
}
