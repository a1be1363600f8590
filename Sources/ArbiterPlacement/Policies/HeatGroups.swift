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
// G5  A group whose chunks are colder now than those before them were is judged by them: when the
//     hottest have been moved, the others that look like them are those that only look like them.
// G6  Together the groups expect no more heat of slow memory than it has now: what is expected of
//     a group lags behind when its hottest chunks have just been moved.
// G7  A group that has few samples remembers for longer, or it would never be known well enough to
//     act on: the last hot chunks to be found are few, and so are the samples of a slow program.

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

    mutating func add(heat: Double, seconds: Double) {
      self.seconds += seconds
      self.heat += heat
      squares += heat * heat
      count += 1
    }

    mutating func fade(_ factor: Double) {
      seconds *= factor
      heat *= factor
      squares *= factor
      count *= factor
    }

    /// Expected heat, drawn to what is known beforehand by so many seconds; `unit` is the heat of
    /// one sample.
    func estimate(prior: Estimate, weighing priorSeconds: Double, unit: Double) -> Estimate {
      let seconds = seconds + priorSeconds
      let heat = heat + priorSeconds * Double(prior.mean)
      // Spread among the group's chunks, and at least what samples of equal rates would show.
      let spread = squares - self.heat * self.heat / (count + 1)
      let priorError = priorSeconds * Double(prior.error)
      let error = (max(spread, heat * unit) + priorError * priorError).squareRoot() / seconds
      return Estimate(mean: Float(heat / seconds), error: Float(error))
    }
  }

  /// What is expected of a group, in nanoseconds per second.
  struct Estimate: Sendable {
    var mean: Float = 0
    var error: Float = 0
  }

  /// What was seen within some seconds, and within the last one.
  private var groups = [Group](repeating: Group(), count: count)
  private var recent = [Group](repeating: Group(), count: count)
  private var members = [Int](repeating: 0, count: count)
  private(set) var estimates = [Estimate](repeating: Estimate(), count: count)
  /// Mean over all chunks.
  private(set) var mean: Float = 0

  /// The group of a chunk: `long` in nanoseconds, both rates in nanoseconds per second.
  static func group(long: Float, shortRate: Float, longRate: Float, isSlow: Bool) -> UInt8 {
    let tier = isSlow ? 1 : 0
    guard long > forgotten else { return UInt8(tier) }
    let level = min(1 + Int(long.exponent) - 15, levelCount - 1)
    let trend = shortRate < longRate / 2 ? 0 : shortRate > longRate * 2 ? 2 : 1
    return UInt8((level * trendCount + trend) * tierCount + tier)
  }

  /// Nanoseconds of heat that are as good as none: a sixteenth of a sample of 1 ms.
  static let forgotten: Float = 62_500

  /// Counts chunks by the group that they are in now.
  mutating func clearMembers() {
    for index in members.indices { members[index] = 0 }
  }

  mutating func addMember(_ group: UInt8) { members[Int(group)] += 1 }

  /// Heat that all chunks in slow memory are expected to have, nanoseconds per second.
  var expectedSlowHeat: Double {
    var sum = 0.0
    for index in stride(from: 1, to: Self.count, by: Self.tierCount) {
      sum += Double(members[index]) * Double(estimates[index].mean)
    }
    return sum
  }

  /// Takes in the heat of a chunk over an interval; it had been in one group some steps before and
  /// in the other one just before.
  mutating func observe(group: UInt8, justBefore: UInt8, heat: Double, seconds: Double) {
    if group != Self.unknown { groups[Int(group)].add(heat: heat, seconds: seconds) }
    if justBefore != Self.unknown { recent[Int(justBefore)].add(heat: heat, seconds: seconds) }
  }

  /// Forgets what was learned of slow memory, where what is hot now must be found.
  ///
  /// Not of fast memory: what was cold there before is what has to make room.
  mutating func forgetSlow() {
    for index in stride(from: 1, to: Self.count, by: Self.tierCount) {
      groups[index] = Group()
      recent[index] = Group()
    }
  }

  /// Computes the estimates and fades what was learned.
  ///
  /// - Parameters:
  ///   - factor: What is left until the next step of what was learned of a group.
  ///   - rareFactor: The same while the group has fewer samples than `evidence`.
  ///   - recentFactor: The same for what corrects it.
  ///   - evidence: Samples by which a group is known.
  ///   - priorSeconds: Seconds by which a group is drawn to the level below.
  ///   - fastUnit: Heat of one sample in fast memory.
  ///   - slowUnit: Heat of one sample in slow memory.
  mutating func learn(
    fading factor: Double, rare rareFactor: Double, recent recentFactor: Double,
    evidence: Double, priorSeconds: Double, fastUnit: Double, slowUnit: Double
  ) {
    var all = Group()
    for group in groups {
      all.seconds += group.seconds
      all.heat += group.heat
    }
    mean = all.seconds > 0 ? Float(all.heat / all.seconds) : 0
    let groupsPerLevel = Self.trendCount * Self.tierCount
    for index in groups.indices {
      let unit = index % Self.tierCount == 0 ? fastUnit : slowUnit
      // G4: what is known of the level below serves until chunks of this one have been seen.
      // The lowest level has one group per tier.
      var below = Estimate(mean: mean, error: mean)
      if index >= Self.tierCount {
        below =
          estimates[
            index < 2 * groupsPerLevel ? index % Self.tierCount : index - groupsPerLevel]
        // Chunks of the next level may be quite different.
        below.error = max(below.error, below.mean / 3)
      }
      var estimate = groups[index].estimate(prior: below, weighing: priorSeconds, unit: unit)
      // G5: what is no longer so is not held on to.
      let now = recent[index].estimate(prior: estimate, weighing: priorSeconds, unit: unit)
      estimate.mean = min(estimate.mean, now.mean + 2 * now.error)
      estimates[index] = estimate
      groups[index].fade(groups[index].heat >= evidence * unit ? factor : rareFactor)
      recent[index].fade(recentFactor)
    }
  }
}
