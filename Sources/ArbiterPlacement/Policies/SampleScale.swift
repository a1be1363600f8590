// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a sample is worth in nanoseconds of stall in slow memory.
///
/// A sample stands for one sampling period of a thread's time, whatever unit its weight has: the
/// weight only tells samples of the same period apart.
struct SampleScale: Sendable {
  private var period: Float = 1_000_000
  private var meanWeight: Float = 0
  private var weights = 0
  private var fastLoad: Float = 1
  private var fastStore: Float = 1
  private var slowStore: Float = 1
  /// Share of a chunk's heat that fast memory saves.
  private(set) var saving = 0.0
  var wearFactor = 1.25
  var storeFactorMax = 5.0

  /// Heat of a sample in slow memory, at most.
  var slowUnit: Double { Double(period * max(1, slowStore)) }
  /// Heat of a sample in fast memory, at most.
  var fastUnit: Double { Double(period * max(fastLoad, fastStore)) }
  /// Heat of a sample, at most.
  var unitMax: Float { Float(max(slowUnit, fastUnit)) }

  mutating func adapt(to tiers: TierPair, unit: SampleUnit, period newPeriod: Int64) {
    if Float(newPeriod) != period {
      period = Float(newPeriod)
      // Weights may have been scaled with the period.
      weights = 0
    }
    func ratio(_ slow: Double, _ fast: Double) -> Double {
      fast > 0 && slow.isFinite ? min(16, max(1, slow / fast)) : 1
    }
    let loads = ratio(tiers.slow.loadNanoseconds, tiers.fast.loadNanoseconds)
    let stores = ratio(tiers.slow.storeNanoseconds, tiers.fast.storeNanoseconds)
    saving = max(1 - 1 / loads, 1 - 1 / stores)
    fastLoad = unit == .time ? Float(loads) : 1
    let penalty = tiers.slow.loadNanoseconds - tiers.fast.loadNanoseconds
    let storePenalty = tiers.slow.storeNanoseconds - tiers.fast.storeNanoseconds
    let relative = penalty > 0 ? max(1, storePenalty / penalty) : 1
    slowStore = Float(min(storeFactorMax, relative * wearFactor))
    fastStore = slowStore * (unit == .time ? Float(stores) : 1)
  }

  mutating func heat(of sample: TierSample, isSlow: Bool) -> Float {
    var share: Float = 1
    let weight = sample.weight
    if weight > 0, weight.isFinite {
      weights = min(weights + 1, 4096)
      meanWeight += (weight - meanWeight) / Float(weights)
      share = min(weight / meanWeight, 16)
    }
    let factor: Float =
      isSlow ? (sample.isStore ? slowStore : 1) : (sample.isStore ? fastStore : fastLoad)
    return share * factor * period
  }
}
