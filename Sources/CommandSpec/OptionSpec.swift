// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What help, completions and man pages say about one option, whatever its value's type.
public struct OptionDescription: Equatable, Sendable {
  /// The long name in kebab-case, without dashes.
  public let name: String

  /// The one-letter name, where there is one.
  public let short: Character?

  /// The value's stand-in in angle brackets, or nil for a flag.
  public let placeholder: String?

  /// What a shell offers for the value.
  public let completion: ValueCompletion

  /// Whether the option may be given more than once.
  public let isRepeatable: Bool

  /// One or more sentences.
  public let help: String

  /// The initial value's text, or nil where there is nothing to say.
  public internal(set) var defaultText: String?

  /// The long form as it is typed: `--threads=<N>`, or `--quiet` for a flag.
  public var spelling: String {
    placeholder.map { "--\(name)=\($0)" } ?? "--\(name)"
  }

  /// The short form as it is typed: `-o <FILE>`; nil for an option without one.
  public var shortSpelling: String? {
    short.map { letter in placeholder.map { "-\(letter) \($0)" } ?? "-\(letter)" }
  }
}

/// One option: a name bound to a property of the options struct.
///
/// Everything that is known of an option stands here, so that parsing, help, completions and man
/// pages cannot disagree.
public struct OptionSpec<Options: Sendable>: Sendable {
  /// The part that does not depend on the options struct.
  public let description: OptionDescription

  /// Parses the text and stores the value.
  let assign: @Sendable (inout Options, String) throws(UsageError) -> Void

  /// Reads the value's text and whether there is a value at all.
  let read: @Sendable (Options) -> (text: String, isGiven: Bool)

  /// Creates an option for a property of the options struct.
  ///
  /// - Parameters:
  ///   - name: The long name in kebab-case, without dashes.
  ///   - path: The property that holds the value.
  ///   - short: A one-letter name, for the few options that deserve one.
  ///   - placeholder: A better stand-in than the type's own, in angle brackets.
  ///   - completion: A better completion than the type's own.
  ///   - help: One or more sentences, each with a full stop.
  /// - Precondition: The name is kebab-case and not `help`; the placeholder has its brackets.
  public init<Value: OptionValue>(
    _ name: String,
    _ path: any WritableKeyPath<Options, Value> & Sendable,
    short: Character? = nil,
    placeholder: String? = nil,
    completion: ValueCompletion? = nil,
    help: String
  ) {
    precondition(isKebabCase(name), "option name '\(name)' is not kebab-case")
    precondition(name != "help" && short != "h", "--help and -h belong to the parser")
    let standIn = placeholder ?? Value.placeholder
    precondition(
      standIn.hasPrefix("<") && standIn.hasSuffix(">"), "placeholder '\(standIn)' has no brackets")
    description = OptionDescription(
      name: name, short: short, placeholder: Value.takesValue ? standIn : nil,
      completion: Value.takesValue ? completion ?? Value.completion : .none,
      isRepeatable: Value.isRepeatable, help: help)
    assign = { (options: inout Options, text: String) throws(UsageError) in
      options[keyPath: path] = try Value(argument: text)
    }
    read = { options in
      let value = options[keyPath: path]
      return (value.argumentText, value.isGiven)
    }
  }

  private init(
    description: OptionDescription,
    assign: @escaping @Sendable (inout Options, String) throws(UsageError) -> Void,
    read: @escaping @Sendable (Options) -> (text: String, isGiven: Bool)
  ) {
    self.description = description
    self.assign = assign
    self.read = read
  }

  /// Lifts the option into a struct that holds the options struct as a property.
  ///
  /// - Parameter path: The property that holds the options struct.
  /// - Returns: The same option, bound through the property.
  public func within<Outer: Sendable>(
    _ path: any WritableKeyPath<Outer, Options> & Sendable
  ) -> OptionSpec<Outer> {
    let assign = assign
    let read = read
    return OptionSpec<Outer>(
      description: description,
      assign: { (outer: inout Outer, text: String) throws(UsageError) in
        try assign(&outer[keyPath: path], text)
      },
      read: { outer in read(outer[keyPath: path]) })
  }

  /// The description with the default that an options struct holds.
  func described(by initial: Options) -> OptionDescription {
    let value = read(initial)
    precondition(
      description.placeholder != nil || !value.isGiven,
      "flag '--\(description.name)' is raised from the start and could not be lowered")
    var result = description
    result.defaultText = value.isGiven ? shellQuoted(value.text) : nil
    return result
  }
}

/// Options that stand together under one title in help and in the man page.
///
/// A group that several verbs share is declared once over its own struct and lifted with
/// ``within(_:)``.
public struct OptionGroup<Options: Sendable>: Sendable {
  /// The title, without a colon.
  public let title: String

  /// The options, in the order in which they are listed.
  public let options: [OptionSpec<Options>]

  /// Creates a group.
  ///
  /// - Parameters:
  ///   - title: The title, without a colon.
  ///   - options: The options, in the order in which they are listed.
  public init(_ title: String, _ options: [OptionSpec<Options>]) {
    self.title = title
    self.options = options
  }

  /// Lifts every option into a struct that holds the options struct as a property.
  ///
  /// - Parameter path: The property that holds the options struct.
  /// - Returns: The same group, bound through the property.
  public func within<Outer: Sendable>(
    _ path: any WritableKeyPath<Outer, Options> & Sendable
  ) -> OptionGroup<Outer> {
    OptionGroup<Outer>(title, options.map { $0.within(path) })
  }
}

/// Whether a name consists of lower-case words between single dashes, beginning with a letter.
func isKebabCase(_ name: String) -> Bool {
  guard let first = name.first, ("a"..."z").contains(first) else { return false }
  return name.split(separator: "-", omittingEmptySubsequences: false).allSatisfy { word in
    !word.isEmpty && word.allSatisfy { ("a"..."z").contains($0) || ("0"..."9").contains($0) }
  }
}
