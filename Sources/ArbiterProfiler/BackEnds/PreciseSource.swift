// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import CArbiterDecode
internal import CArbiterSampling

/// Precise events of the processor: every so many retired stores and loads one is sampled, with its
/// address; the width comes from the instruction.
///
/// A sample stands for width times period bytes. What the kernel copies is invisible to it.
public struct PreciseSource: AccessSource {
  /// Events between two samples where nothing else is asked for.
  public static let defaultEventCount: UInt64 = 10_000

  /// Which back-end it is.
  public let backEnd = BackEnd.pebs
  /// Whom it samples.
  public let feed: SampleFeed
  private var resolvedCount: UInt64 = 0
  private var widthBytes = 0.0

  /// The place of the stores among the sampler's events.
  private static let storeEvent: UInt32 = 0

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

  /// What became of the samples so far.
  public var losses: SamplingLosses {
    var losses = feed.sampler.losses
    losses.resolvedCount = resolvedCount
    return losses
  }

  /// Hands over what was sampled since the last call.
  public mutating func drain(_ body: (SampledAccess) -> Void) {
    feed.drain { sample in
      let isStore = sample.event == Self.storeEvent
      var isResolved = false
      feed.resolver.resolve(sample) { access in
        // Of a copy, the event's own side; a read-modify-write retires as a store and as a load.
        guard !isResolved, isStore ? access.is_store != 0 : access.is_load != 0 else { return }
        isResolved = true
        widthBytes += Double(access.byte_count)
        var told = SampledAccess(
          sample, access, weight: Double(access.byte_count) * Double(sample.period))
        (told.isStore, told.isLoad) = (isStore, !isStore)
        body(told)
      }
      if isResolved {
        resolvedCount += 1
      } else {
        // What is not known is taken to be as wide as the others were.
        let width = resolvedCount == 0 ? 8 : widthBytes / Double(resolvedCount)
        body(SampledAccess(unresolved: sample, weight: width * Double(sample.period)))
      }
    }
  }

  /// What tasks did since the last call.
  public mutating func takeTaskEvents() -> [TaskEvent] { feed.takeTaskEventsInOrder() }

  /// Ends sampling; what was sampled before is still drained.
  public mutating func stop() { feed.sampler.stop() }
}
