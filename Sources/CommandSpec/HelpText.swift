// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// How help is laid out.
public struct HelpStyle: Equatable, Sendable {
  /// The most characters that a line should have.
  public var width: Int

  /// Whether headings are bold; meaning never depends on it.
  public var isBold: Bool

  /// Creates a style.
  ///
  /// - Parameters:
  ///   - width: The terminal's width; less than 40 counts as 40.
  ///   - isBold: Whether headings are bold, in ANSI sequences.
  public init(width: Int = 80, isBold: Bool = false) {
    self.width = max(40, width)
    self.isBold = isBold
  }
}

extension CommandSet {
  /// Writes the help on a verb, or on the tool: its verbs with one line each.
  ///
  /// - Parameters:
  ///   - verb: The verb, or nil for the tool.
  ///   - style: The layout.
  /// - Returns: Lines, the last with a newline.
  public func help(on verb: CommandDescription?, style: HelpStyle = HelpStyle()) -> String {
    var page = HelpPage(style: style)
    if let verb {
      write(verb, to: &page)
    } else {
      writeVerbs(to: &page)
    }
    return page.text
  }

  private func writeVerbs(to page: inout HelpPage) {
    let takesCommand = verbs.contains { $0.operands.contains(where: \.isCommand) }
    page.paragraph(abstract)
    page.usage("\(name) <verb> [options]" + (takesCommand ? " [-- <COMMAND>...]" : ""))
    let entries = groups.map { group in
      (group.title, group.verbs.map { ($0.description.name, $0.description.abstract) })
    }
    // One column for all groups, so that the verbs read as one list.
    let column = (verbs.map(\.name.count).max() ?? 0) + 4
    for (title, lines) in entries { page.table(title, lines, column: column) }
    page.examples(Array(examples.prefix(2)), tool: name)
    page.paragraph("'\(name) help <verb>' explains a verb. Manual page: \(name)(1)")
  }

  private func write(_ verb: CommandDescription, to page: inout HelpPage) {
    page.paragraph(verb.abstract)
    page.usage(verb.usage(tool: name))
    page.table("Operands", verb.operands.map { ($0.placeholder, $0.help) })
    let sections = verb.groups.map { ($0.title, $0.options.map(Self.entry)) }
    let help = ("Help", [("-h, --help", "Print this help.")])
    let all = sections + [help]
    let widest = all.flatMap(\.1).map(\.0.count).max() ?? 0
    for (title, lines) in all { page.table(title, lines, column: min(widest + 4, 30)) }
    page.examples(verb.examples, tool: name)
    page.paragraph("Manual page: \(name)-\(verb.name)(1)")
  }

  private static func entry(_ option: OptionDescription) -> (String, String) {
    let short = option.short.map { "-\($0), " } ?? "    "
    let standard =
      option.defaultText.map { " [default:\(noBreakSpace)\($0)]" } ?? ""
    var help = option.help
    switch option.completion {
    // A placeholder such as <true|false> has said it already.
    case .words(let words) where option.placeholder == "<\(words.joined(separator: "|"))>": break
    case .words, .wordList: help += option.completion.listed
    case .none, .file, .directory: break
    }
    return (short + option.spelling, help + standard)
  }
}

/// Help text in the making.
private struct HelpPage {
  let style: HelpStyle
  private var lines: [String] = []

  init(style: HelpStyle) {
    self.style = style
  }

  var text: String { lines.joined(separator: "\n") + "\n" }

  private func heading(_ title: String) -> String {
    style.isBold ? "\u{1B}[1m\(title):\u{1B}[0m" : "\(title):"
  }

  private mutating func separate() {
    if !lines.isEmpty { lines.append("") }
  }

  mutating func paragraph(_ text: String) {
    separate()
    lines += wrapped(text, width: style.width)
  }

  mutating func usage(_ text: String) {
    separate()
    let column = "Usage: ".count
    for (index, line) in wrapped(text, width: style.width - column).enumerated() {
      lines.append((index == 0 ? heading("Usage") + " " : "".padded(to: column)) + line)
    }
  }

  /// Adds entries in two columns; an entry too wide for its column continues below.
  mutating func table(_ title: String, _ entries: [(String, String)], column: Int? = nil) {
    guard !entries.isEmpty else { return }
    separate()
    lines.append(heading(title))
    let wanted = column ?? (entries.map(\.0.count).max() ?? 0) + 4
    // Half of a narrow terminal is the most that names may take from what they mean.
    let indent = min(wanted, style.width / 2)
    for (name, meaning) in entries {
      let text = wrapped(meaning, width: style.width - indent)
      let left = "  " + name
      var rest = text[...]
      if left.count + 2 <= indent, let first = rest.popFirst() {
        lines.append(left.padded(to: indent) + first)
      } else {
        lines.append(left)
      }
      lines += rest.map { "".padded(to: indent) + $0 }
    }
  }

  /// Adds command lines, never broken, so that they can be copied.
  mutating func examples(_ examples: [Example], tool: String) {
    guard !examples.isEmpty else { return }
    separate()
    lines.append(heading("Examples"))
    for example in examples {
      lines += wrapped(example.purpose + ":", width: style.width - 2).map { "  " + $0 }
      lines.append("    \(tool) \(example.arguments)")
    }
  }
}
