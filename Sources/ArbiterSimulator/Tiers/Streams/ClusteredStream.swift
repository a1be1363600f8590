// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement

/// Random updates of memory of which one contiguous range per thread is hot.
///
/// GUPS in HeMem's form (Raybuck et al., SOSP'21; the released benchmark): every thread has a part
/// of the memory to itself, 90 % of its updates hit the range at the part's start, and 10 % the
/// whole part. An update loads a line and stores to it.
struct ClusteredStream: TierStream {
  /// Share of the updates that hit hot memory.
  static let hotShare = 0.9

  let chunkCount: Int
  private let only: AccessMix

  init(_ size: TierStreamSize) {
    chunkCount = size.chunkCount
    let starts = Self.starts(size)
    only = AccessMix(
      parts: Self.parts(size, hot: Self.flags(size, starts: starts)), version: 0,
      accessesLeft: size.accesses)
  }

  func mix(done: Double, next: Double) -> AccessMix {
    var mix = only
    mix.accessesLeft = max(0, only.accessesLeft - done)
    return mix
  }

  /// The first chunk of every thread's part.
  static func starts(_ size: TierStreamSize) -> [Int] {
    let count = min(size.threads, size.hotChunkCount)
    return (0..<count).map { $0 * size.chunkCount / count }
  }

  /// Which chunks are hot when the hot range of a part begins at each start, around its end.
  static func flags(_ size: TierStreamSize, starts: [Int]) -> [Bool] {
    var isHot = Array(repeating: false, count: size.chunkCount)
    for (index, start) in starts.enumerated() {
      let own =
        (index + 1) * size.hotChunkCount / starts.count - index * size.hotChunkCount / starts.count
      for offset in 0..<own { isHot[(start + offset) % size.chunkCount] = true }
    }
    return isHot
  }

  /// Hot updates in the chunks that are, and the others everywhere.
  static func parts(_ size: TierStreamSize, hot: [Bool]) -> [AccessPart] {
    var first = AccessPart(
      share: hotShare, chunks: 0..<size.chunkCount, weights: hot.map { $0 ? 1 : 0 })
    first.storeShare = 1
    first.isHot = true
    var rest = AccessPart(share: 1 - hotShare, chunks: 0..<size.chunkCount)
    rest.storeShare = 1
    return [first, rest]
  }
}
