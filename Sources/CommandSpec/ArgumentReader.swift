// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The parser. It reads arguments from left to right, once, and stops at the first mistake.
//
// I1  An option takes its value from the same argument after '=', or from the next argument.
// I2  The next argument is no value when it looks like an option: a dash followed by anything but a
//     digit or a dot. A value of that shape is given with '='.
// I3  A scalar option is given at most once; a list adds up.
// I4  After '--' nothing is an option.
// I5  Where a command is the only operand, its first word needs no '--' before it; what follows it
//     is the command's own, options too.
//
// Left out on purpose: bundled one-letter options, a value glued to a one-letter option,
// abbreviated names, negated flags, options from environment variables, options before the verb.

/// Whether an argument would be read as an option where one may stand.
func looksLikeOption(_ argument: String) -> Bool {
  guard argument.first == "-", let second = argument.dropFirst().first else { return false }
  return !(("0"..."9").contains(second) || second == ".")
}

/// The state of one pass over the arguments of a verb.
struct ArgumentReader<Options: Sendable> {
  private let command: Command<Options>
  private let tool: String
  private let specs: [OptionSpec<Options>]
  private var texts: [String: String] = [:]
  private var operands: [String] = []
  private var trailing: [String] = []

  /// The options as far as they have been read.
  private(set) var options: Options

  /// The long names of the options that have been read.
  var given: Set<String> { Set(texts.keys) }

  /// Creates a reader that starts from the command's defaults.
  init(command: Command<Options>, tool: String) {
    self.command = command
    self.tool = tool
    specs = command.groups.flatMap(\.options)
    options = command.initial
  }

  private var verb: String { "\(tool) \(command.name)" }
  private var seeHelp: String { "'\(verb) --help' lists the options" }
  private var takesCommand: Bool { command.operands.last?.description.isCommand ?? false }

  /// Reads every argument and stores the values.
  mutating func read(_ arguments: [String]) throws(UsageError) {
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      if argument == "--" {
        if takesCommand { trailing = Array(rest) } else { operands += rest }
        break
      }
      if looksLikeOption(argument) {
        try readOption(argument, &rest)
      } else if command.operands.map(\.description).areOneCommand {
        trailing = [argument] + rest
        break
      } else {
        operands.append(argument)
      }
    }
    try assignOperands()
  }

  private mutating func readOption(
    _ argument: String, _ rest: inout ArraySlice<String>
  ) throws(UsageError) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let isLong = argument.hasPrefix("--")
    let typed = isLong ? String(parts[0]) : argument
    var value = isLong && parts.count == 2 ? String(parts[1]) : nil
    guard let spec = specs.first(where: { $0.description.isTyped(as: typed) }) else {
      throw unknownOption(typed)
    }
    guard let placeholder = spec.description.placeholder else {
      if let value {
        throw UsageError("\(typed) takes no value but got '\(value)'", hint: "write \(typed) alone")
      }
      return try store("true", as: spec, typed)
    }
    if value == nil {
      if let next = rest.first, looksLikeOption(next) {
        let hint = "write '--\(spec.description.name)=\(placeholder)'"
        throw UsageError("\(typed) needs a value but '\(next)' follows", hint: hint)
      }
      value = rest.popFirst()
    }
    guard let value else {
      let hint = "write '--\(spec.description.name)=\(placeholder)'"
      throw UsageError("\(typed) needs a value", hint: hint)
    }
    try store(value, as: spec, typed)
  }

  private mutating func store(
    _ text: String, as spec: OptionSpec<Options>, _ typed: String
  ) throws(UsageError) {
    let name = spec.description.name
    var whole = text
    if let earlier = texts[name] {
      guard spec.description.isRepeatable else {
        let isFlag = spec.description.placeholder == nil
        let hint = isFlag ? "once is enough" : "keep one of '\(earlier)' and '\(text)'"
        throw UsageError("--\(name) is given twice", hint: hint)
      }
      whole = "\(earlier),\(text)"
    }
    texts[name] = whole
    do {
      try spec.assign(&options, whole)
    } catch {
      let wanted = spec.description.placeholder ?? ""
      throw error.about(typed, otherwise: "\(typed) takes \(wanted); see '\(verb) --help'")
    }
  }

  private func unknownOption(_ typed: String) -> UsageError {
    let message = "unknown option '\(typed)'"
    let letter = String(typed.prefix(2))
    if let spec = specs.first(where: { $0.description.isTyped(as: letter) }) {
      // A known letter with something glued to it: a value, or more letters.
      let hint = "\(letter) stands alone: write '\(spec.description.shortSpelling ?? letter)'"
      return UsageError(message, hint: hint)
    }
    return UsageError(message, hint: longNameHint(typed) ?? seeHelp)
  }

  /// Offers the long option that a mistyped word most likely stands for.
  private func longNameHint(_ typed: String) -> String? {
    let word = String(typed.drop { $0 == "-" })
    let nearest = nearestName(to: word, among: specs.map(\.description.name) + ["help"])
    return nearest.map { "did you mean '--\($0)'?" }
  }

  private mutating func assignOperands() throws(UsageError) {
    var rest = operands[...]
    for spec in command.operands {
      let taken: [String]
      switch spec.description.arity {
      case .required, .optional:
        taken = Array(rest.prefix(1))
        rest = rest.dropFirst()
      case .repeated:
        taken = Array(rest)
        rest = []
      case .command:
        taken = trailing
      }
      try check(spec.description, count: taken.count)
      guard !taken.isEmpty else { continue }
      do {
        try spec.assign(&options, taken)
      } catch {
        throw error.about(spec.description.placeholder, otherwise: "see '\(verb) --help'")
      }
    }
    if let extra = rest.first { throw unexpectedOperand(extra) }
  }

  private func check(_ operand: OperandDescription, count: Int) throws(UsageError) {
    let minimum: Int
    switch operand.arity {
    case .required: minimum = 1
    case .optional: minimum = 0
    case .repeated(let least): minimum = least
    case .command(let isRequired): minimum = isRequired ? 1 : 0
    }
    guard count < minimum else { return }
    let what = minimum > 1 ? " (\(count) of at least \(minimum) given)" : ""
    throw UsageError(
      "missing \(operand.placeholder)\(what)",
      hint: "usage: \(command.described.usage(tool: tool))")
  }

  private func unexpectedOperand(_ operand: String) -> UsageError {
    let message = "unexpected operand '\(operand)'"
    let name = operand.prefix { $0 != "=" }
    if specs.contains(where: { $0.description.name == name }) {
      return UsageError(message, hint: "did you mean '--\(operand)'?")
    }
    if takesCommand {
      return UsageError(message, hint: "put '--' before a command: \(verb) -- \(operand)")
    }
    return UsageError(message, hint: "usage: \(command.described.usage(tool: tool))")
  }
}

extension OptionDescription {
  /// Whether an argument without its value names this option.
  func isTyped(as argument: String) -> Bool {
    argument == "--\(name)" || short.map { argument == "-\($0)" } ?? false
  }
}
