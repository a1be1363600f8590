// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice
public import ArbiterScheduler

/// Something that the comparison of schemes says, as a figure and a word for it.
///
/// A conclusion survives a change of the profile when the word stays: "wins" may become a smaller
/// win, but not a draw.
public struct Conclusion: Sendable {
  /// What is looked at, such as `arbiter ÷ baseline, 26 threads, 64 B`.
  public let name: String
  /// The figure; nil where a run lacks what it needs.
  public let value: @Sendable ([ConclusionCase: RunResult]) -> Double?
  /// The word for a figure.
  public let word: @Sendable (Double) -> String

  /// Makes a conclusion.
  public init(
    _ name: String, value: @escaping @Sendable ([ConclusionCase: RunResult]) -> Double?,
    word: @escaping @Sendable (Double) -> String
  ) {
    self.name = name
    self.value = value
    self.word = word
  }

  /// How far a ratio of bandwidths may be from 1 and still be called level.
  public static let levelMargin = 0.05

  /// Every conclusion, the headline first.
  public static let all: [Conclusion] = amplification + bandwidth

  /// The headline: what arbiter gains over another scheme with as many threads as the paper has.
  public static func gain(over rival: SchemeName) -> Conclusion {
    ratio(to: rival, threads: 26, accessBytes: 64)
  }

  private static let bandwidth: [Conclusion] = ConclusionCase.rivals.flatMap { rival in
    ConclusionCase.accessSizes.flatMap { bytes in
      ConclusionCase.threadCounts.map { ratio(to: rival, threads: $0, accessBytes: bytes) }
    }
  }

  private static func ratio(
    to rival: SchemeName, threads: Int, accessBytes: Int
  ) -> Conclusion {
    func place(_ scheme: SchemeName) -> ConclusionCase {
      ConclusionCase(scheme: scheme, threadCount: threads, accessBytes: accessBytes)
    }
    let (own, other) = (place(.arbiter), place(rival))
    let count = threads == 1 ? "1 thread" : "\(threads) threads"
    return Conclusion("arbiter ÷ \(rival.rawValue), \(count), \(accessBytes) B") { runs in
      guard let own = runs[own], let other = runs[other], other.effectiveBandwidth > 0 else {
        return nil
      }
      return own.effectiveBandwidth / other.effectiveBandwidth
    } word: { ratio in
      ratio > 1 + levelMargin ? "wins" : ratio < 1 - levelMargin ? "loses" : "level"
    }
  }

  private static let amplification: [Conclusion] = [
    amplification(of: .baseline, "baseline's WA", threads: 8, above: 1.1),
    amplification(of: .baseline, "baseline's WA", threads: 26, above: 1.3),
    amplification(of: .arbiter, "arbiter's WA", threads: 8, above: 1.1),
    amplification(of: .arbiter, "arbiter's WA", threads: 26, above: 1.1),
  ]

  /// What concurrency does to write amplification, against one thread of the same profile.
  private static func amplification(
    of scheme: SchemeName, _ name: String, threads: Int, above limit: Double
  ) -> Conclusion {
    let alone = ConclusionCase(scheme: .baseline, threadCount: 1, accessBytes: 64)
    let crowd = ConclusionCase(scheme: scheme, threadCount: threads, accessBytes: 64)
    return Conclusion("\(name), \(threads) threads ÷ baseline's, 1 thread, 64 B") { runs in
      guard let one = runs[alone]?.writeAmplification, let many = runs[crowd]?.writeAmplification
      else { return nil }
      return many / one
    } word: {
      $0 > limit ? "grows" : "stays"
    }
  }
}
