// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A shell for which completions can be generated.
public enum Shell: String, CaseIterable, WordValue {
  /// The Bourne-again shell, version 4 or later; no helper package is needed.
  case bash

  /// The Z shell with its completion system.
  case zsh

  /// The friendly interactive shell, version 3 or later.
  case fish

  /// Stands for the shell's name.
  public static var placeholder: String { "<SHELL>" }
}

extension CommandSet {
  /// Writes the completion script for a shell.
  ///
  /// - Parameter shell: The shell.
  /// - Returns: The script, to be sourced or installed where the shell looks for it.
  public func completionScript(for shell: Shell) -> String {
    switch shell {
    case .bash: bashCompletion()
    case .zsh: zshCompletion()
    case .fish: fishCompletion()
    }
  }

  /// The tool's name as part of a shell function's name.
  var functionName: String { "_" + name.replacing("-", with: "_") }

  /// The verbs and `help`, with one line each.
  var topics: [(name: String, abstract: String)] {
    verbs.map { ($0.name, withoutFullStop($0.abstract)) } + [("help", "Explain a verb")]
  }
}

extension CommandDescription {
  /// What a shell offers where an operand may stand; operands of several kinds offer files.
  var operandCompletion: ValueCompletion {
    let kinds = operands.filter { !$0.isCommand }.map(\.completion)
    guard let first = kinds.first else { return .none }
    return kinds.allSatisfy { $0 == first } ? first : .file
  }

  /// Whether the verb passes a command on.
  var takesCommand: Bool { operands.contains(where: \.isCommand) }
}
