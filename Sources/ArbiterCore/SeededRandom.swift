// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A small, fast and repeatable source of random numbers (SplitMix64, Steele et al., OOPSLA 2014).
///
/// The same seed gives the same numbers on every machine. Not for secrets.
@frozen
public struct SeededRandom: RandomNumberGenerator, Sendable {
  @usableFromInline var state: UInt64

  /// Makes a source from a seed; `stream` separates independent users of one seed.
  @inlinable
  public init(seed: UInt64, stream: UInt64 = 0) {
    state = seed &+ stream &* 0xD134_2543_DE82_EF95
    // Neighbouring seeds start far apart once the state has been mixed.
    state = next()
  }

  /// Returns the next 64 random bits.
  ///
  /// - Complexity: O(1), about 1 ns.
  @inlinable @inline(__always)
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// Returns a number in `0..<bound` (multiply-shift; bias below `bound` / 2^32).
  ///
  /// - Precondition: `bound` is at least 1 and below 2^32.
  @inlinable @inline(__always)
  public mutating func below(_ bound: Int) -> Int {
    Int(truncatingIfNeeded: ((next() >> 32) &* UInt64(truncatingIfNeeded: bound)) >> 32)
  }

  /// Returns a number in `-range...range`.
  ///
  /// - Precondition: `range` is at least 0 and below 2^31.
  @inlinable @inline(__always)
  public mutating func symmetric(_ range: Int64) -> Int64 {
    let span = UInt64(truncatingIfNeeded: range &* 2 &+ 1)
    return Int64(truncatingIfNeeded: ((next() >> 32) &* span) >> 32) &- range
  }
}
