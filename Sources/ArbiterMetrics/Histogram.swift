// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// A log-linear histogram in the manner of HdrHistogram: each power of two is cut into 32 equal
// parts, so that a recorded value is known to within 1/32 (3.1 %) over the whole range. Space is
// fixed at set-up, recording is a shift and an increment.

public import ArbiterCore

/// Counts of non-negative integers with a relative precision of 1/32.
///
/// Recording never allocates. Values above 2^48 are counted in the highest cell; ``maximum`` stays
/// exact.
@frozen
public struct Histogram: ~Copyable, Sendable {
  @inlinable static var partBits: Int { 5 }
  @inlinable static var parts: Int { 1 << partBits }
  @inlinable static var powers: Int { 48 }

  @usableFromInline let cells: FixedArray<UInt64>
  @inlinable static var cellCount: Int { (powers + 1) * parts }

  @usableFromInline var recorded: UInt64 = 0
  @usableFromInline var largest: UInt64 = 0
  @usableFromInline var total: UInt64 = 0

  /// How many values were recorded.
  public var count: UInt64 { recorded }

  /// The largest recorded value; 0 where nothing was recorded.
  public var maximum: UInt64 { largest }

  /// The sum of the recorded values, wrapping beyond 2^64.
  public var sum: UInt64 { total }

  /// Makes an empty histogram; the only allocation of its life (about 12 KiB).
  public init() {
    cells = FixedArray(count: Self.cellCount) { _ in 0 }
  }

  /// Makes a histogram of counts that were kept elsewhere, in the same cells.
  ///
  /// - Parameters:
  ///   - cellCounts: One count per cell, from the cell of 0 up; cells that are missing count 0.
  ///   - sum: The sum of the recorded values.
  ///   - maximum: The largest recorded value.
  public init(cellCounts: [UInt64], sum: UInt64, maximum: UInt64) {
    precondition(cellCounts.count <= Self.cellCount, "more cells than a histogram has")
    cells = FixedArray(count: Self.cellCount) { $0 < cellCounts.count ? cellCounts[$0] : 0 }
    recorded = cellCounts.reduce(0, &+)
    total = sum
    largest = maximum
  }

  @inlinable @inline(__always)
  static func cell(of value: UInt64) -> Int {
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
  @inlinable @inline(__always)
  public mutating func record(_ value: UInt64) {
    cells[Self.cell(of: value)] &+= 1
    recorded &+= 1
    total &+= value
    if value > largest { largest = value }
  }

  /// Forgets everything that was recorded.
  public mutating func reset() {
    for cell in 0..<Self.cellCount { cells[cell] = 0 }
    recorded = 0
    largest = 0
    total = 0
  }

  /// Adds the counts of another histogram.
  public mutating func merge(_ other: borrowing Histogram) {
    for cell in 0..<Self.cellCount { cells[cell] &+= other.cells[cell] }
    recorded &+= other.recorded
    total &+= other.total
    largest = max(largest, other.largest)
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
