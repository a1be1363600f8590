// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// How hot is a chunk going to be?
//
// A chunk with two samples is hot where most chunks have none because a few are hot, and it is mere
// chance where all are used alike. No fixed threshold knows which of the two it is, and no
// confidence interval of one chunk's count. The chunks together know: they are grouped by how hot
// they were (the level of the long average, and whether the short one is above or below it), and
// for each group the heat that its chunks had *afterwards* is measured. That mean is what a chunk
// of the group is expected to have.
//
// G1  Uniform use: all groups have the same heat afterwards, however their chunks came into them.
// G2  A stream of sequential passes: chunks that were hot just now are no hotter afterwards.
// G3  A hot set that moved: the group "was hot, now falling" turns cold within a few steps.
// G4  Groups of few chunks are drawn towards the level below and have a large error.

/// The heat that chunks turned out to have, by what they looked like before.
struct HeatGroups: Sendable {
  /// Levels of the long average, one per octave.
  static let levelCount = 32
  /// Falling, steady, rising.
  static let trendCount = 3
  /// In fast memory, in slow memory: a sample says more of a chunk where it is met less often.
  static let tierCount = 2
  static let count = levelCount * trendCount * tierCount
  /// Groups that have not been told apart yet.
  static let unknown = UInt8.max

  private struct Group {
    var seconds = 0.0
    var heat = 0.0
    var squares = 0.0
    var count = 0.0
  }

  /// What is expected of a group, in nanoseconds per second.
  struct Estimate: Sendable {
    var mean: Float = 0
    var error: Float = 0
  }

  private var groups = [Group](repeating: Group(), count: count)
  private(set) var estimates = [Estimate](repeating: Estimate(), count: count)
  /// Mean over all chunks.
  private(set) var mean: Float = 0

  /// The group of a chunk: `long` in nanoseconds, both rates in nanoseconds per second.
  static func group(long: Float, shortRate: Float, longRate: Float, isSlow: Bool) -> UInt8 {
    let tier = isSlow ? 1 : 0
    guard long > forgotten else { return UInt8(tier) }
    let level = min(1 + Int(long.exponent) - 15, levelCount - 1)
    let trend = shortRate < longRate / 4 ? 0 : shortRate > longRate * 3 ? 2 : 1
    return UInt8((level * trendCount + trend) * tierCount + tier)
  }

  /// Nanoseconds of heat that are as good as none: a sixteenth of a sample of 1 ms.
  static let forgotten: Float = 62_500

  /// Takes in the heat of a chunk, which had been in the group, over an interval.
  mutating func observe(group: UInt8, heat: Double, seconds: Double) {
    guard group != Self.unknown else { return }
    groups[Int(group)].seconds += seconds
    groups[Int(group)].heat += heat
    groups[Int(group)].squares += heat * heat
    groups[Int(group)].count += 1
  }

  /// Fades what was learned and computes the estimates; the units are the heat of one
  /// sample in fast and in slow memory.
  mutating func learn(
    fading factor: Double, priorSeconds: Double, fastUnit: Double, slowUnit: Double
  ) {
    var all = Group()
    for group in groups {
      all.seconds += group.seconds
      all.heat += group.heat
    }
    let overall = all.seconds > 0 ? all.heat / all.seconds : 0
    mean = Float(overall)
    for index in groups.indices {
      let group = groups[index]
      // G4: what is known of the level below serves until chunks of this one have been seen.
      let isLowest = index < Self.trendCount * Self.tierCount
      let below = isLowest ? Estimate(mean: mean) : estimates[index - Self.trendCount * Self.tierCount]
      let prior = priorSeconds * Double(below.mean)
      let seconds = group.seconds + priorSeconds
      let heat = group.heat + prior
      // Spread among the group's chunks, and at least what samples of equal rates would show.
      let spread = group.squares - group.heat * group.heat / (group.count + 1)
      let chance = heat * (index % Self.tierCount == 0 ? fastUnit : slowUnit)
      let priorError = isLowest ? 0 : priorSeconds * Double(below.error)
      let error = (max(spread, chance) + priorError * priorError).squareRoot() / seconds
      estimates[index] = Estimate(mean: Float(heat / seconds), error: Float(error))
      groups[index].seconds *= factor
      groups[index].heat *= factor
      groups[index].squares *= factor
      groups[index].count *= factor
    }
  }
}
