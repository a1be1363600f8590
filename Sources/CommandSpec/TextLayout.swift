// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Breaks text into lines at spaces.
///
/// A word that is longer than a line stands on a line of its own. A no-break space becomes a space
/// that never ends a line.
///
/// - Parameters:
///   - text: The text; runs of spaces and line breaks count as one space.
///   - width: The most characters that a line should have.
/// - Returns: The lines, none for text without words.
/// - Complexity: O(*n*) in the length of the text.
package func wrapped(_ text: String, width: Int) -> [String] {
  var lines: [String] = []
  var line = ""
  for part in text.split(whereSeparator: { $0 == " " || $0.isNewline }) {
    let word = part.replacing(noBreakSpace, with: " ")
    if line.isEmpty {
      line = String(word)
    } else if line.count + 1 + word.count <= width {
      line += " " + word
    } else {
      lines.append(line)
      line = String(word)
    }
  }
  return line.isEmpty ? lines : lines + [line]
}

/// The space at which no line ends.
let noBreakSpace = "\u{A0}"

/// Splits text into paragraphs at empty lines.
func paragraphs(_ text: String) -> [String] {
  var result: [String] = []
  var current: [Substring] = []
  for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
    if line.allSatisfy(\.isWhitespace) {
      if !current.isEmpty { result.append(current.joined(separator: " ")) }
      current = []
    } else {
      current.append(line)
    }
  }
  return current.isEmpty ? result : result + [current.joined(separator: " ")]
}

/// Splits a paragraph into sentences: a full stop, a space and a capital letter part two of them.
func sentences(_ text: String) -> [String] {
  var result: [String] = []
  var current: [Substring] = []
  for word in text.split(whereSeparator: \.isWhitespace) {
    let starts = word.first.map { $0.isUppercase } ?? false
    if starts, current.last?.last == "." {
      result.append(current.joined(separator: " "))
      current = []
    }
    current.append(word)
  }
  return current.isEmpty ? result : result + [current.joined(separator: " ")]
}

/// A sentence without its full stop, for places that supply their own punctuation.
func withoutFullStop(_ text: String) -> String {
  text.last == "." ? String(text.dropLast()) : text
}

extension String {
  /// The text filled up with spaces to a width.
  func padded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}
