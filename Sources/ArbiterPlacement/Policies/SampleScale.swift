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
  private var fastStore: Float = 1
  private var slowStore: Float = 1
  private var loadSaving: Float = 0
  private var storeSaving: Float = 0
  /// By what a place is met more often in slow memory than it would be in fast memory.
  private(set) var fastTime: Float = 1
  private var fastStoreTime: Float = 1
  /// Share of a chunk's heat that fast memory saves.
  private(set) var saving = 0.0
  var wearFactor = 1.25
  var storeFactorMax = 5.0

  /// Heat of a sample in slow memory, at most.
  var slowUnit: Double { Double(period * max(1, slowStore)) }
  /// Heat of a sample in fast memory, at most.
  var fastUnit: Double { Double(period * max(fastTime, fastStore)) }
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
    loadSaving = Float(1 - 1 / loads)
    storeSaving = Float(1 - 1 / stores)
    fastStoreTime = unit == .time ? Float(stores) : 1
    fastTime = unit == .time ? Float(loads) : 1
    let penalty = tiers.slow.loadNanoseconds - tiers.fast.loadNanoseconds
    let storePenalty = tiers.slow.storeNanoseconds - tiers.fast.storeNanoseconds
    let relative = penalty > 0 ? max(1, storePenalty / penalty) : 1
    slowStore = Float(min(storeFactorMax, relative * wearFactor))
    fastStore = slowStore * (unit == .time ? Float(stores) : 1)
  }

  /// Returns the heat of a sample and the time that fast memory saves or would save of it.
  ///
  /// Heat counts wear as well, time does not.
  mutating func weigh(_ sample: TierSample, isSlow: Bool) -> (heat: Float, saving: Double) {
    var share: Float = 1
    let weight = sample.weight
    if weight > 0, weight.isFinite {
      weights = min(weights + 1, 4096)
      meanWeight += (weight - meanWeight) / Float(weights)
      share = min(weight / meanWeight, 16)
    }
    let time = share * period
    if sample.isStore {
      let slowTime = isSlow ? time : time * fastStoreTime
      return (time * (isSlow ? slowStore : fastStore), Double(slowTime * storeSaving))
    }
    let slowTime = isSlow ? time : time * fastTime
    return (time * (isSlow ? 1 : fastTime), Double(slowTime * loadSaving))
  }
}
