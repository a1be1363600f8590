// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// How many arguments an operand takes.
public enum OperandArity: Equatable, Sendable {
  /// Exactly one.
  case required

  /// One or none.
  case optional

  /// All that remain, and no fewer than the minimum.
  case repeated(minimum: Int)

  /// Everything after `--`, untouched.
  case command(isRequired: Bool)
}

/// What help, completions and man pages say about one operand.
public struct OperandDescription: Equatable, Sendable {
  /// The operand's stand-in in angle brackets.
  public let placeholder: String

  /// How many arguments it takes.
  public let arity: OperandArity

  /// What a shell offers for it.
  public let completion: ValueCompletion

  /// One or more sentences.
  public let help: String

  /// Whether this is the command after `--`.
  public var isCommand: Bool {
    if case .command = arity { return true }
    return false
  }

  /// The operand as the usage line shows it: `<FILE>`, `[<FILE>...]`, `[-- <COMMAND>...]`.
  public var usage: String {
    switch arity {
    case .required: placeholder
    case .optional: "[\(placeholder)]"
    case .repeated(let minimum): minimum > 0 ? "\(placeholder)..." : "[\(placeholder)...]"
    case .command(let isRequired): isRequired ? "-- \(placeholder)..." : "[-- \(placeholder)...]"
    }
  }
}

/// One operand: an argument known by its position, bound to a property of the options struct.
public struct OperandSpec<Options: Sendable>: Sendable {
  /// The part that does not depend on the options struct.
  public let description: OperandDescription

  /// Parses the arguments that fall to this operand and stores the value.
  let assign: @Sendable (inout Options, [String]) throws(UsageError) -> Void

  /// The arguments that would give the same value again.
  let read: @Sendable (Options) -> [String]

  /// Describes an operand that must be given.
  ///
  /// - Parameters:
  ///   - placeholder: The stand-in, in angle brackets.
  ///   - path: The property that holds the value.
  ///   - completion: A better completion than the type's own.
  ///   - help: One or more sentences.
  /// - Returns: The operand.
  public static func required<Value: OptionValue>(
    _ placeholder: String, _ path: any WritableKeyPath<Options, Value> & Sendable,
    completion: ValueCompletion? = nil, help: String
  ) -> Self {
    single(placeholder, path, .required, completion ?? Value.completion, help)
  }

  /// Describes an operand that may be left out, in which case the initial value stays.
  ///
  /// - Parameters:
  ///   - placeholder: The stand-in, in angle brackets.
  ///   - path: The property that holds the value.
  ///   - completion: A better completion than the type's own.
  ///   - help: One or more sentences.
  /// - Returns: The operand.
  public static func optional<Value: OptionValue>(
    _ placeholder: String, _ path: any WritableKeyPath<Options, Value> & Sendable,
    completion: ValueCompletion? = nil, help: String
  ) -> Self {
    single(placeholder, path, .optional, completion ?? Value.completion, help)
  }

  /// Describes an operand that takes every remaining argument; it must be the last but the command.
  ///
  /// - Parameters:
  ///   - placeholder: The stand-in, in angle brackets.
  ///   - path: The property that holds the values.
  ///   - minimum: How many must be given at least.
  ///   - completion: A better completion than the type's own.
  ///   - help: One or more sentences.
  /// - Returns: The operand.
  public static func repeated<Value: OptionValue>(
    _ placeholder: String, _ path: any WritableKeyPath<Options, [Value]> & Sendable,
    minimum: Int = 0, completion: ValueCompletion? = nil, help: String
  ) -> Self {
    Self(
      description: OperandDescription(
        placeholder: placeholder, arity: .repeated(minimum: minimum),
        completion: completion ?? Value.completion, help: help),
      assign: { (options: inout Options, texts: [String]) throws(UsageError) in
        var values: [Value] = []
        for text in texts { values.append(try Value(argument: text)) }
        options[keyPath: path] = values
      },
      read: { $0[keyPath: path].map(\.argumentText) })
  }

  /// Describes the command line of another program, given after `--` and passed on untouched.
  ///
  /// - Parameters:
  ///   - path: The property that holds the command's words.
  ///   - isRequired: Whether a command must be given.
  ///   - help: One or more sentences.
  /// - Returns: The operand.
  public static func command(
    _ path: any WritableKeyPath<Options, [String]> & Sendable, isRequired: Bool = false,
    help: String
  ) -> Self {
    Self(
      description: OperandDescription(
        placeholder: "<COMMAND>", arity: .command(isRequired: isRequired), completion: .none,
        help: help),
      assign: { (options: inout Options, texts: [String]) throws(UsageError) in
        options[keyPath: path] = texts
      },
      read: { $0[keyPath: path] })
  }

  private static func single<Value: OptionValue>(
    _ placeholder: String, _ path: any WritableKeyPath<Options, Value> & Sendable,
    _ arity: OperandArity, _ completion: ValueCompletion, _ help: String
  ) -> Self {
    Self(
      description: OperandDescription(
        placeholder: placeholder, arity: arity, completion: completion, help: help),
      assign: { (options: inout Options, texts: [String]) throws(UsageError) in
        for text in texts { options[keyPath: path] = try Value(argument: text) }
      },
      read: { options in
        let value = options[keyPath: path]
        return value.isGiven ? [value.argumentText] : []
      })
  }
}
