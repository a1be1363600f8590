// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement

// Memory Mode: all data lies in slow memory, and fast memory is a direct-mapped cache of lines of
// 64 B, which the program's pages meet at random (pages of 4 KiB, each at any of the cache's page
// slots with the same chance, independently of the others).
//
// Random accesses follow the independent-reference model: in a slot that other pages share, a line
// of rate r is the one that is cached with probability r / (r + R), where R is the sum of the
// others' rates. Over random placements its mean is
//
//   h(r) = integral over s > 0 of r e^(-sr) G(s)
//   G(s) = exp(-sum over classes n (1 - e^(-sr)) / M)
//
// with n pages of each rate and M page slots, since a page shares the slot with chance 1/M.
//
// Sequential passes come back to a line after everything else of the pass: the line is still there
// only if no other page of the pass shares its slot and no random access met the slot meanwhile.

/// How many accesses the cache answers.
package struct MemoryModeCache {
  /// Pages of one rate: accesses to a line of theirs, per access of the program.
  package struct PageClass {
    package var lineRate: Double
    package var pageCount: Double
    /// Share of each part's accesses that falls on these pages.
    package var partShares: [Double]

    /// Makes a class.
    package init(lineRate: Double, pageCount: Double, partShares: [Double]) {
      self.lineRate = lineRate
      self.pageCount = pageCount
      self.partShares = partShares
    }
  }

  private static let pageBytes = 4096
  private static let linesPerPage = 64.0

  /// Page slots of the cache.
  let slotCount: Double

  /// Makes the model of a cache.
  package init(fastBytes: Int) { slotCount = max(1, Double(fastBytes / Self.pageBytes)) }

  /// Share of each part's accesses that hit, once the cache holds what it will hold.
  func hitShares(_ mix: AccessMix, chunkCount: Int) -> [Double] {
    let (classes, passes) = classes(mix, chunkCount: chunkCount)
    var hits = [Double](repeating: 0, count: mix.parts.count)
    for (index, part) in mix.parts.enumerated() where part.isSequential {
      let pages = Double(part.passBytes / Self.pageBytes)
      let period = part.share > 0 ? pages * Self.linesPerPage / part.share : 0
      hits[index] = PortableMath.exp(-pages / slotCount) * stillness(classes, for: period)
    }
    let all = classes + passes
    for own in classes where own.lineRate > 0 {
      let hit = hitShare(of: own.lineRate, among: all)
      for (index, share) in own.partShares.enumerated() where share > 0 {
        hits[index] += share * hit
      }
    }
    return hits.map { min(1, $0) }
  }

  /// The chance that nobody else touches a slot for some accesses of the program.
  private func stillness(_ classes: [PageClass], for accesses: Double) -> Double {
    var exponent = 0.0
    for other in classes {
      exponent += other.pageCount * (1 - PortableMath.exp(-accesses * other.lineRate))
    }
    return PortableMath.exp(-exponent / slotCount)
  }

  /// The mean over random placements of r / (r + R).
  package func hitShare(of rate: Double, among classes: [PageClass]) -> Double {
    // With s = e^u / r the integrand is smooth in u and vanishes outside of these bounds.
    let (from, to, steps) = (-12.0, 4.0, 160)
    let width = (to - from) / Double(steps)
    var sum = 0.0
    for step in 0...steps {
      let scaled = PortableMath.exp(from + width * Double(step))
      let edge = step == 0 || step == steps ? 0.5 : 1.0
      sum += edge * scaled * PortableMath.exp(-scaled) * stillness(classes, for: scaled / rate)
    }
    return min(1, sum * width)
  }

  /// Pages by rate, and the passes as pages of a rate of their own.
  private func classes(
    _ mix: AccessMix, chunkCount: Int
  ) -> (random: [PageClass], passes: [PageClass]) {
    var classes: [Int: PageClass] = [:]
    let pagesPerIsland = Double(TierUnit.islandBytes / Self.pageBytes)
    for group in IslandGroup.groups(mix, chunkCount: chunkCount, slow: nil) {
      let rates = zip(mix.parts, group.partWeights).map { part, weight in
        part.isSequential ? 0 : part.share * weight
      }
      let lineRate = rates.reduce(0, +) / (pagesPerIsland * Self.linesPerPage)
      guard lineRate > 0 else { continue }
      // Rates within 2 % of each other are taken for one.
      let key = Int((PortableMath.log(lineRate) * 50).rounded())
      let islands = Double(group.islands.nonzeroBitCount)
      var entry =
        classes[key]
        ?? PageClass(
          lineRate: lineRate, pageCount: 0, partShares: mix.parts.map { _ in 0 })
      entry.pageCount += islands * pagesPerIsland
      for (index, part) in mix.parts.enumerated() where !part.isSequential {
        entry.partShares[index] += group.partWeights[index] * islands
      }
      classes[key] = entry
    }
    let passes = mix.parts.filter { $0.isSequential && $0.share > 0 }.map { part in
      let pages = Double(part.passBytes / Self.pageBytes)
      return PageClass(
        lineRate: part.share / (pages * Self.linesPerPage), pageCount: pages,
        partShares: mix.parts.map { _ in 0 })
    }
    return (classes.keys.sorted().compactMap { classes[$0] }, passes)
  }

  /// Share of the evicted lines that were stored to: a line that is hit h of its accesses stays for
  /// a number of accesses that is geometric.
  package static func dirtyShare(hitShare: Double, storeShare: Double) -> Double {
    1 - (1 - hitShare) * (1 - storeShare) / (1 - hitShare * (1 - storeShare))
  }
}

/// Islands of a chunk that every part accesses alike.
struct IslandGroup {
  var chunk: Int
  var islands: UInt64
  /// Share of each part's accesses in one of the islands.
  var partWeights: [Double]

  /// All groups; where a placement is given, none lies in both memories.
  static func groups(
    _ mix: AccessMix, chunkCount: Int, slow: [UInt64]?
  ) -> [IslandGroup] {
    var groups: [IslandGroup] = []
    groups.reserveCapacity(chunkCount)
    for chunk in 0..<chunkCount {
      var sets: [UInt64] = [.max]
      if let slow { split(&sets, by: slow[chunk]) }
      for part in mix.parts where part.chunks.contains(chunk) {
        split(&sets, by: part.masks[chunk - part.chunks.lowerBound])
      }
      for islands in sets {
        groups.append(
          IslandGroup(
            chunk: chunk, islands: islands,
            partWeights: mix.parts.map { part in
              part.weight(ofChunk: chunk, islands: islands & (~islands &+ 1))
            }))
      }
    }
    return groups
  }

  private static func split(_ sets: inout [UInt64], by mask: UInt64) {
    guard mask != 0, mask != .max else { return }
    sets = sets.flatMap { set in [set & mask, set & ~mask].filter { $0 != 0 } }
  }
}
