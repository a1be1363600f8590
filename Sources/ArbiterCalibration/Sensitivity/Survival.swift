// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice

/// A profile with one or several values moved within what is plausible.
public struct ProfileVariant: Sendable {
  /// The parameter that was moved; nil where all were.
  public let key: String?
  /// Its value; nil where all were moved.
  public let value: Double?
  /// What the variant is called in tables.
  public let name: String
  /// The profile.
  public let profile: DeviceProfile

  /// Makes a variant.
  public init(key: String?, value: Double?, name: String, profile: DeviceProfile) {
    self.key = key
    self.value = value
    self.name = name
    self.profile = profile
  }
}

/// What becomes of one conclusion over the variants of a profile.
public struct Survival: Sendable {
  /// A variant under which the conclusion reads differently.
  public struct Flip: Sendable {
    /// The variant.
    public let variant: ProfileVariant
    /// The figure there.
    public let value: Double
    /// The word there.
    public let word: String
  }

  /// What is looked at.
  public let conclusion: Conclusion
  /// The figure of the profile itself.
  public let value: Double
  /// The word for it.
  public let word: String
  /// The figures over all variants, the profile itself included.
  public let range: ClosedRange<Double>
  /// Where the conclusion reads differently, in the order of the variants.
  public let flips: [Flip]
  /// Variants that gave no figure; they count neither for nor against.
  public let silentCount: Int

  /// Whether the word is the same everywhere.
  public var isSurviving: Bool { flips.isEmpty && silentCount == 0 }

  /// Judges a conclusion; nil where the profile itself gives no figure.
  ///
  /// - Parameters:
  ///   - conclusion: What is looked at.
  ///   - base: The runs of the profile itself.
  ///   - variants: Every variant with its runs.
  public init?(
    of conclusion: Conclusion, base: [ConclusionCase: RunResult],
    variants: [(variant: ProfileVariant, runs: [ConclusionCase: RunResult])]
  ) {
    guard let value = conclusion.value(base), value.isFinite else { return nil }
    let word = conclusion.word(value)
    var range = value...value
    var flips: [Flip] = []
    var silentCount = 0
    for (variant, runs) in variants {
      guard let other = conclusion.value(runs), other.isFinite else {
        silentCount += 1
        continue
      }
      range = min(range.lowerBound, other)...max(range.upperBound, other)
      let otherWord = conclusion.word(other)
      if otherWord != word { flips.append(Flip(variant: variant, value: other, word: otherWord)) }
    }
    self.conclusion = conclusion
    self.value = value
    self.word = word
    self.range = range
    self.flips = flips
    self.silentCount = silentCount
  }
}
