// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A man page in the making, in the mdoc language.
struct MdocWriter {
  private var lines: [String]

  /// Begins a page of section 1 with its name and abstract.
  init(name: String, date: String, abstract: String) {
    // '.Nd' continues a line and therefore begins in lower case.
    let short = withoutFullStop(abstract)
    let lead = short.prefix(1).lowercased() + short.dropFirst()
    lines = [
      ".\\\" Generated from the command description; do not edit.",
      ".Dd \(date)", ".Dt \(name.uppercased()) 1", ".Os", ".Sh NAME", ".Nm \(name)",
      ".Nd \(Self.arguments(lead))",
    ]
  }

  /// The page so far.
  var text: String { lines.joined(separator: "\n") + "\n" }

  /// Begins a section.
  mutating func section(_ title: String) { lines.append(".Sh \(title)") }

  /// Begins a subsection.
  mutating func subsection(_ title: String) { lines.append(".Ss \(Self.arguments(title))") }

  /// Adds a macro line whose arguments are safe.
  mutating func macro(_ line: String) { lines.append(".\(line)") }

  /// Adds paragraphs, each sentence on a line of its own.
  mutating func prose(_ paragraphs: [String]) {
    for (index, paragraph) in paragraphs.enumerated() {
      if index > 0 { lines.append(".Pp") }
      lines += sentences(paragraph).map(Self.line)
    }
  }

  /// Adds a list of tagged items.
  mutating func list(_ entries: [(item: String, text: String)]) {
    guard !entries.isEmpty else { return }
    lines.append(".Bl -tag -width Ds")
    for entry in entries {
      lines.append(".It \(entry.item)")
      lines += sentences(entry.text).map(Self.line)
    }
    lines.append(".El")
  }

  /// Adds the section on exit codes, if there are any.
  mutating func exitStatuses(_ statuses: [ExitStatus]) {
    guard !statuses.isEmpty else { return }
    section("EXIT STATUS")
    list(statuses.map { (Self.arguments($0.code), $0.meaning) })
  }

  /// Adds the section with examples, if there are any.
  mutating func examples(_ examples: [Example], tool: String) {
    guard !examples.isEmpty else { return }
    section("EXAMPLES")
    for (index, example) in examples.enumerated() {
      if index > 0 { lines.append(".Pp") }
      lines.append(Self.line(example.purpose + ":"))
      lines.append(".Pp")
      lines.append(".Dl " + Self.arguments("\(tool) \(example.arguments)"))
    }
  }

  /// Adds the section of related pages, if there are any.
  mutating func seeAlso(_ names: [String]) {
    guard !names.isEmpty else { return }
    section("SEE ALSO")
    let sorted = Array(Set(names)).sorted()
    for name in sorted { lines.append(".Xr \(name) 1" + (name == sorted.last ? "" : " ,")) }
  }

  /// Text as the arguments of a macro: every word that mdoc could take for a macro is disarmed.
  static func arguments(_ text: String) -> String {
    text.split(separator: " ").map { argument(String($0)) }.joined(separator: " ")
  }

  /// One word as the argument of a macro.
  static func argument(_ word: String) -> String {
    // Macro names have two or three letters (and '%A' of bibliographies); a lone punctuation mark
    // would move out of the macro; a double quote would begin a quoted argument.
    let isShort = word.count <= 3
    let opensQuote = word.first == "\""
    return (isShort || opensQuote ? "\\&" : "") + escaped(word)
  }

  /// A placeholder without brackets, as the argument of a macro.
  static func placeholder(_ text: String) -> String {
    argument(String(text.dropFirst().dropLast()))
  }

  /// Text as a line of its own, on which a leading dot or quote would begin a macro.
  private static func line(_ text: String) -> String {
    let isRisky = text.first == "." || text.first == "'"
    return (isRisky ? "\\&" : "") + escaped(text)
  }

  /// Text in which a backslash prints itself and a dash is one that can be copied.
  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
  }
}
