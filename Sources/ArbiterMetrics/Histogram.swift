// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// A log-linear histogram in the manner of HdrHistogram: each power of two is cut into 32 equal
// parts, so that a recorded value is known to within 1/32 (3.1 %) over the whole range. Space is
// fixed at set-up, recording is a shift and an increment.

internal import ArbiterCore

/// Counts of non-negative integers with a relative precision of 1/32.
///
/// Recording never allocates. Values above 2^48 are counted in the highest cell; ``maximum`` stays
/// exact.
public struct Histogram: ~Copyable, Sendable {
  private static let partBits = 5
  private static let parts = 1 << partBits
  private static let powers = 48

  private let cells: FixedArray<UInt64>
  private static let cellCount = (powers + 1) * parts

  /// How many values were recorded.
  public private(set) var count: UInt64 = 0

  /// The largest recorded value; 0 where nothing was recorded.
  public private(set) var maximum: UInt64 = 0

  /// The sum of the recorded values, wrapping beyond 2^64.
  public private(set) var sum: UInt64 = 0

  /// Makes an empty histogram; the only allocation of its life (about 12 KiB).
  public init() {
    cells = FixedArray(count: Self.cellCount) { _ in 0 }
  }

  @inline(__always)
  private static func cell(of value: UInt64) -> Int {
    if value < UInt64(parts) { return Int(truncatingIfNeeded: value) }
    let power = 63 - value.leadingZeroBitCount
    let shift = power - partBits
    let part = Int(truncatingIfNeeded: value >> UInt64(truncatingIfNeeded: shift)) - parts
    return min((shift + 1) * parts + part, cellCount - 1)
  }

  /// The largest value that falls in a cell.
  private static func upperBound(ofCell cell: Int) -> UInt64 {
    if cell < parts { return UInt64(cell) }
    let shift = UInt64(cell / parts - 1)
    let part = UInt64(cell % parts + parts)
    return ((part + 1) << shift) - 1
  }

  /// Counts one value.
  ///
  /// - Complexity: O(1), a few nanoseconds, no allocation.
  @inline(__always)
  public mutating func record(_ value: UInt64) {
    cells[Self.cell(of: value)] &+= 1
    count &+= 1
    sum &+= value
    if value > maximum { maximum = value }
  }

  /// Forgets everything that was recorded.
  public mutating func reset() {
    for cell in 0..<Self.cellCount { cells[cell] = 0 }
    count = 0
    maximum = 0
    sum = 0
  }

  /// Adds the counts of another histogram.
  public mutating func merge(_ other: borrowing Histogram) {
    for cell in 0..<Self.cellCount { cells[cell] &+= other.cells[cell] }
    count &+= other.count
    sum &+= other.sum
    maximum = max(maximum, other.maximum)
  }

  /// The arithmetic mean, or nil where nothing was recorded.
  public var mean: Double? { count == 0 ? nil : Double(sum) / Double(count) }

  /// The smallest value that at least the given share of the recorded values do not exceed.
  ///
  /// - Parameter share: Between 0 and 1.
  /// - Returns: An upper bound that is at most 1/32 above the true value and never above
  ///   ``maximum``; nil where nothing was recorded.
  public func quantile(_ share: Double) -> UInt64? {
    precondition(share >= 0 && share <= 1, "quantile share out of range")
    guard count > 0 else { return nil }
    let wanted = max(1, UInt64((share * Double(count)).rounded(.up)))
    var seen: UInt64 = 0
    for cell in 0..<Self.cellCount {
      seen += cells[cell]
      if seen >= wanted { return min(Self.upperBound(ofCell: cell), maximum) }
    }
    return maximum
  }
}
