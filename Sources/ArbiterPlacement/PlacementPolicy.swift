// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a policy sees when it decides.
public struct PlacementView: ~Copyable {
  /// Now, in nanoseconds of the session's clock; virtual in simulations.
  public let timeNanoseconds: Int64
  /// All chunks, as of now.
  public let chunks: ChunkTable
  /// The tiers.
  public let tiers: TierPair
  /// Nanoseconds of a thread's CPU time from one sample to the next, in force since the last step.
  public let samplingPeriodNanoseconds: Int64
  /// Bytes of fast memory that new allocations took since the last step.
  public let newFastBytes: Int

  /// Makes a view.
  public init(
    timeNanoseconds: Int64, chunks: ChunkTable, tiers: TierPair, samplingPeriodNanoseconds: Int64,
    newFastBytes: Int = 0
  ) {
    self.timeNanoseconds = timeNanoseconds
    self.chunks = chunks
    self.tiers = tiers
    self.samplingPeriodNanoseconds = samplingPeriodNanoseconds
    self.newFastBytes = newFastBytes
  }
}

/// Decides which chunks lie in which tier, from samples.
///
/// The same value runs live and in virtual time: it has no clock, no thread, no file and no
/// randomness but a seed that it is made with. Calls come from one thread.
public protocol PlacementPolicy: Sendable {
  /// Its name in reports.
  var name: String { get }

  /// Nanoseconds from one step to the next.
  var stepNanoseconds: Int64 { get }

  /// The sampling period that it asks for now, in nanoseconds of a thread's CPU time: longer while
  /// placement is stable.
  var samplingPeriodNanoseconds: Int64 { get }

  /// Takes in one sample. Costs a few array accesses; allocates only for chunks it has never seen.
  mutating func record(_ sample: TierSample)

  /// Takes in that accessed bits prove islands idle: not touched for so long.
  mutating func recordIdle(chunk: Int, islands: IslandSet, forNanoseconds: Int64)

  /// Decides, once per step; appends decisions in the order in which they should be carried out.
  mutating func step(_ view: borrowing PlacementView, into migrations: inout [Migration])

  /// Takes in what became of a decision.
  mutating func complete(_ outcome: MigrationOutcome)

  /// Forgets a chunk whose number may be given to another one.
  mutating func forget(chunk: Int)
}

extension PlacementPolicy {
  /// Ignores the proof: policies of old have no use for it.
  public mutating func recordIdle(chunk: Int, islands: IslandSet, forNanoseconds: Int64) {}
}
