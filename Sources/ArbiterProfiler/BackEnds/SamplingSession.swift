// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform

/// A back-end that samples, opened: where samples come from, and the sampler that is told whom to
/// sample.
///
/// What `account`, `heat`, `top` and `export` have in common.
public struct SamplingSession {
  /// Where samples come from.
  public let source: any AccessSource
  /// Whom they are taken of, and who reads the code around them.
  public let feed: SampleFeed

  /// How samples are taken; each back-end heeds what concerns it.
  public struct Terms: Sendable, Hashable {
    /// CPU time between two samples of the timer; nil for the usual.
    public var nanoseconds: UInt64?
    /// Stores and loads between two precise samples; nil for the usual.
    public var eventCount: UInt64?
    /// Whether processes that sampled ones start are sampled too.
    public var followsChildren = true

    /// Makes the usual ones.
    public init() {}
  }

  /// Opens a back-end; nobody is sampled yet.
  ///
  /// Nil for gates, which are not sampled.
  ///
  /// - Parameters:
  ///   - backEnd: Which.
  ///   - terms: How samples are taken.
  ///   - tree: Where the kernel describes the machine.
  /// - Throws: ``PlatformError`` where this machine or this user cannot sample, or nothing decodes.
  public init?(
    _ backEnd: BackEnd, _ terms: Terms = Terms(), tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    switch backEnd {
    case .gates: return nil
    case .pebs:
      let precise = try PreciseSource(
        everyEvents: terms.eventCount ?? PreciseSource.defaultEventCount,
        followsChildren: terms.followsChildren, tree: tree)
      (source, feed) = (precise, precise.feed)
    case .timer:
      let timer = try TimerSource(
        everyNanoseconds: terms.nanoseconds ?? TimerSource.defaultNanoseconds,
        followsChildren: terms.followsChildren, tree: tree)
      (source, feed) = (timer, timer.feed)
    case .faults:
      let faults = try FaultSource(tree: tree)
      (source, feed) = (faults, faults.feed)
    }
  }
}
