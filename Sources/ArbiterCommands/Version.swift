// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The version of the tool and of the formats it writes.
public enum Version {
  /// Major, minor and patch; a change of the model's numbers raises the minor version.
  public static let text = "0.1.0"

  /// The date that the manual pages of this version bear.
  static let date = "November 21, 2026"
}
