// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// A writer of JSON, and only that. Foundation's encoder cannot keep the order of keys as they were
// given, and a result document must have the same bytes for the same results, in an order that
// reads well. Numbers are written as the shortest text that reads back to the same value, whole
// numbers without a point.

/// A JSON value whose objects keep their order.
public enum JSONValue: Sendable, Hashable {
  /// A key and its value.
  public struct Member: Sendable, Hashable {
    /// The key.
    public let key: String
    /// The value.
    public let value: JSONValue

    /// Makes a member.
    public init(_ key: String, _ value: JSONValue) {
      self.key = key
      self.value = value
    }
  }

  /// Nothing; a figure that is unavailable.
  case null
  /// Truth.
  case bool(Bool)
  /// A whole number.
  case integer(Int64)
  /// A whole number that may exceed the signed ones.
  case unsigned(UInt64)
  /// Any number; infinity and NaN are written as null.
  case number(Double)
  /// Text.
  case string(String)
  /// A list.
  case array([JSONValue])
  /// Members in their order; keys are not repeated.
  case object([Member])

  /// Makes a number, or null of nil.
  public static func figure(_ number: Double?) -> JSONValue { number.map { .number($0) } ?? .null }

  /// Makes a string, or null of nil.
  public static func text(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }

  /// Makes an object of pairs.
  public static func pairs(_ pairs: [(name: String, value: JSONValue)]) -> JSONValue {
    .object(pairs.map { Member($0.name, $0.value) })
  }

  /// Returns the value as indented text that ends with a newline.
  public func document() -> String {
    var text = ""
    write(to: &text, indent: 0)
    return text + "\n"
  }

  /// The value on one line.
  public var line: String {
    var text = ""
    write(to: &text, indent: nil)
    return text
  }

  private var isScalar: Bool {
    switch self {
    case .array, .object: false
    default: true
    }
  }

  /// Writes the value; an indent of nil keeps it on one line.
  private func write(to text: inout String, indent: Int?) {
    switch self {
    case .null: text += "null"
    case .bool(let bool): text += bool ? "true" : "false"
    case .integer(let number): text += String(number)
    case .unsigned(let number): text += String(number)
    case .number(let number): text += Self.numeral(number)
    case .string(let string): text += Self.quoted(string)
    case .array(let elements):
      let isFlat = elements.allSatisfy(\.isScalar)
      Self.list(elements, "[", "]", indent: isFlat ? nil : indent, &text) { element, text, deeper in
        element.write(to: &text, indent: deeper)
      }
    case .object(let members):
      Self.list(members, "{", "}", indent: indent, &text) { member, text, deeper in
        text += Self.quoted(member.key) + ": "
        member.value.write(to: &text, indent: deeper)
      }
    }
  }

  private static func list<Element>(
    _ elements: [Element], _ open: String, _ close: String, indent: Int?, _ text: inout String,
    each: (Element, inout String, Int?) -> Void
  ) {
    text += open
    for (index, element) in elements.enumerated() {
      if index > 0 { text += indent == nil ? ", " : "," }
      if let indent { text += "\n" + String(repeating: "  ", count: indent + 1) }
      each(element, &text, indent.map { $0 + 1 })
    }
    if let indent, !elements.isEmpty { text += "\n" + String(repeating: "  ", count: indent) }
    text += close
  }

  /// The shortest text that reads back to the same number.
  package static func numeral(_ number: Double) -> String {
    guard number.isFinite else { return "null" }
    // Up to 2^53 every whole number has its own value.
    if number == number.rounded(), abs(number) <= 9_007_199_254_740_992 {
      return String(Int64(number))
    }
    return String(number)
  }

  private static func quoted(_ string: String) -> String {
    var text = "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
