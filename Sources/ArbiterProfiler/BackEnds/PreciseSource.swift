// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform

/// Precise events of the processor: every so many retired stores and loads one is sampled, with its
/// address; the width comes from the instruction.
///
/// A sample stands for width times period bytes; of a repeated string, the width is what it had
/// passed from the sampled address on, by its pointer. What the kernel copies is invisible to it.
public struct PreciseSource: AccessSource {
  /// Events between two samples where nothing else is asked for.
  public static let defaultEventCount: UInt64 = 10_000

  /// Which back-end it is.
  public let backEnd = BackEnd.pebs
  /// Whom it samples.
  public let feed: SampleFeed
  private var reading = PreciseReading(storeEvents: 0, 2)

  /// Prepares to sample.
  ///
  /// - Parameters:
  ///   - period: The distance of samples.
  ///   - followsChildren: Whether processes that sampled ones start are sampled too.
  ///   - tree: Where the kernel describes the machine.
  /// - Throws: ``PlatformError`` where this machine or this user cannot sample, or nothing decodes.
  public init(
    everyEvents period: UInt64 = defaultEventCount, followsChildren: Bool = true,
    tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    feed = try SampleFeed(
      [SampledEvent(.stores, period: period), SampledEvent(.loads, period: period)],
      followsChildren: followsChildren, tree: tree)
  }

  /// Prepares to sample at one of two distances at a time: the first, until another is selected.
  ///
  /// Of the sampler's events the first two are stores and loads at the first distance, and the next
  /// two at the other.
  ///
  /// - Parameters:
  ///   - period: The first distance.
  ///   - longer: The other.
  ///   - tree: Where the kernel describes the machine.
  /// - Throws: ``PlatformError`` where this machine or this user cannot sample, or nothing decodes.
  public init(
    everyEvents period: UInt64, orElse longer: UInt64, tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    let events = [period, longer].flatMap {
      [SampledEvent(.stores, period: $0), SampledEvent(.loads, period: $0)]
    }
    feed = try SampleFeed(events, selected: [0, 1], tree: tree)
  }

  /// What became of the samples so far.
  public var losses: SamplingLosses {
    var losses = feed.sampler.losses
    losses.resolvedCount = reading.resolvedCount
    return losses
  }

  /// Hands over what was sampled since the last call.
  public mutating func drain(_ body: (SampledAccess) -> Void) {
    feed.drain { reading.read($0, by: feed.resolver, body) }
  }

  /// What tasks did since the last call.
  public mutating func takeTaskEvents() -> [TaskEvent] { feed.takeTaskEventsInOrder() }

  /// Ends sampling; what was sampled before is still drained.
  public mutating func stop() { feed.sampler.stop() }
}
