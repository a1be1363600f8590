// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// How hot is an island with so many samples going to be?
//
// As with chunks (HeatGroups), nothing but what came afterwards tells. Where one island of eight
// is hot, one with two samples is most likely a hot one, and one with a single sample most likely
// not; where heat differs by degrees the samples mean just what they say. So islands are put into
// classes by their samples, and for each class it is counted how many samples its islands got next;
// apart for the two tiers, as a sample says more of an island where it is met less often.
//
// R1  Where nothing has been counted yet, the samples speak for themselves, drawn to the mean as
//     far as the concentration says.

/// Samples that islands turn out to get, by the samples that they had.
struct IslandRates: Sendable {
  /// Half octaves of a count, each for fast and for slow memory; the lowest has none.
  private static let levelCount = 32
  private static let classCount = levelCount * 2
  /// Counted samples that what is assumed beforehand weighs as much as.
  private static let priorHits = 5.0

  private var hits = [Double](repeating: 0, count: classCount)
  private var exposure = [Double](repeating: 0, count: classCount)
  /// Expected rate of an island of each class; only their ratios matter.
  private var weights = [Float](repeating: 1, count: classCount)

  /// A count below which an island has as good as none.
  static let forgotten: Float = 0.05

  static func classOf(_ count: Float, isSlow: Bool) -> Int {
    var level = 0
    if count > forgotten {
      // The exponent and the highest bit of the significand.
      level = Int(count.bitPattern >> 22) - Int(forgotten.bitPattern >> 22) + 1
      level = min(level, levelCount - 1)
    }
    return level * 2 + (isSlow ? 1 : 0)
  }

  /// The count in the middle of a class.
  private static func count(of class_: Int) -> Double {
    let level = UInt32(class_ / 2)
    guard level > 0 else { return 0 }
    let bits = level - 1 + forgotten.bitPattern >> 22
    return Double(Float(bitPattern: bits << 22 | 1 << 21))
  }

  /// An island of the class got a sample, which counts for so much.
  mutating func hit(_ class_: Int, weight: Float) { hits[class_] += Double(weight) }

  /// So many islands of the class may get one within the next step.
  mutating func expose(_ class_: Int, islands: Int) { exposure[class_] += Double(islands) }

  /// Computes the weights and fades what was counted.
  mutating func learn(fading factor: Double, concentration: Double) {
    let prior = 1 / max(1e-3, concentration - 1)
    var (allHits, allCounts) = (0.0, 0.0)
    for index in hits.indices {
      allHits += hits[index]
      allCounts += exposure[index] * (Self.count(of: index) + prior)
    }
    let scale = allHits > 0 && allCounts > 0 ? allHits / allCounts : 1
    for index in hits.indices {
      let expected = scale * (Self.count(of: index) + prior)
      weights[index] = Float(
        (hits[index] + Self.priorHits) / (exposure[index] + Self.priorHits / expected))
      hits[index] *= factor
      exposure[index] *= factor
    }
  }

  /// The expected rate of an island, of which only the ratio to others matters.
  func weight(_ class_: Int) -> Float { weights[class_] }
}
