// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A command line worth showing, with what it is for.
public struct Example: Equatable, Sendable {
  /// What the command line does, in a few words without a full stop.
  public let purpose: String

  /// The words after the tool's name.
  public let arguments: String

  /// Creates an example.
  ///
  /// - Parameters:
  ///   - purpose: What the command line does, in a few words without a full stop.
  ///   - arguments: The words after the tool's name, separated by single spaces.
  public init(_ purpose: String, _ arguments: String) {
    self.purpose = purpose
    self.arguments = arguments
  }
}

/// One verb: everything from which its parser, help, completions and man page are made.
///
/// ```swift
/// let simulate = Command(
///   name: "simulate", abstract: "Simulate writers on modelled memory.", initial: Options(),
///   groups: [OptionGroup("Workload", [.init("threads", \.threads, help: "Writers to start.")])]
/// ) { invocation in
///   try simulate(invocation.options)
/// }
/// ```
public struct Command<Options: Sendable>: Sendable {
  /// The verb, in kebab-case.
  public let name: String

  /// One sentence with a full stop.
  public let abstract: String

  /// Paragraphs separated by empty lines, for the man page.
  public let discussion: String

  /// The options before anything is parsed: the defaults.
  public let initial: Options

  /// The options under their titles.
  public let groups: [OptionGroup<Options>]

  /// The operands in order; a command after `--` comes last.
  public let operands: [OperandSpec<Options>]

  /// Command lines worth showing.
  public let examples: [Example]

  /// Related man pages of section 1, by name.
  public let seeAlso: [String]

  /// Checks what no single option can: relations between values, and their ranges.
  let validate: @Sendable (Options) throws(UsageError) -> Void

  /// Carries the verb out and answers with the exit code.
  let run: @Sendable (Invocation<Options>) throws -> Int32

  /// Creates a command.
  ///
  /// - Parameters:
  ///   - name: The verb, in kebab-case.
  ///   - abstract: One sentence with a full stop.
  ///   - discussion: Paragraphs separated by empty lines, for the man page.
  ///   - initial: The defaults.
  ///   - groups: The options under their titles.
  ///   - operands: The operands in order; a command after `--` comes last.
  ///   - examples: Command lines worth showing.
  ///   - seeAlso: Related man pages of section 1, by name.
  ///   - validate: Checks relations between values; its errors reach the user as they are.
  ///   - run: Carries the verb out and answers with the exit code.
  /// - Precondition: The name is kebab-case, no option occurs twice, and every operand can be
  ///   reached.
  public init(
    name: String,
    abstract: String,
    discussion: String = "",
    initial: Options,
    groups: [OptionGroup<Options>] = [],
    operands: [OperandSpec<Options>] = [],
    examples: [Example] = [],
    seeAlso: [String] = [],
    validate: @escaping @Sendable (Options) throws(UsageError) -> Void = {
      (_: Options) throws(UsageError) in
    },
    run: @escaping @Sendable (Invocation<Options>) throws -> Int32
  ) {
    precondition(isKebabCase(name), "verb '\(name)' is not kebab-case")
    let descriptions = groups.flatMap(\.options).map(\.description)
    let names = descriptions.map(\.name) + descriptions.compactMap { $0.short.map(String.init) }
    precondition(Set(names).count == names.count, "an option of '\(name)' occurs twice")
    precondition(
      areReachable(operands.map(\.description.arity)),
      "an operand of '\(name)' follows one that takes its argument")
    self.name = name
    self.abstract = abstract
    self.discussion = discussion
    self.initial = initial
    self.groups = groups
    self.operands = operands
    self.examples = examples
    self.seeAlso = seeAlso
    self.validate = validate
    self.run = run
  }

  /// Parses the arguments after the verb.
  ///
  /// - Parameters:
  ///   - arguments: The arguments after the verb; `--help` has been dealt with before.
  ///   - tool: The tool's name, for hints.
  /// - Returns: The parsed options and what was said to get them.
  /// - Throws: `UsageError` for the first argument that does not fit.
  public func parse(
    _ arguments: [String], tool: String
  ) throws(UsageError) -> Invocation<Options> {
    var reader = ArgumentReader(command: self, tool: tool)
    try reader.read(arguments)
    try validate(reader.options)
    return Invocation(
      options: reader.options, given: reader.given,
      resolved: resolve(reader.options, tool: tool))
  }

  /// Writes an options struct out as text: every option and operand, resolved.
  ///
  /// - Parameters:
  ///   - options: The options, parsed or not.
  ///   - tool: The tool's name.
  /// - Returns: The texts in the order of the description.
  public func resolve(_ options: Options, tool: String) -> ResolvedCommand {
    let resolved = groups.flatMap(\.options).map { spec in
      let value = spec.read(options)
      return ResolvedOption(
        name: spec.description.name, text: value.text, isFlag: spec.description.placeholder == nil,
        isGiven: value.isGiven, isDefault: spec.read(initial) == value)
    }
    var positional: [String] = []
    var trailing: [String] = []
    for spec in operands {
      if spec.description.isCommand {
        trailing += spec.read(options)
      } else {
        positional += spec.read(options)
      }
    }
    return ResolvedCommand(
      tool: tool, verb: name, options: resolved, operands: positional, command: trailing)
  }
}

/// Whether every operand can get an argument: required ones first, then optional ones, then at most
/// one that takes all the rest, then at most one command.
private func areReachable(_ arities: [OperandArity]) -> Bool {
  let ranks = arities.map { arity in
    switch arity {
    case .required: 0
    case .optional: 1
    case .repeated: 2
    case .command: 3
    }
  }
  let isUnique = [2, 3].allSatisfy { rank in ranks.count { $0 == rank } <= 1 }
  return isUnique && ranks == ranks.sorted()
}
