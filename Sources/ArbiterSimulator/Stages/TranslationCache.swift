// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The translations that a module has at hand. A module moves its data about to level wear, so every
// access to the medium goes through a table of 4 KiB blocks, which lies in memory on the module; a
// part of it is cached. The cache is that of NVLeak (USENIX Security'23): 16 MiB of blocks in sets of
// 16, chosen by the low bits of the block, the least recent gives way.
//
// Invariant T1: the blocks of a set are distinct and lie in the order of their last use.

internal import ArbiterCore

/// The translation cache of one module.
package struct TranslationCache: ~Copyable {
  /// Marks a way that holds nothing.
  private static let empty = UInt64.max

  private let ways: Int
  private let setMask: UInt64
  private let isPresent: Bool
  /// The ways of every set, the latest used first.
  private let blocks: FixedArray<UInt64>

  /// Makes an empty cache.
  ///
  /// The number of sets is rounded down to a power of two.
  package init(blocks: Int, ways: Int) {
    isPresent = blocks > 0
    self.ways = min(ways, max(blocks, 1))
    var sets = 1
    while sets * 2 * self.ways <= blocks { sets *= 2 }
    setMask = UInt64(sets - 1)
    self.blocks = FixedArray(count: sets * self.ways) { _ in Self.empty }
  }

  /// Looks a media block up and keeps its translation.
  ///
  /// - Returns: Whether the translation was at hand; always where the module has no such cache.
  @inline(__always)
  package func use(mediaBlock: UInt64) -> Bool {
    if !isPresent { return true }
    let block = mediaBlock >> 4
    let first = Int(truncatingIfNeeded: block & setMask) &* ways
    // Neighbours share a translation: most look-ups end here.
    return blocks[first] == block || promote(block, in: first)
  }

  /// Moves a block to the front of its set; where it was not there, the last one leaves.
  @inline(never)
  private func promote(_ block: UInt64, in first: Int) -> Bool {
    var carried = block
    for way in first..<first &+ ways {
      let held = blocks[way]
      blocks[way] = carried
      if held == block { return true }
      carried = held
    }
    return false
  }
}
