// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMetrics
public import ArbiterPlacement

/// How memory is moved between the tiers.
public enum TierBackEndKind: String, Sendable, Hashable, CaseIterable {
  /// Pages move between NUMA nodes, by the kernel's own migration.
  case numa
  /// Chunks move between anonymous memory and a file, inside the program.
  case file
}

/// A way to move chunks, behind which each back-end stands.
///
/// One thread calls it, the manager's. No call waits longer than a few milliseconds; work that
/// takes longer is queued, and ``takeOutcomes(_:)`` tells what became of it.
public protocol TierBackEnd {
  /// Which back-end it is.
  var kind: TierBackEndKind { get }

  /// Manages a process from now on, and those that it starts: the program, as soon as it runs.
  mutating func follow(_ process: Int32)

  /// Brings the table up to date: chunks that programs mapped, unmapped or locked since.
  ///
  /// Calls `removed` with the number of each chunk that is gone, before its number is used again.
  mutating func refresh(_ table: inout ChunkTable, removed: (Int) -> Void)

  /// Queues a migration; false when the queue is full, and the decision is dropped.
  mutating func submit(_ migration: Migration, of chunk: ManagedChunk) -> Bool

  /// Hands over what became of queued migrations, and notes it in the table.
  mutating func takeOutcomes(_ table: inout ChunkTable, _ body: (MigrationOutcome) -> Void)

  /// The least that moves by itself.
  var moveUnit: MoveUnit { get }

  /// Processes whose memory is managed now.
  var processes: [Int32] { get }

  /// CPU time that moving took so far, in nanoseconds, whoever's thread it was.
  var moverNanoseconds: Figure<UInt64> { get }

  /// CPU time that went, in the program's own calls, into room for what it maps, in nanoseconds.
  var placingNanoseconds: Figure<UInt64> { get }

  /// Accesses of programs that had to wait for a migration, and how long they did at most.
  var stalls: Figure<TierStalls> { get }

  /// Bytes of memory that it keeps about chunks, beside the table.
  var metadataBytes: UInt64 { get }
  /// Whether any process was reached so far.
  var hasReachedAnything: Bool { get }

  /// What went wrong or is given up, as one line each, since the last call.
  mutating func takeRemarks() -> [String]

  /// Stops moving; what was placed stays where it is, and programs run on.
  mutating func stop()
}

extension TierBackEnd {
  /// Nothing: programs that join by themselves need not be followed.
  public mutating func follow(_ process: Int32) {}

  /// Islands.
  public var moveUnit: MoveUnit { .island }

  /// Nothing beside the heap.
  public var metadataBytes: UInt64 { 0 }
  /// True, as back-ends that look from outside need no help of the program.
  public var hasReachedAnything: Bool { true }
}

/// Accesses that had to wait for a migration.
public struct TierStalls: Sendable, Hashable {
  /// How many there were.
  public var count: UInt64
  /// The sum of their waits, in nanoseconds: at most, as each may have begun late.
  public var nanosecondsMax: UInt64
  /// The longest of them, in nanoseconds.
  public var longestNanoseconds: UInt64

  /// Makes a sum.
  public init(count: UInt64 = 0, nanosecondsMax: UInt64 = 0, longestNanoseconds: UInt64 = 0) {
    self.count = count
    self.nanosecondsMax = nanosecondsMax
    self.longestNanoseconds = longestNanoseconds
  }
}
