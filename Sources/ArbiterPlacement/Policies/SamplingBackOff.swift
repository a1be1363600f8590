// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// How often to sample: often while placement changes, most often where islands are told apart,
/// which have few samples each, and seldom while it is stable.
struct SamplingBackOff: Sendable {
  private(set) var periodNanoseconds: Int64
  private let ordinary: Int64
  private let shortest: Int64
  private let longest: Int64
  private let stableSeconds: Double
  private let change: Double
  private let gainMax: Double
  private var newFast = 0.0
  private var newAll = 0.0
  private var fast = 0.0
  private var all = 0.0
  private var usualFast = 0.0
  private var usualAll = 0.0
  private var quiet = 0.0
  private var quietSamples = 0.0
  private var news = 0.0
  private var wasScattered = false
  private var hadChoice = true

  init(_ parameters: AdaptiveParameters) {
    ordinary = parameters.periodNanoseconds
    shortest = min(parameters.periodNanosecondsMin, parameters.periodNanoseconds)
    longest = max(parameters.periodNanosecondsMax, parameters.periodNanoseconds)
    stableSeconds = parameters.stableSeconds
    change = parameters.shareChange
    gainMax = parameters.gainShare
    periodNanoseconds = ordinary
  }

  mutating func count(isSlow: Bool) {
    newAll += 1
    if !isSlow { newFast += 1 }
  }

  /// Time passes.
  ///
  /// - Parameters:
  ///   - seconds: Since the last step.
  ///   - gainShare: What was decided to move brings in so much of all heat.
  ///   - newShare: New memory, as a share of the fast tier.
  ///   - hasChoice: Whether anything lies in slow memory; else there is nothing to find out.
  ///   - isScattered: Whether islands are judged one by one; that they are from now on is news.
  ///   - samplesWanted: Samples without which it is not known whether there is news.
  mutating func advance(
    seconds: Double, gainShare: Double, newShare: Double, hasChoice: Bool, isScattered: Bool,
    samplesWanted: Double
  ) {
    let recent = exponential(-seconds / 0.5)
    fast = fast * recent + newFast
    all = all * recent + newAll
    news = news * exponential(-seconds / 5) + gainShare + newShare
    quiet += seconds
    quietSamples += newAll
    if !hasChoice {
      periodNanoseconds = longest
    } else if news > gainMax || !hadChoice || isShareNew() || (isScattered && !wasScattered) {
      (quiet, quietSamples) = (0, 0)
      periodNanoseconds = isScattered ? shortest : ordinary
    } else if quiet >= stableSeconds, quietSamples >= samplesWanted {
      (quiet, quietSamples) = (0, 0)
      periodNanoseconds = min(periodNanoseconds * 2, longest)
    }
    wasScattered = isScattered
    hadChoice = hasChoice
    let long = exponential(-seconds / 10)
    usualFast = usualFast * long + newFast
    usualAll = usualAll * long + newAll
    newFast = 0
    newAll = 0
  }

  /// Whether the share of samples in fast memory differs from what is usual, chance excluded.
  private func isShareNew() -> Bool {
    guard all >= 8, usualAll >= 8 else { return false }
    let usual = usualFast / usualAll
    let now = fast / all
    let variance = max(usual * (1 - usual), 0.02) * (1 / all + 1 / usualAll)
    return abs(now - usual) > change + 3 * variance.squareRoot()
  }
}
