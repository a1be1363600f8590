// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

extension String: OptionValue {
  /// Free text; an option that means a path says so with its own placeholder.
  public static var placeholder: String { "<TEXT>" }

  /// The text itself.
  public var argumentText: String { self }

  /// Takes any text, the empty one too.
  ///
  /// - Parameter argument: The text as typed.
  public init(argument: String) {
    self = argument
  }
}

/// A flag: `--name` alone raises it.
///
/// Flags start lowered. There are no negated flags, so a choice that is on by default is an enum or
/// an optional of `Bool`, which takes `true` or `false` as its value.
extension Bool: OptionValue {
  /// The two words.
  public static var placeholder: String { "<true|false>" }

  /// The two words; used only where the flag is optional and therefore takes a value.
  public static var completion: ValueCompletion { .words(["true", "false"]) }

  /// A flag stands alone.
  public static var takesValue: Bool { false }

  /// The word `true` or `false`.
  public var argumentText: String { description }

  /// Whether the flag is raised.
  public var isGiven: Bool { self }

  /// Parses `true` or `false`.
  ///
  /// - Parameter argument: The text as typed.
  /// - Throws: `UsageError` for any other word.
  public init(argument: String) throws(UsageError) {
    self = try parseWord(argument, among: [("true", true), ("false", false)])
  }
}

/// An enum whose raw values are the words of an option.
///
/// Declaring the conformance is enough: `enum Scheme: String, CaseIterable, WordValue { ... }`.
public protocol WordValue: OptionValue, CaseIterable, RawRepresentable where RawValue == String {}

extension WordValue {
  /// One of a set of words.
  public static var placeholder: String { "<WORD>" }

  /// The raw values.
  public static var completion: ValueCompletion { .words(allCases.map(\.rawValue)) }

  /// The raw value.
  public var argumentText: String { rawValue }

  /// Parses one of the raw values.
  ///
  /// - Parameter argument: The text as typed.
  /// - Throws: `UsageError` that lists the words when the text is none of them.
  public init(argument: String) throws(UsageError) {
    self = try parseWord(argument, among: Self.allCases.map { ($0.rawValue, $0) })
  }
}

/// Finds the value of a word, or says which words there are and which one was probably meant.
private func parseWord<Value>(
  _ word: String, among choices: [(word: String, value: Value)]
) throws(UsageError) -> Value {
  for choice in choices where choice.word == word { return choice.value }
  let words = choices.map(\.word)
  let hint = nearestName(to: word, among: words).map { "did you mean '\($0)'?" }
  throw UsageError("'\(word)' is not one of \(words.joined(separator: ", "))", hint: hint)
}
