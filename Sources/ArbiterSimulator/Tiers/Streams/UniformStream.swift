// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Random updates all over the memory: every migration is in vain.
struct UniformStream: TierStream {
  let chunkCount: Int
  private let only: AccessMix

  init(_ size: TierStreamSize) {
    chunkCount = size.chunkCount
    var part = AccessPart(share: 1, chunks: 0..<size.chunkCount)
    part.storeShare = 1
    only = AccessMix(parts: [part], version: 0, accessesLeft: size.accesses)
  }

  func mix(done: Double, next: Double) -> AccessMix {
    var mix = only
    mix.accessesLeft = max(0, only.accessesLeft - done)
    return mix
  }
}
