// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What the screen of the fixture looks like.
enum TopTranscripts {
  static let wide = ""
  static let narrow = ""
  static let first = ""
  static let bare = ""
  static let help = ""
  static let shortHelp = ""
}
