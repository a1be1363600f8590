// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A value that may be absent; only its initial value can be nil.
extension Optional: OptionValue where Wrapped: OptionValue {
  /// The wrapped type's placeholder.
  public static var placeholder: String { Wrapped.placeholder }

  /// The wrapped type's completion.
  public static var completion: ValueCompletion { Wrapped.completion }

  /// Whether the option may be given again, as the wrapped type says.
  public static var isRepeatable: Bool { Wrapped.isRepeatable }

  /// The wrapped value's text, or `none`.
  public var argumentText: String { self?.argumentText ?? "none" }

  /// Whether there is a value at all.
  public var isGiven: Bool { self != nil }

  /// Parses a value of the wrapped type.
  ///
  /// - Parameter argument: The text as typed.
  /// - Throws: What the wrapped type throws.
  public init(argument: String) throws(UsageError) {
    self = .some(try Wrapped(argument: argument))
  }
}

/// A comma-separated list; the option may also be repeated.
///
/// What is given replaces the initial list, and repeats add to what was given.
extension Array: OptionValue where Element: OptionValue {
  /// The element's placeholder followed by an ellipsis: `<N,...>`.
  public static var placeholder: String { Element.placeholder.dropLast() + ",...>" }

  /// The element's words, several of which may be given.
  public static var completion: ValueCompletion {
    if case .words(let words) = Element.completion { return .wordList(words) }
    return Element.completion
  }

  /// Repeats add to the list.
  public static var isRepeatable: Bool { true }

  /// The elements' texts between commas, or `none`.
  public var argumentText: String {
    isEmpty ? "none" : map(\.argumentText).joined(separator: ",")
  }

  /// Whether there is any element.
  public var isGiven: Bool { !isEmpty }

  /// Parses a list of one or more elements.
  ///
  /// - Parameter argument: The elements between commas, without spaces.
  /// - Throws: What the element's type throws, or `UsageError` for an empty list or element.
  public init(argument: String) throws(UsageError) {
    self = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard !part.isEmpty else {
        throw UsageError(
          "'\(argument)' has an empty element", hint: "separate values by single commas")
      }
      append(try Element(argument: String(part)))
    }
  }
}
