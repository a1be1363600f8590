// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMetrics
public import ArbiterPlacement

/// How memory is placed at one moment, and what was done for it so far; all sums are cumulative.
public struct TierReading: Sendable {
  /// Nanoseconds since the session began.
  public var timeNanoseconds: Int64
  /// How chunks are moved.
  public var backEnd: TierBackEndKind
  /// The policy's name.
  public var policy: String
  /// How accesses are tracked: the name of the profiler's back-end.
  public var tracker: Figure<String>
  /// The sampling period in force, in nanoseconds.
  public var samplingPeriodNanoseconds: Int64
  /// Bytes of fast memory that may be used.
  public var fastCapacityBytes: UInt64
  /// Bytes of managed chunks in fast memory.
  public var fastBytes: UInt64
  /// Bytes of managed chunks in slow memory.
  public var slowBytes: UInt64
  /// The most bytes that were managed at a time.
  public var managedBytesMax: UInt64 = 0
  /// Bytes that Arbiter keeps about managed memory.
  public var metadataBytes: UInt64
  /// The share of sampled accesses to managed memory that met fast memory, since the session began.
  public var fastHitShare: Figure<Estimate>
  /// The same over the last seconds.
  public var recentFastHitShare: Figure<Estimate>
  /// Samples that fell into managed memory.
  public var managedSampleCount: UInt64
  /// Samples in all.
  public var sampleCount: UInt64
  /// Samples that were lost.
  public var lostSampleCount: UInt64
  /// Migrations by destination that succeeded.
  public var promotionCount: UInt64
  /// The same, to slow memory.
  public var demotionCount: UInt64
  /// Bytes copied to fast memory.
  public var promotedBytes: UInt64
  /// Bytes copied to slow memory.
  public var demotedBytes: UInt64
  /// Migrations that did not happen, by how they ended.
  public var refusals: [MigrationOutcome.Status: UInt64]
  /// Accesses that had to wait for a migration.
  public var stalls: Figure<TierStalls>
  /// CPU time of sampling and deciding, in nanoseconds, the kernel's part of samples left out.
  public var trackerNanoseconds: UInt64
  /// CPU time of moving, in nanoseconds.
  public var moverNanoseconds: Figure<UInt64>
  /// CPU time of taking room for what programs map and of giving it back, in nanoseconds.
  public var placingNanoseconds: Figure<UInt64> = .unavailable("the session does not tell it")
  /// Processes whose memory is managed.
  public var processes: [Int32]
}
