// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterPlacement
internal import ArbiterPlatform
internal import ArbiterProfiler
internal import CArbiterTier

extension TierManager {
  /// How memory is placed now, and what was done for it so far.
  ///
  /// Of a finished session, bytes in the tiers are those before its last program ended.
  ///
  /// - Complexity: A pass over all chunks.
  public var reading: TierReading {
    let (fast, slow) = isFinished && table.count == 0 ? lastPlacement : placement
    let losses = isFinished ? tally.losses : tracker?.losses ?? tally.losses
    let now = SystemClock.monotonicRawNanoseconds() - beganNanoseconds
    let failure = trackerFailure ?? "nothing tracks accesses in this session"
    var reading = TierReading(
      timeNanoseconds: tally.endNanoseconds ?? now, backEnd: backEnd.kind, policy: policy.name,
      tracker: Figure(tracker?.backEnd.rawValue, otherwise: failure),
      samplingPeriodNanoseconds: tracker?.periodNanoseconds ?? policy.samplingPeriodNanoseconds,
      fastCapacityBytes: configuration.fastBytes, fastBytes: fast, slowBytes: slow,
      metadataBytes: metadataBytes,
      fastHitShare: tracker == nil ? .unavailable(failure) : hits.overall,
      recentFastHitShare: tracker == nil ? .unavailable(failure) : hits.recent,
      managedSampleCount: tally.managedSampleCount, sampleCount: losses.sampleCount,
      lostSampleCount: losses.lostCount, promotionCount: tally.promotionCount,
      demotionCount: tally.demotionCount, promotedBytes: tally.promotedBytes,
      demotedBytes: tally.demotedBytes, refusals: tally.refusals, stalls: backEnd.stalls,
      trackerNanoseconds: tally.trackerNanoseconds + (idle?.cpuNanoseconds ?? 0),
      moverNanoseconds: backEnd.moverNanoseconds,
      processes: backEnd.processes)
    reading.placingNanoseconds = backEnd.placingNanoseconds
    reading.managedBytesMax = max(managedBytesMax, fast + slow)
    return reading
  }

  /// Why nothing was managed so far; nil where something was.
  public var reasonForNothing: String? {
    guard managedBytesMax == 0, table.count == 0 else { return nil }
    if !backEnd.hasReachedAnything {
      // The obstacle was told before the start.
      return obstacle != nil
        ? "no library could be put into it" : "no process took in \(TierPreload.fileName)"
    }
    let heap =
      probe.backEnd == .file && !managesHeaps ? ", and its heap was left where it is" : ""
    return "no memory of 2 MiB or more was seen that may be placed\(heap)"
  }

  /// Bytes of managed chunks in each tier.
  var placement: (fast: UInt64, slow: UInt64) {
    var (fast, slow) = (UInt64(0), UInt64(0))
    table.forEach { _, chunk in
      let slowBytes = chunk.presentIslands.intersection(chunk.slowIslands).bytes
      slow += UInt64(slowBytes)
      fast += UInt64(chunk.presentIslands.bytes - slowBytes)
    }
    return (fast, slow)
  }

  /// The page, and what this process's heap has grown by since the session began: the table, the
  /// policy's memory of chunks and all else that grows with them.
  ///
  /// Inside the program itself its heap tells nothing: then the table stands for both, by the size
  /// of its entries and as much again as policies may take for a chunk.
  private var metadataBytes: UInt64 {
    if isInOwnProcess {
      return backEnd.metadataBytes + UInt64(table.count) * Self.chunkMetadataBytes
    }
    let heap = Self.heapBytes
    return backEnd.metadataBytes + (heap > heapBytesBefore ? heap - heapBytesBefore : 0)
  }

  /// An entry of the table and its key, and the 6 KiB that a policy may take.
  private static let chunkMetadataBytes: UInt64 = 128 + (6 << 10)

  /// Bytes of this process's heap that are in use.
  static var heapBytes: UInt64 { arb_tier_heap_bytes() }
}
