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
  /// What samples stand for, in nanoseconds of threads' time, and the time in which they came.
  private var sampled = 0.0
  private var sampledSeconds = 0.0
  private var usualFast = 0.0
  private var usualAll = 0.0
  private var quiet = 0.0
  private var quietSamples = 0.0
  private var news = 0.0
  private var wasScattered = false
  private var hadChoice = false
  private var haste: Haste
  private var gain = 0.0
  private var growth = 0.0
  private var wasGrowing = false
  private let hasteMax: Double
  private let hasteSamples: Double
  private var wasFallen = false
  /// Whether fast memory answers less from now on: what is hot has become something else.
  private(set) var hasJustFallen = false

  init(_ parameters: AdaptiveParameters) {
    ordinary = parameters.periodNanoseconds
    shortest = min(parameters.periodNanosecondsMin, parameters.periodNanoseconds)
    longest = max(parameters.periodNanosecondsMax, parameters.periodNanoseconds)
    stableSeconds = parameters.stableSeconds
    change = parameters.shareChange
    gainMax = parameters.gainShare
    haste = Haste(secondsMax: parameters.hasteSeconds, share: parameters.hasteShare)
    hasteMax = parameters.hasteSeconds
    hasteSamples = parameters.hasteSamples
    periodNanoseconds = ordinary
  }

  var isHasty: Bool { haste.isOn }

  /// Samples per second to be expected, by those of late; nil before there are any.
  var samplesPerSecond: Double? { samplesPerSecond(every: periodNanoseconds) }

  private func samplesPerSecond(every nanoseconds: Int64) -> Double? {
    sampled > 0 ? sampled / sampledSeconds / Double(nanoseconds) : nil
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
  ///   - chunks: How many chunks share the samples.
  mutating func advance(
    seconds: Double, gainShare: Double, newShare: Double, hasChoice: Bool, isScattered: Bool,
    samplesWanted: Double, chunks: Int
  ) {
    let recent = exponential(-seconds / 0.25)
    fast = fast * recent + newFast
    all = all * recent + newAll
    if sampled > 0 || newAll > 0 {
      sampled = sampled * recent + newAll * Double(periodNanoseconds)
      sampledSeconds = sampledSeconds * recent + seconds
    }
    news = news * exponential(-seconds / stableSeconds) + gainShare + newShare
    gain = gain * recent + gainShare
    quiet += seconds
    quietSamples += newAll
    growth = growth * recent + newShare
    let isGrowing = growth > change
    let fallen = shareChange < 0
    hasJustFallen = fallen && !wasFallen
    // What a program does once it has made its memory is something else, too.
    let isOther =
      !hadChoice || hasJustFallen || (isScattered && !wasScattered) || (wasGrowing && !isGrowing)
    (wasGrowing, wasFallen) = (isGrowing, fallen)
    haste.advance(
      seconds: seconds, news: hasChoice && isOther ? patience(chunks) : nil,
      brings: gain > gainMax)
    let isNews = news > gainMax || isOther || shareChange != 0
    // What came in haste without news counts, too.
    if isNews { (quiet, quietSamples) = (0, 0) }
    if !hasChoice {
      periodNanoseconds = longest
    } else if isHasty || isNews {
      periodNanoseconds = isScattered || isHasty ? shortest : ordinary
    } else {
      if !isScattered { periodNanoseconds = max(periodNanoseconds, ordinary) }
      if quiet >= stableSeconds, quietSamples >= samplesWanted {
        (quiet, quietSamples) = (0, 0)
        periodNanoseconds = min(periodNanoseconds * 2, longest)
      }
    }
    wasScattered = isScattered
    hadChoice = hasChoice && sampled > 0
    let long = exponential(-seconds / 10)
    usualFast = usualFast * long + newFast
    usualAll = usualAll * long + newAll
    newFast = 0
    newAll = 0
  }

  /// Seconds of haste after which enough samples have come to know better; nil where a few seconds
  /// would not tell: one has to look for longer anyway, and haste would only cost.
  private func patience(_ chunks: Int) -> Double? {
    guard let rate = samplesPerSecond(every: shortest), rate > 0 else { return nil }
    let seconds = hasteSamples * Double(chunks) / rate
    return seconds <= hasteMax ? max(hasteMax / 4, seconds) : nil
  }

  /// By what the share of samples in fast memory differs from what is usual; 0 where that may be
  /// chance.
  private var shareChange: Double {
    guard all >= 8, usualAll >= 8 else { return 0 }
    let usual = usualFast / usualAll
    let now = fast / all
    let variance = max(usual * (1 - usual), 0.02) * (1 / all + 1 / usualAll)
    return abs(now - usual) > change + 3 * variance.squareRoot() ? now - usual : 0
  }
}
