// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import CArbiterSampling

/// Samples by a clock of CPU time: each stands for the nanoseconds since the one before.
///
/// The access is the one at or next to the sampled instruction. A thread is sampled where it spends
/// time, so that an account of these samples says what accesses cost and not how many there were:
/// stores that hit the cache hardly show. A copy counts in full both as a store and as a load.
public struct TimerSource: AccessSource {
  /// Time between two samples of a thread where nothing else is asked for.
  ///
  /// A sample is an interrupt, and those of virtual machines take 15 to 25 us: twice as often would
  /// take more than 1 % of a program's time there (Benchmarks, account-cost).
  public static let defaultNanoseconds: UInt64 = 4_000_000
  /// The same where a picture is wanted, which needs more samples than a sum.
  public static let pictureNanoseconds: UInt64 = 1_000_000

  /// Which back-end it is.
  public let backEnd = BackEnd.timer
  /// Whom it samples.
  public let feed: SampleFeed
  private var resolvedCount: UInt64 = 0

  /// Prepares to sample.
  ///
  /// - Parameters:
  ///   - period: The distance of samples.
  ///   - followsChildren: Whether processes that sampled ones start are sampled too.
  ///   - tree: Where the kernel describes the machine.
  /// - Throws: ``PlatformError`` where this machine or this user cannot sample, or nothing decodes.
  public init(
    everyNanoseconds period: UInt64 = defaultNanoseconds, followsChildren: Bool = true,
    tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    feed = try SampleFeed(
      [.clock(everyNanoseconds: period)], followsChildren: followsChildren, tree: tree)
  }

  /// Prepares to sample at one of several distances: at the first until another is selected.
  ///
  /// - Parameters:
  ///   - periods: The distances, each once: one to four.
  ///   - followsChildren: Whether processes that sampled ones start are sampled too.
  ///   - tree: Where the kernel describes the machine.
  /// - Throws: ``PlatformError`` where this machine or this user cannot sample, or nothing decodes.
  public init(
    everyNanosecondsOfOne periods: [UInt64], followsChildren: Bool = true,
    tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    feed = try SampleFeed(
      periods.map { .clock(everyNanoseconds: $0) }, selected: [0],
      followsChildren: followsChildren, tree: tree)
  }

  /// What became of the samples so far.
  public var losses: SamplingLosses {
    var losses = feed.sampler.losses
    losses.resolvedCount = resolvedCount
    return losses
  }

  /// Hands over what was sampled since the last call.
  public mutating func drain(_ body: (SampledAccess) -> Void) {
    feed.drain { sample in
      let weight = Double(sample.period)
      var isResolved = false
      feed.resolver.resolve(sample) { access in
        var told = SampledAccess(sample, access, weight: weight)
        told.isFurther = isResolved
        isResolved = true
        body(told)
      }
      if isResolved {
        resolvedCount += 1
      } else {
        body(SampledAccess(unresolved: sample, weight: weight))
      }
    }
  }

  /// What tasks did since the last call.
  public mutating func takeTaskEvents() -> [TaskEvent] { feed.takeTaskEventsInOrder() }

  /// Ends sampling; what was sampled before is still drained.
  public mutating func stop() { feed.sampler.stop() }
}
