// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a shell can offer while a value is being typed.
public enum ValueCompletion: Equatable, Sendable {
  /// Nothing: the value is free text or a number.
  case none

  /// One of a fixed set of words.
  case words([String])

  /// Words of a fixed set, separated by commas.
  case wordList([String])

  /// The path of a file.
  case file

  /// The path of a directory.
  case directory

  /// The most words that help lists; of longer lists the option's own help says where they are.
  static let listedMax = 16

  /// A sentence for help that lists the words; empty where there are none or too many.
  var listed: String {
    switch self {
    case .words(let words) where words.count <= Self.listedMax:
      " One of: \(words.joined(separator: ", "))."
    case .wordList(let words) where words.count <= Self.listedMax:
      " Any of: \(words.joined(separator: ", "))."
    default: ""
    }
  }
}
