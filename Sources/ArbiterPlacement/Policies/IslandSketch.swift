// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// Which islands of a chunk are hot?
//
// Most hot islands of a scattered set have one sample or none, so no count of an island says
// anything by itself. But samples of a chunk that is used evenly fall on the same island again one
// time in 64, and samples of a chunk with eight hot islands one time in eight. How often that
// happens, compared with the even case, is the concentration: 1 + V, where V is the variance of
// the islands' heat relative to its mean. Given V, the samples of an island are drawn to the mean
// of its chunk as k + 1/V (Poisson counts of gamma-distributed rates): with V = 0 all islands are
// alike, with large V the samples speak for themselves. That is where one begins; what counts are
// worth in this program is learned (IslandRates).
//
// Samples of one island within one step count once: what touches an island many times in a burst
// and never again is not hot.

/// How the heat of one chunk is shared by its islands.
struct IslandShares {
  /// The islands that have samples.
  let seen: UInt64
  /// The share of each island that has none, in either tier.
  let unseenFast: Float
  let unseenSlow: Float
}

/// Samples per island of all chunks, fading with time.
struct IslandSketch: Sendable {
  private struct Chunk {
    var samples: Float = 0
    var coincidences: Float = 0
    /// Their variance by chance: a sample that counts for more varies by its weight once more.
    var variance: Float = 0
    var expected: Float = 0
    var fadedAt: Int64 = 0
    /// The step in which its islands were last judged one by one.
    var sharedAt = Int64.min
    /// Islands that have samples: the others are not gone through.
    var seen: UInt64 = 0
  }

  private var counts: [Float] = []
  private var chunks: [Chunk] = []
  private var coincidences = 0.0
  private var variance = 0.0
  private var expected = 0.0
  private let islandSeconds: Double
  private let concentrationSeconds: Double
  private var rates = IslandRates()

  init(islandSeconds: Double, concentrationSeconds: Double) {
    self.islandSeconds = islandSeconds
    self.concentrationSeconds = concentrationSeconds
  }

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

  /// Takes in a sample of an island that had none in this step; `weight` is by what a sample of
  /// slow memory is met more often.
  mutating func record(
    chunk: Int, island: Int, present: Int, isSlow: Bool, weight: Float, at time: Int64
  ) {
    fade(chunk, to: time)
    let index = chunk * TierUnit.islandsPerChunk + island
    let before = counts[index]
    if chunks[chunk].sharedAt == time {
      rates.hit(IslandRates.classOf(before, isSlow: isSlow), weight: weight)
    }
    let even = chunks[chunk].samples / Float(max(1, present))
    chunks[chunk].coincidences += before * weight
    chunks[chunk].variance += before * weight * weight
    chunks[chunk].expected += even * weight
    coincidences += Double(before * weight)
    variance += Double(before * weight * weight)
    expected += Double(even * weight)
    counts[index] = before + weight
    chunks[chunk].seen |= 1 << UInt64(island)
    chunks[chunk].samples += weight
  }

  /// Fades what is known of all chunks together.
  mutating func fade(bySeconds seconds: Double) {
    let factor = exponential(-seconds / islandSeconds)
    let allFactor = exponential(-seconds / concentrationSeconds)
    coincidences *= allFactor
    variance *= allFactor
    expected *= allFactor
    rates.learn(fading: factor, concentration: concentration)
  }

  /// Concentration over all chunks, at least 1; 1 unless chance is excluded.
  var concentration: Double {
    guard expected > 0 else { return 1 }
    let certain = coincidences - 3 * variance.squareRoot()
    return max(1, certain / expected)
  }

  /// Concentration of a chunk, drawn to that of all of them by what `prior` coincidences weigh.
  func concentration(of chunk: Int, overall: Double, prior: Double) -> Double {
    let own = chunks[chunk]
    let certain = Double(own.coincidences - own.variance.squareRoot())
    return (max(0, certain) + prior * overall) / (Double(own.expected) + prior)
  }

  /// Shares a chunk's heat out; calls the body with each island that has samples, and its share.
  mutating func share(
    out chunk: Int, present: UInt64, slow: UInt64, at time: Int64, _ body: (Int, Float) -> Void
  ) -> IslandShares {
    fade(chunk, to: time)
    let isFirst = chunks[chunk].sharedAt != time
    chunks[chunk].sharedAt = time
    let first = chunk * TierUnit.islandsPerChunk
    let seen = chunks[chunk].seen & present
    func classOf(_ island: Int) -> Int {
      IslandRates.classOf(counts[first + island], isSlow: slow >> UInt64(island) & 1 != 0)
    }
    var sum: Float = 0
    func add(_ islands: Int, of class_: Int) {
      if isFirst { rates.expose(class_, islands: islands) }
      sum += rates.weight(class_) * Float(islands)
    }
    let unseenFast = IslandRates.classOf(0, isSlow: false)
    let unseenSlow = IslandRates.classOf(0, isSlow: true)
    add((present & ~seen & ~slow).nonzeroBitCount, of: unseenFast)
    add((present & ~seen & slow).nonzeroBitCount, of: unseenSlow)
    IslandSet(rawValue: seen).forEach { add(1, of: classOf($0)) }
    let scale = 1 / max(sum, .leastNormalMagnitude)
    IslandSet(rawValue: seen).forEach { body($0, rates.weight(classOf($0)) * scale) }
    return IslandShares(
      seen: seen, unseenFast: rates.weight(unseenFast) * scale,
      unseenSlow: rates.weight(unseenSlow) * scale)
  }

  private mutating func fade(_ chunk: Int, to time: Int64) {
    let elapsed = time - chunks[chunk].fadedAt
    guard elapsed > 0 else { return }
    chunks[chunk].fadedAt = time
    guard chunks[chunk].seen != 0 else { return }
    let factor = Float(exponential(-Double(elapsed) / 1e9 / islandSeconds))
    chunks[chunk].samples *= factor
    chunks[chunk].coincidences *= factor
    chunks[chunk].variance *= factor
    chunks[chunk].expected *= factor
    let first = chunk * TierUnit.islandsPerChunk
    var left = chunks[chunk].seen
    while left != 0 {
      let island = left.trailingZeroBitCount
      left &= left - 1
      let count = counts[first + island] * factor
      counts[first + island] = count < IslandRates.forgotten ? 0 : count
      if count < IslandRates.forgotten {
        chunks[chunk].seen &= ~(1 << UInt64(island))
        chunks[chunk].samples = max(0, chunks[chunk].samples - count)
      }
    }
  }
}
