// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlacement

// A timer of every thread's CPU time, with the period that the policy asks for, draws accesses by
// the time that threads spend at them. Counters of loads from fast memory, of loads from slow
// memory and of stores each give a sample every so many events: accesses are drawn by their
// number. A scan finds a chunk's accessed bit set if there was any access since the scan before.

/// Draws samples from what the threads do.
struct TierSampler {
  private var random: SeededRandom
  private var loadsOfFast = 0.0
  private var loadsOfSlow = 0.0
  private var stores = 0.0
  private var sinceScan: [(mix: AccessMix, accesses: Double)] = []

  init(seed: UInt64) { random = SeededRandom(seed: seed, stream: 21) }

  /// Draws the samples of a timer during a quantum: `count` of them on average, each of a weight
  /// that is the period.
  mutating func drawByTime(
    count: Double, weight: Float, _ mix: AccessMix, _ costs: [PartCost], _ flow: TierFlow,
    slow: [UInt64], _ body: (TierSample) -> Void
  ) {
    // Drawn by number of accesses first, then kept with a chance that grows with their time.
    let times = costs.map {
      (fast: flow.nanoseconds($0, in: .fast), slow: flow.nanoseconds($0, in: .slow))
    }
    let most = times.map { max($0.fast, $0.slow) }.max() ?? 1
    for _ in 0..<random.poisson(count) {
      // The bound only guards against shares that rounding has spoiled.
      for _ in 0..<10_000 {
        let index = part(mix)
        let part = mix.parts[index]
        let (chunk, island) = part.place(&random)
        let isSlow = slow[chunk] >> UInt64(island) & 1 == 1
        let time = isSlow ? times[index].slow : times[index].fast
        guard random.unit() * most < time else { continue }
        body(
          TierSample(
            chunk: Int32(chunk), island: UInt8(island),
            isStore: random.unit() < part.storeShare, weight: weight))
        break
      }
    }
  }

  /// Samples of the three counters during a quantum with so many accesses.
  mutating func drawByEvents(
    accesses: Double, period: Int, _ mix: AccessMix, _ costs: [PartCost], slow: [UInt64],
    _ body: (TierSample) -> Void
  ) {
    for (part, cost) in zip(mix.parts, costs) {
      loadsOfFast += accesses * part.share * part.loadShare * cost.fastShare
      loadsOfSlow += accesses * part.share * part.loadShare * (1 - cost.fastShare)
      stores += accesses * part.share * part.storeShare
    }
    let period = Double(period)
    while loadsOfFast >= period {
      loadsOfFast -= period
      draw(mix, by: \.loadShare, isStore: false, slow: slow, where: { !$0 }, body)
    }
    while loadsOfSlow >= period {
      loadsOfSlow -= period
      draw(mix, by: \.loadShare, isStore: false, slow: slow, where: { $0 }, body)
    }
    while stores >= period {
      stores -= period
      draw(mix, by: \.storeShare, isStore: true, slow: slow, where: { _ in true }, body)
    }
  }

  /// Notes accesses for the next scan.
  mutating func count(accesses: Double, _ mix: AccessMix) {
    if sinceScan.last?.mix.version == mix.version {
      sinceScan[sinceScan.count - 1].accesses += accesses
    } else {
      sinceScan.append((mix, accesses))
    }
  }

  /// Draws which chunks' accessed bits are set, and clears them.
  mutating func scan(chunkCount: Int, _ body: (Int) -> Void) {
    var expected = [Double](repeating: 0, count: chunkCount)
    for (mix, accesses) in sinceScan {
      for part in mix.parts {
        for chunk in part.chunks {
          expected[chunk] += accesses * part.share * part.weight(ofChunk: chunk, islands: .max)
        }
      }
    }
    sinceScan.removeAll(keepingCapacity: true)
    for (chunk, count) in expected.enumerated()
    where count > 0 && random.unit() >= PortableMath.exp(-count) {
      body(chunk)
    }
  }

  private mutating func draw(
    _ mix: AccessMix, by kind: KeyPath<AccessPart, Double>, isStore: Bool, slow: [UInt64],
    where isWanted: (Bool) -> Bool, _ body: (TierSample) -> Void
  ) {
    for _ in 0..<100_000 {
      let part = mix.parts[part(mix)]
      guard random.unit() < part[keyPath: kind] else { continue }
      let (chunk, island) = part.place(&random)
      guard isWanted(slow[chunk] >> UInt64(island) & 1 == 1) else { continue }
      body(
        TierSample(
          chunk: Int32(chunk), island: UInt8(island), isStore: isStore, weight: 1))
      return
    }
  }

  /// Draws a part by its share.
  private mutating func part(_ mix: AccessMix) -> Int {
    var wanted = random.unit()
    for (index, part) in mix.parts.enumerated() {
      wanted -= part.share
      if wanted < 0 { return index }
    }
    return mix.parts.count - 1
  }
}
