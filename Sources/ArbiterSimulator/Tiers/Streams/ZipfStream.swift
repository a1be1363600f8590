// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

/// Random accesses whose chunks have a popularity by Zipf's law with exponent 0.99, in random order
/// of the addresses; 5 % of them store, as in a key-value store that is mostly read (YCSB B).
struct ZipfStream: TierStream {
  let chunkCount: Int
  private let only: AccessMix

  init(_ size: TierStreamSize, seed: UInt64) {
    var random = SeededRandom(seed: seed, stream: 13)
    chunkCount = size.chunkCount
    var weights = (0..<size.chunkCount).map { 1 / PortableMath.pow(Double($0 + 1), 0.99) }
    for last in stride(from: weights.count - 1, to: 0, by: -1) {
      weights.swapAt(last, random.below(last + 1))
    }
    var part = AccessPart(share: 1, chunks: 0..<size.chunkCount, weights: weights)
    part.storeShare = 0.05
    part.loadShare = 0.95
    only = AccessMix(parts: [part], version: 0, accessesLeft: size.accesses)
  }

  func mix(done: Double, next: Double) -> AccessMix {
    var mix = only
    mix.accessesLeft = max(0, only.accessesLeft - done)
    return mix
  }
}
