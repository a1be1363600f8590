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
}
