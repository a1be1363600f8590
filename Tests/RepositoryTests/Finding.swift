// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A place that breaks a rule.
struct Finding: Equatable, CustomStringConvertible {
  let path: String
  /// Counted from one; zero where the file as a whole is meant.
  let line: Int
  let message: String

  var description: String { "\(path):\(line): \(message)" }
}

/// The rules that a machine can check and neither the compiler nor the formatter does.
///
/// A rule looks at one file, or at the whole tree, and returns what breaks it.
enum Rules {
  /// Rules that look at one file at a time.
  static let ofFiles: [(name: String, check: @Sendable (TextFile) -> [Finding])] = [
    ("function length", functionLength),
    ("file length", fileLength),
    ("columns", columns),
    ("imports", imports),
    ("safety comments", safetyComments),
    ("no printing in libraries", printing),
    ("open ends have an issue", openEnds),
    ("one title", oneTitle),
    ("license header", licenseHeader),
    ("machine paths", { machinePaths($0, root: Tree.rootPath) }),
  ]

  /// Rules that need to see all files.
  static let ofTrees: [(name: String, check: @Sendable (Tree) -> [Finding])] = [
    ("links lead somewhere", links),
    ("modules have tests", { modulesHaveTests($0, exempt: modulesWithoutTests) }),
  ]
}

extension StringProtocol {
  /// Whether the text holds a word that is no part of a longer name.
  func containsWord(_ word: String) -> Bool {
    var rest = self[...]
    while let found = rest.range(of: word) {
      let before = rest[..<found.lowerBound].last ?? self[..<found.lowerBound].last
      let after = rest[found.upperBound...].first
      if !(before?.continuesName ?? false), !(after?.continuesName ?? false) { return true }
      rest = rest[found.upperBound...]
    }
    return false
  }

  /// The text without blanks at both ends.
  var trimmed: String {
    String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }

  /// The place of the first occurrence of a text.
  func range(of text: String) -> Range<Index>? {
    firstRange(of: text)
  }
}

extension Character {
  /// Whether a name can go on with it.
  var continuesName: Bool { isLetter || isNumber || self == "_" }
}
