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

/// Between which values the true value of a parameter may lie.
public struct PlausibleRange: Sendable, Hashable {
  /// The parameter's key.
  public let key: String
  /// The values; the profile's own lies among them.
  public let range: ClosedRange<Double>
  /// Keys of the parameters that grow and shrink with this one, by the same factor.
  public let scaledKeys: [String]
  /// Why they and no others.
  public let source: String

  /// Makes a range.
  public init(
    key: String, range: ClosedRange<Double>, scaledKeys: [String] = [], source: String
  ) {
    self.key = key
    self.range = range
    self.scaledKeys = scaledKeys
    self.source = source
  }

  /// Returns a profile in which the parameter has another value.
  ///
  /// Parameters that go with it are multiplied by as much as it is, as far as their limits allow.
  public func setting(_ value: Double, in profile: DeviceProfile) -> DeviceProfile {
    var changed = profile
    for parameter in ProfileParameter.all where parameter.key == key {
      let factor = value / parameter.get(profile)
      parameter.set(&changed, value)
      for scaled in ProfileParameter.all where scaledKeys.contains(scaled.key) {
        let limits = scaled.range
        let wanted = scaled.get(profile) * factor
        scaled.set(&changed, min(max(wanted, limits.lowerBound), limits.upperBound))
      }
    }
    return changed
  }

  /// The two ends as a profile file writes them.
  public var ends: String { "\(plain(range.lowerBound)) to \(plain(range.upperBound))" }
}

/// A profile with everything that it extends filled in.
public struct ResolvedProfile: Sendable, Hashable {
  /// The numbers.
  public let profile: DeviceProfile
  /// The same numbers with their sources, in the order of ``ArbiterDevice/ProfileParameter/all``.
  public let facts: [ProfileFact]
  /// What is plausible of the uncertain numbers, in the same order.
  public let plausible: [PlausibleRange]
  /// The profiles that it extends, nearest first.
  public let ancestors: [String]
}
