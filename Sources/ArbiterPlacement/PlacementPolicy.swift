// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What samples stand for, in one session.
public enum SampleUnit: String, Sendable, Hashable, CaseIterable {
  /// Equal times of a thread: what waits longer is met more often (timer sampling).
  case time
  /// Equal numbers of accesses, however long each of them took (events of a processor).
  case accesses
}

/// The least that moves by itself, in one session.
public enum MoveUnit: String, Sendable, Hashable, CaseIterable {
  /// Islands of a chunk may lie in different tiers.
  case island
  /// A chunk moves whole, whatever is asked for: a device that is mapped in chunks, huge pages.
  case chunk
}

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
  /// What the samples stand for.
  public let sampleUnit: SampleUnit
  /// The least that moves by itself: decisions on less than that move more than they say.
  public let moveUnit: MoveUnit

  /// Makes a view.
  public init(
    timeNanoseconds: Int64, chunks: ChunkTable, tiers: TierPair, samplingPeriodNanoseconds: Int64,
    newFastBytes: Int = 0, sampleUnit: SampleUnit = .time, moveUnit: MoveUnit = .island
  ) {
    self.timeNanoseconds = timeNanoseconds
    self.chunks = chunks
    self.tiers = tiers
    self.samplingPeriodNanoseconds = samplingPeriodNanoseconds
    self.newFastBytes = newFastBytes
    self.sampleUnit = sampleUnit
    self.moveUnit = moveUnit
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

  /// Events of each kind from one sample to the next, for policies that count events of a
  /// processor; nil for those that are content with time.
  var eventsPerSample: Int? { get }

  /// Nanoseconds from one scan of all accessed bits to the next; nil for policies that want none.
  var scanNanoseconds: Int64? { get }

  /// Takes in one sample. Costs a few array accesses; allocates only for chunks it has never seen.
  mutating func record(_ sample: TierSample)

  /// Takes in that accessed bits prove islands idle: not touched for so long.
  mutating func recordIdle(chunk: Int, islands: IslandSet, forNanoseconds: Int64)

  /// Takes in that a scan found a chunk's accessed bit set, at most once per scan.
  mutating func recordAccessed(chunk: Int)

  /// Decides, once per step; appends decisions in the order in which they should be carried out.
  mutating func step(_ view: borrowing PlacementView, into migrations: inout [Migration])

  /// Takes in what became of a decision.
  mutating func complete(_ outcome: MigrationOutcome)

  /// Forgets a chunk whose number may be given to another one.
  mutating func forget(chunk: Int)
}

extension PlacementPolicy {
  /// Nil: counts time.
  public var eventsPerSample: Int? { nil }

  /// Nil: wants no scans.
  public var scanNanoseconds: Int64? { nil }

  /// Ignores the bit: policies that count samples have no use for it.
  public mutating func recordAccessed(chunk: Int) {}

  /// Ignores the proof: policies of old have no use for it.
  public mutating func recordIdle(chunk: Int, islands: IslandSet, forNanoseconds: Int64) {}
}
