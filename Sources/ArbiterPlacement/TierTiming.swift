// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What the accesses to a tier cost: what a policy weighs a migration against.
public struct TierTiming: Sendable, Hashable {
  /// Latency of a random load, in nanoseconds.
  public var loadNanoseconds: Double
  /// Time that a random store of a line costs, in nanoseconds.
  public var storeNanoseconds: Double
  /// Read bandwidth of the tier, in bytes per second.
  public var readBytesPerSecond: Double
  /// Write bandwidth of the tier, in bytes per second.
  public var writeBytesPerSecond: Double

  /// Makes a timing.
  public init(
    loadNanoseconds: Double, storeNanoseconds: Double, readBytesPerSecond: Double,
    writeBytesPerSecond: Double
  ) {
    self.loadNanoseconds = loadNanoseconds
    self.storeNanoseconds = storeNanoseconds
    self.readBytesPerSecond = readBytesPerSecond
    self.writeBytesPerSecond = writeBytesPerSecond
  }
}

/// Both tiers and the way between them.
public struct TierPair: Sendable, Hashable {
  /// Bytes of fast memory that managed chunks may take.
  public var fastBytes: Int
  /// The fast tier.
  public var fast: TierTiming
  /// The slow tier.
  public var slow: TierTiming
  /// Nanoseconds that a migration costs beside its copy: kernel calls, faults.
  public var migrationNanoseconds: Double

  /// Makes a pair.
  public init(
    fastBytes: Int, fast: TierTiming, slow: TierTiming, migrationNanoseconds: Double
  ) {
    self.fastBytes = fastBytes
    self.fast = fast
    self.slow = slow
    self.migrationNanoseconds = migrationNanoseconds
  }
}
