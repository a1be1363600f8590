// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice

/// One value of a profile beside the place it comes from.
public struct ProfileFact: Sendable, Hashable {
  /// The key in profile files.
  public let key: String
  /// The value as a profile file writes it.
  public let value: String
  /// The publication, or what the value was fitted to.
  public let source: String
  /// The profile that states the value: the profile itself or one that it extends.
  public let statedBy: String

  /// Makes a fact.
  public init(key: String, value: String, source: String, statedBy: String) {
    self.key = key
    self.value = value
    self.source = source
    self.statedBy = statedBy
  }
}

/// A profile with everything that it extends filled in.
public struct ResolvedProfile: Sendable, Hashable {
  /// The numbers.
  public let profile: DeviceProfile
  /// The same numbers with their sources, in the order of ``ArbiterDevice/ProfileParameter/all``.
  public let facts: [ProfileFact]
  /// The profiles that it extends, nearest first.
  public let ancestors: [String]
}
