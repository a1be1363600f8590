// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// An axis of which neither the extent nor the scale is known beforehand.
///
/// Bins are powers of two wide and begin at multiples of their width. They double until all values
/// fit a fixed number of bins, so that the width in the end depends on the lowest and the highest
/// value alone, not on the order in which values came. A bin's place in storage is its number
/// modulo the number of places: growing towards either end moves nothing.
public struct FoldingAxis: Sendable, Hashable {
  /// Places, a power of two.
  public private(set) var placeCount: Int
  /// Bins are 2 to this power wide.
  public private(set) var shift: UInt64
  /// The lowest value; nil before the first.
  public private(set) var lowest: UInt64?
  /// The highest value.
  public private(set) var highest: UInt64 = 0

  /// Makes an axis without values.
  ///
  /// - Parameters:
  ///   - placeCount: The most bins; a power of two.
  ///   - binWidth: The least width of a bin; a power of two.
  public init(placeCount: Int, binWidth: UInt64) {
    precondition(placeCount > 0 && placeCount & (placeCount - 1) == 0, "places: \(placeCount)")
    precondition(binWidth > 0 && binWidth & (binWidth - 1) == 0, "width of a bin: \(binWidth)")
    self.placeCount = placeCount
    shift = UInt64(binWidth.trailingZeroBitCount)
  }

  /// Bytes or nanoseconds of a bin.
  public var binWidth: UInt64 { 1 << shift }

  /// The bins from the lowest value to the highest; none before the first.
  public var bins: Range<UInt64> {
    guard let lowest else { return 0..<0 }
    return lowest >> shift..<(highest >> shift) + 1
  }

  /// The bin of a value.
  public func bin(of value: UInt64) -> UInt64 { value >> shift }

  /// Where a bin is stored.
  public func place(of bin: UInt64) -> Int { Int(truncatingIfNeeded: bin) & (placeCount - 1) }

  /// What the axis becomes once values from `low` to `high` are on it.
  ///
  /// Only widths change places: the caller folds what it stores, from `bins` of the axis as it was.
  public func including(_ low: UInt64, _ high: UInt64) -> FoldingAxis {
    var axis = self
    axis.lowest = min(lowest ?? low, low)
    axis.highest = max(lowest == nil ? high : highest, high)
    axis.widen()
    return axis
  }

  /// The axis with half as many places.
  ///
  /// - Precondition: There is more than one.
  public func halved() -> FoldingAxis {
    precondition(placeCount > 1, "an axis keeps a place")
    var axis = self
    axis.placeCount /= 2
    axis.widen()
    return axis
  }

  private mutating func widen() {
    guard let lowest else { return }
    while highest >> shift - lowest >> shift >= UInt64(placeCount) { shift += 1 }
  }
}
