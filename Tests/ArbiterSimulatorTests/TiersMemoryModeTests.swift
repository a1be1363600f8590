// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterSimulator
import Testing

/// A direct-mapped cache, line by line, under pages that lie at random slots.
private struct ExactCache {
  /// Few, so that every line is met many times: the number only scales the rates.
  static let linesPerPage = 4
  private var tags: [Int32]
  private let slotOfPage: [Int]

  init(slots: Int, pages: Int, random: inout SeededRandom) {
    tags = Array(repeating: -1, count: slots * Self.linesPerPage)
    slotOfPage = (0..<pages).map { _ in random.below(slots) }
  }

  /// Accesses a line; tells whether it was there.
  mutating func access(page: Int, line: Int) -> Bool {
    let place = slotOfPage[page] * Self.linesPerPage + line
    defer { tags[place] = Int32(page) }
    return tags[place] == Int32(page)
  }
}

@Suite struct `Memory Mode by formula` {
  @Test(arguments: [(64, 448), (128, 896), (32, 96), (256, 256)])
  func `hits are those of a cache that is played line by line`(_ hot: Int, _ cold: Int) {
    let slots = 256
    let hotShare = 0.9
    var (hits, counts) = ([0, 0], [0, 0])
    // The formula is a mean over placements of the pages.
    for seed in 1...10 as ClosedRange<UInt64> {
      var random = SeededRandom(seed: seed)
      var cache = ExactCache(slots: slots, pages: hot + cold, random: &random)
      for step in 0..<600_000 {
        let isHot = random.below(1000) < Int(hotShare * 1000)
        let page = isHot ? random.below(hot) : hot + random.below(cold)
        let isHit = cache.access(page: page, line: random.below(ExactCache.linesPerPage))
        guard step >= 200_000 else { continue }
        counts[isHot ? 0 : 1] += 1
        if isHit { hits[isHot ? 0 : 1] += 1 }
      }
    }
    let lines = Double(ExactCache.linesPerPage)
    let classes = [
      MemoryModeCache.PageClass(
        lineRate: hotShare / Double(hot) / lines, pageCount: Double(hot), partShares: []),
      MemoryModeCache.PageClass(
        lineRate: (1 - hotShare) / Double(cold) / lines, pageCount: Double(cold), partShares: []),
    ]
    let model = MemoryModeCache(fastBytes: slots * 4096)
    for (index, own) in classes.enumerated() {
      let exact = Double(hits[index]) / Double(counts[index])
      #expect(abs(model.hitShare(of: own.lineRate, among: classes) - exact) < 0.04)
    }
  }

  @Test func `evicted lines are dirty as often as a cache that is played says`() {
    var random = SeededRandom(seed: 5)
    let (hitShare, storeShare) = (0.7, 0.3)
    var (dirty, evictions) = (0, 0)
    var isDirty = false
    for _ in 0..<400_000 {
      if random.below(1000) >= Int(hitShare * 1000) {
        evictions += 1
        if isDirty { dirty += 1 }
        isDirty = false
      }
      if random.below(1000) < Int(storeShare * 1000) { isDirty = true }
    }
    let share = MemoryModeCache.dirtyShare(hitShare: hitShare, storeShare: storeShare)
    #expect(abs(share - Double(dirty) / Double(evictions)) < 0.01)
  }
}
