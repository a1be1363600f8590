// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Islands of one chunk, as the bits of a word: bit n is the island n * 32 KiB into the chunk.
public struct IslandSet: OptionSet, Sendable, Hashable {
  /// The bits.
  public let rawValue: UInt64

  /// Makes a set from its bits.
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The set of one island, 0 to 63.
  @inlinable
  public init(island: Int) { self.init(rawValue: 1 << UInt64(island)) }

  /// The whole chunk.
  public static let all = IslandSet(rawValue: .max)

  /// How many islands there are.
  @inlinable
  public var count: Int { rawValue.nonzeroBitCount }

  /// Bytes of the islands.
  @inlinable
  public var bytes: Int { count * TierUnit.islandBytes }

  /// Calls the body with the number of each island, lowest first.
  @inlinable
  public func forEach(_ body: (Int) -> Void) {
    var left = rawValue
    while left != 0 {
      body(left.trailingZeroBitCount)
      left &= left - 1
    }
  }

  /// The islands as ranges of neighbours, lowest first, without allocating.
  @inlinable
  public func forEachRun(_ body: (Range<Int>) -> Void) {
    var left = rawValue
    while left != 0 {
      let start = left.trailingZeroBitCount
      let length = (~(left >> UInt64(start))).trailingZeroBitCount
      body(start..<start + length)
      left = start + length >= 64 ? 0 : left & (UInt64.max << UInt64(start + length))
    }
  }
}
