// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlacement

/// The clustered stream whose hot set moves: a quarter of it after a third of the work, and all of
/// it after two thirds.
///
/// HeMem's benchmark moves a quarter of the hot set to fresh addresses, once.
struct MovingStream: TierStream {
  let chunkCount: Int
  private let accesses: Double
  private let thirds: [[AccessPart]]

  init(_ size: TierStreamSize, seed: UInt64) {
    var random = SeededRandom(seed: seed, stream: 12)
    chunkCount = size.chunkCount
    accesses = size.accesses
    let starts = ClusteredStream.starts(size)
    let first = ClusteredStream.flags(size, starts: starts)
    // The last quarter of every thread's range goes to the middle of the thread's part.
    let part = size.chunkCount / starts.count
    let own = max(1, size.hotChunkCount / starts.count)
    var second = first
    for start in starts {
      let target = start + part / 2 + random.below(max(1, part / 4))
      for offset in own - own / 4..<own {
        second[start + offset] = false
        second[(target + offset) % size.chunkCount] = true
      }
    }
    // Then everything to where nothing was hot before, as far as there is room.
    let shift = own + random.below(max(1, part - 2 * own))
    let third = ClusteredStream.flags(size, starts: starts.map { $0 + shift })
    thirds = [first, second, third].map { ClusteredStream.parts(size, hot: $0) }
  }

  func mix(done: Double, next: Double) -> AccessMix {
    let third = min(2, Int(done * 3 / accesses))
    return AccessMix(
      parts: thirds[third], version: third,
      accessesLeft: max(0, accesses * Double(third + 1) / 3 - done))
  }
}
