// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlacement

// A stream does not list accesses: it tells, for a moment, which shares of them fall where. An
// access is one of a line that the processor's caches do not hold. What a stream does depends on
// how much of its work is done, never on time, so that every policy faces the same work.

/// Accesses of one kind: where they fall and what they do.
struct AccessPart: Sendable {
  /// Share of all accesses.
  var share: Double
  /// Accesses of this part that a counter of loads counts.
  var loadShare = 1.0
  /// Accesses of this part that store to their line.
  var storeShare = 0.5
  /// Whether a thread goes from line to line, which its prefetchers see.
  var isSequential = false
  /// Bytes of the region over which a sequential part makes its passes.
  var passBytes = 0
  /// Whether this is what a good placement would keep in fast memory.
  var isHot = false
  /// Numbers of the chunks that have any share.
  private(set) var chunks: Range<Int> = 0..<0
  /// Share of the part's accesses in one island of each chunk of ``chunks``.
  private(set) var islandWeights: [Double] = []
  /// The islands of each chunk that are accessed, all alike.
  private(set) var masks: [UInt64] = []
  /// The largest of ``islandWeights``.
  private(set) var islandWeightMax = 0.0
  /// Sums of the chunks' shares, for drawing.
  private var sums: [Double] = []

  /// Makes a part whose chunks have weights, and whose islands may be limited.
  init(share: Double, chunks: Range<Int>, weights: [Double]? = nil, masks: [UInt64]? = nil) {
    precondition(!chunks.isEmpty, "a part without a chunk")
    self.share = share
    self.chunks = chunks
    self.masks = masks ?? Array(repeating: .max, count: chunks.count)
    let raw =
      weights
      ?? self.masks.map { Double($0.nonzeroBitCount) }
    let total = raw.reduce(0, +)
    islandWeights = zip(raw, self.masks).map { weight, mask in
      mask == 0 ? 0 : weight / total / Double(mask.nonzeroBitCount)
    }
    islandWeightMax = islandWeights.max() ?? 0
    var sum = 0.0
    sums = zip(islandWeights, self.masks).map { weight, mask in
      sum += weight * Double(mask.nonzeroBitCount)
      return sum
    }
  }

  /// The share of the part's accesses that falls on islands of a chunk.
  func weight(ofChunk chunk: Int, islands: UInt64) -> Double {
    guard chunks.contains(chunk) else { return 0 }
    let place = chunk - chunks.lowerBound
    return islandWeights[place] * Double((masks[place] & islands).nonzeroBitCount)
  }

  /// The share of the part's accesses that falls on islands which are not in slow memory.
  func fastShare(slow: [UInt64]) -> Double {
    var sum = 0.0
    for (place, chunk) in chunks.enumerated() {
      sum += islandWeights[place] * Double((masks[place] & ~slow[chunk]).nonzeroBitCount)
    }
    return min(1, sum)
  }

  /// Draws the place of one access.
  func place(_ random: inout SeededRandom) -> (chunk: Int, island: Int) {
    let wanted = random.unit() * (sums.last ?? 0)
    var (low, high) = (0, sums.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if sums[middle] > wanted { high = middle } else { low = middle + 1 }
    }
    let mask = masks[low]
    var left = mask
    for _ in 0..<random.below(max(1, mask.nonzeroBitCount)) { left &= left - 1 }
    return (chunks.lowerBound + low, left.trailingZeroBitCount & 63)
  }
}

/// What a stream does at a moment.
struct AccessMix: Sendable {
  /// The parts; their shares add up to 1.
  var parts: [AccessPart]
  /// Differs from that of every other mix of the stream.
  var version: Int
  /// Accesses until the mix is another one.
  var accessesLeft: Double
}

/// Whoever accesses the memory.
protocol TierStream: Sendable {
  /// Chunks that the program has, all of them populated in their order before the start.
  var chunkCount: Int { get }

  /// What happens from a point of the work on.
  ///
  /// - Parameters:
  ///   - done: Accesses so far.
  ///   - next: Accesses that the mix will be used for, about.
  /// - Returns: The mix; one of the same version is the same mix.
  mutating func mix(done: Double, next: Double) -> AccessMix
}

/// The size of what streams work on.
public struct TierStreamSize: Sendable, Hashable {
  /// Bytes of the program.
  public var footprintBytes: Int
  /// Bytes of its hot data, in streams that have any.
  public var hotBytes: Int
  /// Threads, each with a part of the memory to itself where a stream does so.
  public var threads: Int
  /// Accesses in all.
  public var accesses: Double

  /// Makes a size.
  public init(footprintBytes: Int, hotBytes: Int, threads: Int, accesses: Double) {
    self.footprintBytes = footprintBytes
    self.hotBytes = hotBytes
    self.threads = threads
    self.accesses = accesses
  }

  var chunkCount: Int { max(1, footprintBytes / TierUnit.chunkBytes) }
  var hotChunkCount: Int { min(chunkCount, max(1, hotBytes / TierUnit.chunkBytes)) }
}
