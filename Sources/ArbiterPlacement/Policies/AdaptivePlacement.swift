// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// Arbiter's own policy. Each step it
//   1. turns the samples since the last step into two averages of heat per chunk, and learns what
//      heat chunks had after they looked like this (HeatGroups);
//   2. judges the islands of chunks whose samples concentrate on few of them (IslandSketch);
//   3. finds the cut: the heat per island above which everything fits into the fast tier;
//   4. exchanges what lies in the slow tier above the cut for what lies in the fast one below it,
//      hottest for coldest, until it does not pay, or the bucket of tokens or the account of
//      earnings is empty (MigrationAccount);
//   5. keeps room free for what the program will allocate, if there is something cold.
//
// Heat is stall: nanoseconds of threads' time per second that a chunk's accesses take, or would
// take, in slow memory. A sample taken by time while the chunk is in fast memory therefore counts
// as much more as slow memory is slower; otherwise what is promoted would seem to cool.
//
// P1  A chunk that is not movable, or whose last decision has no outcome yet, is not decided on.
// P2  If every decision succeeds, the bytes in fast memory never exceed the budget because of one.
// P3  Decisions of one step name an island at most once.
// P4  Time comes from the views alone, randomness is not used: the same calls give the same result.

/// A policy without thresholds: learns from the samples what will be hot, and moves what pays.
///
/// Costs: a sample takes a few array accesses; a step takes a pass over the chunks, and a pass over
/// the islands of chunks whose heat is scattered. About 450 bytes of memory per chunk.
public struct AdaptivePlacement: PlacementPolicy {
  /// Its name in reports.
  public var name: String { "arbiter" }

  /// The constants that it was made with.
  public let parameters: AdaptiveParameters

  /// Nanoseconds from one step to the next: more with many chunks.
  public var stepNanoseconds: Int64 {
    let factor = max(1, min(8, states.count / max(1, parameters.chunksPerStep)))
    return Int64(Double(parameters.stepNanoseconds) * pace) * Int64(factor)
  }

  /// The sampling period that it asks for now.
  public var samplingPeriodNanoseconds: Int64 { backOff.periodNanoseconds }

  var states: [ChunkState] = []
  var sketch: IslandSketch
  var groups = HeatGroups()
  var account: MigrationAccount
  var scale = SampleScale()
  var backOff: SamplingBackOff
  var plan = PlacementPlan()
  /// Heat of slow memory within about a step, and the time in which it had it.
  var slowHeatNow = 0.0
  var slowSecondsNow = 0.0
  /// By what the heat that is expected of slow memory is too large: 1 or less.
  var balance: Float = 1
  /// The least that moves by itself.
  var moveUnit = MoveUnit.island
  /// What a step and the times of learning are multiplied by: they follow the samples.
  var pace = 1.0
  /// Time of the last step; nil before the first.
  var lastStep: Int64?
  /// Bytes per second by which managed memory grows, averaged.
  var growth = 0.0
  /// Until when the back-end is taken at its word that there is no room.
  var fullUntil = Int64.min
  /// What decisions without an outcome will add to fast memory, less what they will free.
  var bytesUnderWay = 0

  /// Makes a policy.
  public init(parameters: AdaptiveParameters = AdaptiveParameters()) {
    self.parameters = parameters
    sketch = IslandSketch(
      islandSeconds: parameters.islandSeconds,
      concentrationSeconds: parameters.concentrationSeconds)
    account = MigrationAccount(
      stake: parameters.stakeNanoseconds, creditSeconds: parameters.creditSeconds)
    backOff = SamplingBackOff(parameters)
    scale.wearFactor = parameters.wearFactor
    scale.storeFactorMax = parameters.storeFactorMax
  }

  /// Nanoseconds of threads' time that its migrations gained over first touch, by the samples.
  public var earnedNanoseconds: Double { account.earned }

  /// Nanoseconds that its migrations took, by outcomes and estimates.
  public var spentNanoseconds: Double { account.spent }

  /// Bytes of memory that it keeps per chunk.
  public static var bytesPerChunk: Int {
    MemoryLayout<ChunkState>.stride + IslandSketch.bytesPerChunk
  }

  /// Takes in one sample.
  public mutating func record(_ sample: TierSample) {
    let chunk = Int(sample.chunk)
    guard chunk >= 0, sample.island < TierUnit.islandsPerChunk else { return }
    if chunk >= states.count { grow(to: chunk + 1) }
    let bit = UInt64(1) << UInt64(sample.island)
    let isSlow = states[chunk].slow & bit != 0
    let (heat, saving) = scale.weigh(sample, isSlow: isSlow)
    backOff.count(isSlow: isSlow)
    if states[chunk].raised & bit != 0 {
      account.earn(saving)
    } else if states[chunk].lowered & bit != 0 {
      account.earn(-saving)
    }
    states[chunk].pending += heat
    states[chunk].idle &= ~bit
    if states[chunk].touched & bit == 0 {
      states[chunk].touched |= bit
      sketch.record(
        chunk: chunk, island: Int(sample.island), present: states[chunk].present.nonzeroBitCount,
        isSlow: isSlow, weight: isSlow ? 1 : scale.fastTime, at: lastStep ?? 0)
    }
  }

  /// Takes in that islands are idle: they are the first to go.
  public mutating func recordIdle(chunk: Int, islands: IslandSet, forNanoseconds time: Int64) {
    guard chunk >= 0, chunk < states.count else { return }
    // Shorter than this, a chunk of a low rate may merely not have had its turn.
    guard time >= Int64(parameters.shortSeconds * 1e9) else { return }
    states[chunk].idle |= islands.rawValue & ~states[chunk].touched
  }

  /// Decides; see the head of the file.
  public mutating func step(
    _ view: borrowing PlacementView, into migrations: inout [Migration]
  ) {
    let now = view.timeNanoseconds
    let elapsed = now - (lastStep ?? now - stepNanoseconds)
    guard elapsed > 0 else { return }
    scale.adapt(to: view.tiers, unit: view.sampleUnit, period: view.samplingPeriodNanoseconds)
    lastStep = now
    moveUnit = view.moveUnit
    let newBytes = refresh(view)
    learn(elapsed: elapsed, now: now)
    let seconds = Double(elapsed) / 1e9
    let faded = exponential(-seconds / 10)
    growth = growth * faded + Double(max(newBytes, view.newFastBytes)) / seconds * (1 - faded)
    let gain = decide(view, seconds: seconds, into: &migrations)
    let heat = Double(groups.mean) * Double(view.chunks.count)
    let isScattered =
      moveUnit == .island && sketch.concentration >= parameters.splitConcentration
    // Of islands a quarter: what they get is known of many together.
    let units = view.chunks.count * (isScattered ? TierUnit.islandsPerChunk / 4 : 1)
    backOff.advance(
      seconds: seconds, gainShare: heat > 0 ? gain / heat : 0,
      newShare: Double(newBytes) / Double(max(1, view.tiers.fastBytes)),
      hasChoice: states.contains { $0.isKnown && $0.slow & $0.present != 0 },
      isScattered: isScattered, samplesWanted: parameters.samplesPerUnit * Double(units),
      chunks: view.chunks.count)
    if backOff.isHasty, backOff.hasJustFallen { groups.forgetSlow() }
    setPace(chunks: view.chunks.count)
  }

  /// With as many samples as chunks in a second all goes at its usual pace; with more, faster.
  private mutating func setPace(chunks: Int) {
    var wanted = backOff.isHasty ? 0 : 1.0
    if let rate = backOff.samplesPerSecond { wanted = Double(chunks) / max(1, rate) }
    let newPace = min(parameters.paceMax, max(parameters.paceMin, wanted))
    // The sums of another time constant: at the same rate they are larger or smaller by as much.
    let change = Float(newPace / pace)
    for index in states.indices { states[index].short *= change }
    pace = newPace
  }

  /// Takes in what became of a decision.
  public mutating func complete(_ outcome: MigrationOutcome) {
    let chunk = Int(outcome.migration.chunk)
    guard chunk >= 0, chunk < states.count, states[chunk].underWay != 0 else { return }
    let cost = states[chunk].costUnderWay
    bytesUnderWay -= states[chunk].settle(
      outcome, at: lastStep ?? 0, turnNanoseconds: Int64(parameters.turnSeconds * 1e9))
    // The estimate was spent already.
    if outcome.status != .moved {
      account.spend(-cost, because: outcome.migration.reason)
    } else if outcome.cpuNanoseconds > 0 {
      account.spend(Double(outcome.cpuNanoseconds) - cost, because: outcome.migration.reason)
    }
    if outcome.status == .full { fullUntil = (lastStep ?? 0) + 2 * stepNanoseconds }
  }

  /// Forgets a chunk.
  public mutating func forget(chunk: Int) {
    guard chunk >= 0, chunk < states.count else { return }
    bytesUnderWay -= states[chunk].bytesUnderWay
    states[chunk] = ChunkState()
    sketch.forget(chunk)
  }

  mutating func grow(to count: Int) {
    guard count > states.count else { return }
    states.append(contentsOf: repeatElement(ChunkState(), count: count - states.count))
    sketch.grow(to: count)
  }
}
