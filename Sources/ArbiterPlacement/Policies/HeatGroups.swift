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
// G4  Groups of few chunks are drawn towards the mean of all and have a large error.

/// The heat that chunks turned out to have, by what they looked like before.
struct HeatGroups: Sendable {
  /// Levels of the long average, one per octave.
  static let levelCount = 32
  /// Falling, steady, rising.
  static let trendCount = 3
  static let count = levelCount * trendCount
  /// Groups that have not been told apart yet.
  static let unknown = UInt8.max

  private struct Group {
    var seconds = 0.0
    var heat = 0.0
    var squares = 0.0
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
  static func group(long: Float, shortRate: Float, longRate: Float) -> UInt8 {
    // A sixteenth of a sample of 1 ms is forgotten.
    guard long > 62_500 else { return 0 }
    let level = min(1 + Int(long.exponent) - 15, levelCount - 1)
    let trend = shortRate < longRate / 4 ? 0 : shortRate > longRate * 3 ? 2 : 1
    return UInt8(level * trendCount + trend)
  }

  /// Takes in the heat of a chunk, which had been in the group, over an interval.
  mutating func observe(group: UInt8, heat: Double, seconds: Double) {
    guard group != Self.unknown else { return }
    groups[Int(group)].seconds += seconds
    groups[Int(group)].heat += heat
    groups[Int(group)].squares += heat * heat
  }

  /// Fades what was learned and computes the estimates; `unit` is the heat of one sample.
  mutating func learn(fading factor: Double, priorSeconds: Double, unit: Double) {
    var all = Group()
    for group in groups {
      all.seconds += group.seconds
      all.heat += group.heat
    }
    let overall = all.seconds > 0 ? all.heat / all.seconds : 0
    mean = Float(overall)
    for index in groups.indices {
      let group = groups[index]
      let seconds = group.seconds + priorSeconds
      let heat = group.heat + priorSeconds * overall
      // As if the prior's heat had come in samples.
      let squares = group.squares + priorSeconds * overall * unit
      estimates[index] = Estimate(
        mean: Float(heat / seconds), error: Float(squares.squareRoot() / seconds))
      groups[index].seconds *= factor
      groups[index].heat *= factor
      groups[index].squares *= factor
    }
  }
}
