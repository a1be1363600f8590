// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlacement

/// Random updates of which 90 % hit hot islands of 32 KiB that lie all over the memory.
///
/// What defeats the placement of whole huge pages (Johnny Cache, OSDI'23: HeMem cannot help).
struct ScatteredStream: TierStream {
  let chunkCount: Int
  private let only: AccessMix

  init(_ size: TierStreamSize, seed: UInt64) {
    chunkCount = size.chunkCount
    only = AccessMix(
      parts: Self.parts(size, seed: seed), version: 0, accessesLeft: size.accesses)
  }

  func mix(done: Double, next: Double) -> AccessMix {
    var mix = only
    mix.accessesLeft = max(0, only.accessesLeft - done)
    return mix
  }

  static func parts(_ size: TierStreamSize, seed: UInt64) -> [AccessPart] {
    var random = SeededRandom(seed: seed, stream: 11)
    let islands = size.chunkCount * TierUnit.islandsPerChunk
    var masks = [UInt64](repeating: 0, count: size.chunkCount)
    var left = min(islands, max(1, size.hotBytes / TierUnit.islandBytes))
    // Every island has the same chance, whatever was drawn before it.
    for island in 0..<islands where random.below(islands - island) < left {
      masks[island / TierUnit.islandsPerChunk] |= 1 << UInt64(island % TierUnit.islandsPerChunk)
      left -= 1
    }
    var hot = AccessPart(
      share: ClusteredStream.hotShare, chunks: 0..<size.chunkCount, masks: masks)
    hot.storeShare = 1
    hot.isHot = true
    var rest = AccessPart(share: 1 - ClusteredStream.hotShare, chunks: 0..<size.chunkCount)
    rest.storeShare = 1
    return [hot, rest]
  }
}
