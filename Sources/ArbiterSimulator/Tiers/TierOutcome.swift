// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a stream's run with one policy came to.
public struct TierOutcome: Sendable {
  /// A point of the course of a run.
  public struct Point: Sendable, Hashable {
    /// The end of the interval, in seconds of virtual time.
    public var seconds: Double
    /// Share of the interval's accesses that fast memory answered.
    public var hitShare: Double
    /// Share of the hot data in fast memory at the end; nil where nothing is hot.
    public var hotShare: Double?
    /// Accesses per second during the interval.
    public var accessesPerSecond: Double
    /// Bytes that were copied between the memories so far.
    public var migratedBytes: Double
  }

  /// Virtual time that the work took, in seconds.
  public var seconds = 0.0
  /// Whether all of the work was done; a run ends where it takes far longer than in fast memory.
  public var isComplete = false
  /// Accesses that were done.
  public var accesses = 0.0
  /// Share of the accesses that fast memory answered.
  public var hitShare = 0.0
  /// Bytes that were copied to fast memory.
  public var promotedBytes = 0.0
  /// Bytes that were copied to slow memory.
  public var demotedBytes = 0.0
  /// Bytes that the slow medium wrote for the program, whole blocks for random stores.
  public var programWriteBytes = 0.0
  /// Migrations.
  public var migrationCount = 0
  /// Thread time lost at islands on their way, in seconds.
  public var stallSeconds = 0.0
  /// Samples that the policy was given.
  public var sampleCount = 0
  /// The course, interval by interval.
  public var course: [Point] = []
  /// When the hot data became other data, in seconds; 0 for the start.
  public var changes: [Double] = []

  /// Makes an outcome of nothing.
  public init() {}

  /// Bytes that were copied between the memories.
  public var migratedBytes: Double { promotedBytes + demotedBytes }

  /// Bytes that the slow medium wrote, for the program and for migrations.
  public var slowWriteBytes: Double { programWriteBytes + demotedBytes }

  /// Seconds from a moment until a share of the hot data lies in fast memory; nil if never.
  public func settling(from begin: Double, share: Double) -> Double? {
    course.first { $0.seconds > begin && ($0.hotShare ?? 0) >= share }.map { $0.seconds - begin }
  }
}
