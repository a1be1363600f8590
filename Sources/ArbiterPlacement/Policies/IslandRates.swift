// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// How hot is an island with so many samples going to be?
//
// As with chunks (HeatGroups), nothing but what came afterwards tells. Where one island of eight
// is hot, one with two samples is most likely a hot one, and one with a single sample most likely
// not; where heat differs by degrees the samples mean just what they say. So islands are put into
// classes by their samples, and for each class it is counted how many samples its islands got next.
//
// R1  Where nothing has been counted yet, the samples speak for themselves, drawn to the mean as
//     far as the concentration says.

/// Samples that islands turn out to get, by the samples that they had.
struct IslandRates: Sendable {
  /// Half octaves of a count; the lowest has none.
  private static let classCount = 32
  /// Counted samples that what is assumed beforehand weighs as much as.
  private static let priorHits = 5.0

  private var hits = [Double](repeating: 0, count: classCount)
  private var exposure = [Double](repeating: 0, count: classCount)
  /// Expected rate of an island of each class; only their ratios matter.
  private var weights = [Float](repeating: 1, count: classCount)

  /// A count below which an island has as good as none.
  static let forgotten: Float = 0.05

  static func classOf(_ count: Float) -> Int {
    guard count > forgotten else { return 0 }
    // The exponent and the highest bit of the significand.
    let class_ = Int(count.bitPattern >> 22) - Int(forgotten.bitPattern >> 22) + 1
    return min(class_, classCount - 1)
  }

  /// The count in the middle of a class.
  private static func count(of class_: Int) -> Double {
    guard class_ > 0 else { return 0 }
    let bits = UInt32(class_ - 1) + forgotten.bitPattern >> 22
    return Double(Float(bitPattern: bits << 22 | 1 << 21))
  }

  /// An island of the class got a sample.
  mutating func hit(_ class_: Int) { hits[class_] += 1 }

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
