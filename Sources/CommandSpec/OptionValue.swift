// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A type that can be the value of an option or operand.
///
/// A conforming type parses itself, prints itself so that the text parses back to an equal value,
/// and names its placeholder with the unit:
///
/// ```swift
/// extension ByteCount: OptionValue {
///   public static var placeholder: String { "<SIZE>" }
///   public init(argument: String) throws(UsageError) { ... }
///   public var argumentText: String { description }
/// }
/// ```
public protocol OptionValue: Sendable, SendableMetatype {
  /// The value's stand-in in help, in angle brackets and with the unit: `<SIZE>`, `<DURATION>`.
  static var placeholder: String { get }

  /// What a shell offers for the value; nothing unless the type says otherwise.
  static var completion: ValueCompletion { get }

  /// Whether the option is followed by a value; true for everything but a flag.
  static var takesValue: Bool { get }

  /// Whether the option may be given again, each time adding to a comma-separated list.
  static var isRepeatable: Bool { get }

  /// Parses one argument.
  ///
  /// The error names the value, not the option: the parser puts the option's name in front.
  ///
  /// - Parameter argument: The text after `--name=`, exactly as it was typed.
  /// - Throws: `UsageError` when the text is no value of this type.
  init(argument: String) throws(UsageError)

  /// Text from which the same value can be parsed.
  var argumentText: String { get }

  /// Whether there is a value to print: false for nil, for an empty list and for a flag not raised.
  var isGiven: Bool { get }
}

extension OptionValue {
  /// Nothing to offer.
  public static var completion: ValueCompletion { .none }

  /// A value follows.
  public static var takesValue: Bool { true }

  /// Giving the option twice is an error.
  public static var isRepeatable: Bool { false }

  /// A plain value is always there.
  public var isGiven: Bool { true }
}
