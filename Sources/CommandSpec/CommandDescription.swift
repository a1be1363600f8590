// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The options of one title, whatever options struct they belong to.
public struct OptionGroupDescription: Equatable, Sendable {
  /// The title, without a colon.
  public let title: String

  /// The options in order.
  public let options: [OptionDescription]
}

/// A verb without its types: all that help, completions and man pages need.
public struct CommandDescription: Equatable, Sendable {
  /// The verb.
  public let name: String

  /// One sentence with a full stop.
  public let abstract: String

  /// Paragraphs separated by empty lines.
  public let discussion: String

  /// The options under their titles.
  public let groups: [OptionGroupDescription]

  /// The operands in order.
  public let operands: [OperandDescription]

  /// Command lines worth showing.
  public let examples: [Example]

  /// Related man pages of section 1, by name.
  public let seeAlso: [String]

  /// The options of all titles in order.
  public var options: [OptionDescription] { groups.flatMap(\.options) }

  /// Writes the usage line.
  ///
  /// - Parameter tool: The tool's name.
  /// - Returns: The tool, the verb and the operands, without a prefix.
  public func usage(tool: String) -> String {
    let isOptional = operands.first?.arity == .command(isRequired: false)
    let command = isOptional ? "[[--] <COMMAND>...]" : "[--] <COMMAND>..."
    let own = operands.areOneCommand ? [command] : operands.map(\.usage)
    let words = [tool, name] + (groups.isEmpty ? [] : ["[options]"]) + own
    return words.joined(separator: " ")
  }

  /// The arguments that are this verb's own: those before a command that it takes.
  func ownArguments(_ arguments: [String]) -> ArraySlice<String> {
    guard operands.areOneCommand else { return arguments.prefix { $0 != "--" } }
    var index = 0
    while index < arguments.count, arguments[index] != "--", looksLikeOption(arguments[index]) {
      let option = options.first { $0.isTyped(as: arguments[index]) }
      // An option takes its value from the next argument unless that looks like an option.
      let takesNext =
        option?.placeholder != nil && index + 1 < arguments.count
        && !looksLikeOption(arguments[index + 1])
      index += takesNext ? 2 : 1
    }
    return arguments[..<index]
  }
}

extension [OperandDescription] {
  /// Whether a command is the only operand, so that its first word needs no `--` before it.
  var areOneCommand: Bool { count == 1 && self[0].isCommand }
}

extension Command {
  /// The command without its types.
  public var described: CommandDescription {
    CommandDescription(
      name: name, abstract: abstract, discussion: discussion,
      groups: groups.map { group in
        OptionGroupDescription(
          title: group.title, options: group.options.map { $0.described(by: initial) })
      },
      operands: operands.map(\.description), examples: examples, seeAlso: seeAlso)
  }
}
