// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import CArbiterSampling

/// Page faults: each is a page of 4 KiB that a process has touched for the first time.
///
/// Every fault counts, so there is no error; but one that maps a huge page counts as 4 KiB too,
/// because the kernel does not tell how large the page is, and what the kernel maps around a fault
/// or ahead of it is never seen.
public struct FaultSource: AccessSource {
  /// Bytes of a page.
  public static let pageBytes = 4096.0

  /// Which back-end it is.
  public let backEnd = BackEnd.faults
  /// Whom it samples.
  public let feed: SampleFeed
  private var resolvedCount: UInt64 = 0

  /// Prepares to sample.
  ///
  /// - Throws: ``PlatformError`` where this machine or this user cannot sample.
  public init(tree: SystemTree = SystemTree()) throws(PlatformError) {
    feed = try SampleFeed([.everyPageFault], tree: tree)
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
      guard sample.has & UInt32(ARB_SAMPLE_ADDRESS) != 0 else {
        return body(SampledAccess(unresolved: sample, weight: Self.pageBytes))
      }
      resolvedCount += 1
      // A fault does not say what it was for; touches are kept in the place of stores.
      body(
        SampledAccess(
          process: sample.process, thread: sample.thread,
          timeNanoseconds: sample.time_nanoseconds, address: sample.address,
          byteCount: UInt64(Self.pageBytes), isStore: true, isLoad: false,
          weight: Self.pageBytes))
    }
  }

  /// What tasks did since the last call.
  public mutating func takeTaskEvents() -> [TaskEvent] { feed.takeTaskEventsInOrder() }

  /// Ends sampling; what was sampled before is still drained.
  public mutating func stop() { feed.sampler.stop() }
}
