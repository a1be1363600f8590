// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

extension CommandSet {
  /// Writes the completion script for fish.
  func fishCompletion() -> String {
    let names = verbs.map(\.name)
    var lines = [
      "# Completion of \(name) for fish. Generated from the command description; do not edit.",
      "",
      "function _\(functionName)_needs_verb",
      "    test (count (commandline -opc)) -eq 1",
      "end",
      "",
      "function _\(functionName)_has_verb",
      "    set -l words (commandline -opc)",
      "    test (count $words) -gt 1; and test \"$words[2]\" = $argv[1]",
      "end",
      "",
      "complete -c \(name) -f",
      fish("needs_verb", "-s h -l help -d 'Print help'"),
    ]
    for topic in topics {
      lines.append(fish("needs_verb", "-a \(topic.name) -d \(fishQuoted(topic.abstract))"))
    }
    lines.append(fish("has_verb help", "-a \(fishQuoted(names.joined(separator: " ")))"))
    for verb in verbs {
      lines.append("")
      lines += verb.options.map { fish("has_verb \(verb.name)", fishOption($0)) }
      lines.append(fish("has_verb \(verb.name)", "-s h -l help -d 'Print help'"))
      if let operands = fishValue(verb.operandCompletion) {
        lines.append(fish("has_verb \(verb.name)", operands))
      } else if verb.takesCommand {
        lines.append(fish("has_verb \(verb.name)", "-F"))
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func fish(_ condition: String, _ rest: String) -> String {
    "complete -c \(name) -n '_\(functionName)_\(condition)' \(rest)"
  }

  private func fishOption(_ option: OptionDescription) -> String {
    let short = option.short.map { "-s \($0) " } ?? ""
    let value =
      option.placeholder == nil ? "" : " -r " + (fishValue(option.completion) ?? "-f")
    let help = fishQuoted(withoutFullStop(option.help))
    return "\(short)-l \(option.name)\(value) -d \(help)"
  }

  private func fishValue(_ completion: ValueCompletion) -> String? {
    switch completion {
    case .none: nil
    case .words(let words): "-f -a \(fishQuoted(words.joined(separator: " ")))"
    case .wordList(let words):
      "-f -a \(fishQuoted("(__fish_append , \(words.joined(separator: " ")))"))"
    case .file: "-F"
    case .directory: "-f -a '(__fish_complete_directories)'"
    }
  }

  private func fishQuoted(_ text: String) -> String {
    "'" + text.replacing("\\", with: "\\\\").replacing("'", with: "\\'") + "'"
  }
}
