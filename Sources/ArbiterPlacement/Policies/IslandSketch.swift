// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// Which islands of a chunk are hot?
//
// Most hot islands of a scattered set have one sample or none, so no count of an island says
// anything by itself. But samples of a chunk that is used evenly fall on the same island again one
// time in 64, and samples of a chunk with eight hot islands one time in eight. How often that
// happens, compared with the even case, is the concentration: 1 + V, where V is the variance of
// the islands' heat relative to its mean. Given V, the share of an island with k of a chunk's K
// samples is estimated as (k + 1/V) / (K + 64/V): with V = 0 all islands are alike, with large V
// the samples speak for themselves (Poisson counts of gamma-distributed rates).
//
// Samples of one island within one step count once: what touches an island many times in a burst
// and never again is not hot.

/// How the heat of one chunk is shared by its islands.
struct IslandShares {
  /// The islands that have samples.
  let seen: UInt64
  /// The share of each island that has none.
  let unseenShare: Float
}

/// Samples per island of all chunks, fading with time.
struct IslandSketch: Sendable {
  private struct Chunk {
    var samples: Float = 0
    var coincidences: Float = 0
    var expected: Float = 0
    var fadedAt: Int64 = 0
    /// Islands that have samples: the others are not gone through.
    var seen: UInt64 = 0
  }

  /// Samples that are as good as none.
  private static let forgotten: Float = 0.05

  private var counts: [Float] = []
  private var chunks: [Chunk] = []
  private var coincidences = 0.0
  private var expected = 0.0
  private let islandSeconds: Double

  init(islandSeconds: Double) { self.islandSeconds = islandSeconds }

  /// Bytes of memory per chunk.
  static let bytesPerChunk =
    MemoryLayout<Chunk>.stride + TierUnit.islandsPerChunk * MemoryLayout<Float>.stride

  mutating func grow(to count: Int) {
    chunks.append(contentsOf: repeatElement(Chunk(), count: count - chunks.count))
    let total = count * TierUnit.islandsPerChunk
    counts.append(contentsOf: repeatElement(0, count: total - counts.count))
  }

  mutating func forget(_ chunk: Int) {
    guard chunk < chunks.count else { return }
    chunks[chunk] = Chunk()
    let first = chunk * TierUnit.islandsPerChunk
    for index in first..<first + TierUnit.islandsPerChunk { counts[index] = 0 }
  }

  /// Takes in a sample of an island that had none in this step.
  mutating func record(chunk: Int, island: Int, present: Int, at time: Int64) {
    fade(chunk, to: time)
    let index = chunk * TierUnit.islandsPerChunk + island
    let before = counts[index]
    let even = chunks[chunk].samples / Float(max(1, present))
    chunks[chunk].coincidences += before
    chunks[chunk].expected += even
    coincidences += Double(before)
    expected += Double(even)
    counts[index] = before + 1
    chunks[chunk].seen |= 1 << UInt64(island)
    chunks[chunk].samples += 1
  }

  /// Fades what is known of all chunks together.
  mutating func fade(bySeconds seconds: Double) {
    let factor = exponential(-seconds / islandSeconds)
    coincidences *= factor
    expected *= factor
  }

  /// Concentration over all chunks, at least 1; 1 unless chance is excluded.
  var concentration: Double {
    guard expected > 0 else { return 1 }
    let certain = coincidences - 3 * coincidences.squareRoot()
    return max(1, certain / expected)
  }

  /// Concentration of a chunk, drawn to that of all of them by what `prior` coincidences weigh.
  func concentration(of chunk: Int, overall: Double, prior: Double) -> Double {
    let own = chunks[chunk]
    let certain = Double(own.coincidences - own.coincidences.squareRoot())
    return (max(0, certain) + prior * overall) / (Double(own.expected) + prior)
  }

  /// Shares a chunk's heat out; calls the body with each island that has samples, and its share.
  mutating func share(
    out chunk: Int, present: Int, concentration: Double, at time: Int64,
    _ body: (Int, Float) -> Void
  ) -> IslandShares {
    fade(chunk, to: time)
    let prior = Float(1 / max(1e-3, concentration - 1))
    let scale = 1 / (chunks[chunk].samples + Float(max(1, present)) * prior)
    let first = chunk * TierUnit.islandsPerChunk
    var left = chunks[chunk].seen
    while left != 0 {
      let island = left.trailingZeroBitCount
      left &= left - 1
      body(island, (counts[first + island] + prior) * scale)
    }
    return IslandShares(seen: chunks[chunk].seen, unseenShare: prior * scale)
  }

  private mutating func fade(_ chunk: Int, to time: Int64) {
    let elapsed = time - chunks[chunk].fadedAt
    guard elapsed > 0 else { return }
    chunks[chunk].fadedAt = time
    guard chunks[chunk].seen != 0 else { return }
    let factor = Float(exponential(-Double(elapsed) / 1e9 / islandSeconds))
    chunks[chunk].samples *= factor
    chunks[chunk].coincidences *= factor
    chunks[chunk].expected *= factor
    let first = chunk * TierUnit.islandsPerChunk
    var left = chunks[chunk].seen
    while left != 0 {
      let island = left.trailingZeroBitCount
      left &= left - 1
      let count = counts[first + island] * factor
      counts[first + island] = count < Self.forgotten ? 0 : count
      if count < Self.forgotten {
        chunks[chunk].seen &= ~(1 << UInt64(island))
        chunks[chunk].samples = max(0, chunks[chunk].samples - count)
      }
    }
  }
}
