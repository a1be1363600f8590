// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A device profile that cannot be used, with the place and the remedy.
public struct ProfileError: Error, Hashable, CustomStringConvertible {
  /// What kind of thing is wrong.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// No profile has the wanted name.
    case unknownProfile = "unknown-profile"
    /// The text is not JSON or not shaped like a profile.
    case malformed
    /// The document is of another schema.
    case wrongSchema = "wrong-schema"
    /// A key that profiles do not have.
    case unknownKey = "unknown-key"
    /// A key that is needed and missing.
    case missingKey = "missing-key"
    /// A number without the place it comes from.
    case missingSource = "missing-source"
    /// A value outside its range, or a word that is not one of the allowed ones.
    case badValue = "bad-value"
    /// A profile that extends itself, directly or through others.
    case cycle
  }

  /// What kind of thing is wrong.
  public let code: Code
  /// The profile's name or the path of its file, as the caller gave it.
  public let profile: String
  /// The line of the file, from 1; nil where no single line is at fault.
  public let line: Int?
  /// What is wrong and what to do, without a final full stop.
  public let reason: String

  /// Makes an error.
  public init(code: Code, profile: String, line: Int? = nil, reason: String) {
    self.code = code
    self.profile = profile
    self.line = line
    self.reason = reason
  }

  /// One sentence that names the profile, the line and the reason.
  public var description: String {
    guard let line else { return "profile '\(profile)': \(reason)" }
    return "profile '\(profile)', line \(line): \(reason)"
  }
}
