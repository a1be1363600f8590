// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
package import ArbiterMemory

/// Every line of a working set once, in an order without pattern, and again in that order.
///
/// Computed and not stored, so that a chain needs no memory beside what it visits and leaves what
/// lies there as it is.
package struct LineOrder: Sendable {
  private let mask: UInt64
  private let shift: UInt64

  /// Makes the order of as many lines.
  ///
  /// - Precondition: `lineCount` is a power of two.
  package init(lineCount: Int) {
    precondition(lineCount > 0 && lineCount.nonzeroBitCount == 1, "lines are no power of two")
    mask = UInt64(lineCount) - 1
    shift = UInt64(lineCount.trailingZeroBitCount + 1) / 2
  }

  /// The line at a place of the order; places beyond the last begin again.
  @inline(__always)
  package func line(at place: UInt64) -> UInt64 {
    // Odd factors and shifts to the right can be undone, so that no two places meet.
    var value = (place &* 0x9E37_79B9_7F4A_7C15 &+ 0x632B_E59B_D9B4_E019) & mask
    value ^= value >> shift
    value = (value &* 0xBF58_476D_1CE4_E5B9) & mask
    return value ^ value >> shift
  }
}

/// What measurements store: of every line one can tell whether it is right.
package struct LinePattern: Sendable {
  private let words: SIMD8<UInt64>

  /// Makes the pattern of a seed.
  package init(seed: UInt64) {
    var random = SeededRandom(seed: seed, stream: 0x6D65_6173)
    var words = SIMD8<UInt64>()
    for index in 0..<8 { words[index] = random.next() }
    self.words = words
  }

  /// What belongs into the line at an offset of the region.
  @inline(__always)
  package func line(at offset: Int) -> CacheLine {
    CacheLine(words: words ^ SIMD8(repeating: UInt64(truncatingIfNeeded: offset)))
  }
}
