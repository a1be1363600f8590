// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a verb's closure receives: the parsed options, and what was said to get them.
public struct Invocation<Options: Sendable>: Sendable {
  /// The options struct after parsing and validation.
  public let options: Options

  /// The long names of the options that stood on the command line.
  public let given: Set<String>

  /// Every option as text, to be printed or to repeat the run.
  public let resolved: ResolvedCommand
}

/// One option with the value that a run uses.
public struct ResolvedOption: Equatable, Sendable {
  /// The long name, without dashes.
  public let name: String

  /// The value's text; `none` where there is no value, `true` or `false` for a flag.
  public let text: String

  /// Whether the option stands alone on a command line.
  public let isFlag: Bool

  /// Whether there is a value that a command line can give.
  public let isGiven: Bool

  /// Whether the value equals the default.
  public let isDefault: Bool

  /// The argument that gives this value, or nil where none is needed to.
  public var argument: String? {
    guard isGiven else { return nil }
    return isFlag ? "--\(name)" : "--\(name)=\(text)"
  }
}

/// A verb with every option and operand as text.
public struct ResolvedCommand: Equatable, Sendable {
  /// The tool's name.
  public let tool: String

  /// The verb.
  public let verb: String

  /// The options in the order of the description.
  public let options: [ResolvedOption]

  /// The operands in order.
  public let operands: [String]

  /// The words after `--`, where the verb runs another program.
  public let command: [String]

  /// Lists the arguments that repeat the run.
  ///
  /// - Parameter includingDefaults: Whether options that have their default value are said too, so
  ///   that a later version with other defaults still repeats the run.
  /// - Returns: The verb and what follows it.
  public func arguments(includingDefaults: Bool = false) -> [String] {
    var result = [verb]
    result += options.filter { includingDefaults || !$0.isDefault }.compactMap(\.argument)
    // A command owns the separator; without one, an operand that looks like an option needs it.
    if command.isEmpty && operands.contains(where: looksLikeOption) { result.append("--") }
    result += operands
    if !command.isEmpty { result += ["--"] + command }
    return result
  }

  /// Writes the command line that repeats the run, quoted for a POSIX shell.
  ///
  /// - Parameter includingDefaults: Whether options that have their default value are said too.
  /// - Returns: One line that begins with the tool's name.
  public func commandLine(includingDefaults: Bool = false) -> String {
    ([tool] + arguments(includingDefaults: includingDefaults))
      .map(shellQuoted).joined(separator: " ")
  }
}

/// Quotes a word for a POSIX shell, leaving alone what needs no quotes.
///
/// - Parameter word: Any text without a null character.
/// - Returns: Text that a shell reads as that one word.
public func shellQuoted(_ word: String) -> String {
  let isPlain =
    !word.isEmpty
    && word.unicodeScalars.allSatisfy { scalar in
      switch scalar {
      case "a"..."z", "A"..."Z", "0"..."9": true
      case "-", "_", ".", ",", "/", ":", "=", "+", "@", "%": true
      default: false
      }
    }
  return isPlain ? word : "'" + word.replacing("'", with: "'\\''") + "'"
}
