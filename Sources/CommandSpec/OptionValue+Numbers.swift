// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

extension OptionValue where Self: FixedWidthInteger {
  /// A bare number, without a unit.
  public static var placeholder: String { "<N>" }

  /// Decimal digits.
  public var argumentText: String { String(self) }

  /// Parses decimal digits, with a sign where the type has one and underscores between digits.
  ///
  /// - Parameter argument: The text as typed.
  /// - Throws: `UsageError` when the text is no whole number or lies outside the type's range.
  public init(argument: String) throws(UsageError) {
    let digits = withoutSeparators(argument)
    if let value = Self(digits) {
      self = value
      return
    }
    let magnitude = digits.first == "-" || digits.first == "+" ? digits.dropFirst() : digits[...]
    let isWhole = !magnitude.isEmpty && magnitude.allSatisfy { ("0"..."9").contains($0) }
    guard isWhole else { throw UsageError("'\(argument)' is not a whole number") }
    let range = "\(Self.min) to \(Self.max)"
    throw UsageError("'\(argument)' is out of range", hint: "give a whole number from \(range)")
  }
}

extension Int: OptionValue {}
extension UInt64: OptionValue {}

extension Double: OptionValue {
  /// A bare number, without a unit.
  public static var placeholder: String { "<NUMBER>" }

  /// The shortest decimal text that parses back to the same number.
  public var argumentText: String { description }

  /// Parses a finite decimal number, with underscores allowed between digits.
  ///
  /// - Parameter argument: The text as typed.
  /// - Throws: `UsageError` when the text is no decimal number or not finite.
  public init(argument: String) throws(UsageError) {
    let digits = withoutSeparators(argument)
    // The standard library also reads 'nan', 'inf' and hexadecimal; none of them is meant here.
    let isDecimal = digits.allSatisfy { "0123456789+-.eE".contains($0) }
    guard isDecimal, let value = Double(digits), value.isFinite else {
      throw UsageError("'\(argument)' is not a decimal number")
    }
    self = value
  }
}

/// Drops underscores between two digits; any other underscore stays and spoils the number.
private func withoutSeparators(_ text: String) -> String {
  let digits: ClosedRange<Character> = "0"..."9"
  let characters = Array(text)
  var kept = ""
  for (index, character) in characters.enumerated() {
    let isSeparator =
      character == "_" && index > 0 && index + 1 < characters.count
      && digits.contains(characters[index - 1]) && digits.contains(characters[index + 1])
    if !isSeparator { kept.append(character) }
  }
  return kept
}
