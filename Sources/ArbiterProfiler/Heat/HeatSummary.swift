// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMetrics

/// What can be said of one band in numbers.
public struct HeatSummary: Sendable {
  /// A range of positions and the share of the band's weight that is in it.
  public struct Range: Sendable, Hashable {
    /// The position of its first byte.
    public var start: UInt64
    /// Its size.
    public var byteCount: UInt64
    /// The share of the band's weight.
    public var share: Double
  }

  /// The size of the range that ``hottest`` looks for: a huge page.
  public static let hottestBytes: UInt64 = 2 << 20

  /// What the band is.
  public var info: HeatBandInfo
  /// Its sums.
  public var totals: HeatTotals
  /// Its share of all weight, bands that were not kept included.
  public var share: Double
  /// From the first byte that was touched to the last, to a bin's width.
  public var extentBytes: UInt64
  /// Bytes of the bins that were touched.
  public var touchedBytes: UInt64
  /// The width of these bins.
  public var binBytes: UInt64
  /// The hottest ``hottestBytes``.
  public var hottest: Figure<Range>
  /// The share of the band's weight in the hottest tenth of the bins that were touched.
  public var hottestTenthShare: Double
}

/// The grid of one band.
public struct HeatGrid: Sendable {
  /// The position of the first row's first byte.
  public var start: UInt64
  /// Bytes of a row.
  public var rowBytes: UInt64
  /// Weights of each row by column, the lowest row first; nil of rows that were not touched.
  public var rows: [[Double]?]
}

extension HeatMap {
  /// What everything weighs that was added.
  public var totals: HeatTotals {
    bands.reduce(into: others) { $0.add($1.totals) }
  }

  /// When the first column begins, in nanoseconds.
  public var startNanoseconds: UInt64 { timeAxis.bins.lowerBound << timeAxis.shift }

  /// Columns in use.
  public var columnCount: Int { timeAxis.bins.count }

  /// Numbers of the bands, the hottest first.
  public var hottestFirst: [UInt64] {
    bands.sorted {
      ($1.totals.weight, $0.info.base, $0.id) < ($0.totals.weight, $1.info.base, $1.id)
    }
    .map(\.id)
  }

  /// The grid of a band; nil of one that is not kept.
  public func grid(of id: UInt64) -> HeatGrid? {
    guard let band = bands.first(where: { $0.id == id }) else { return nil }
    let axis = band.rowAxis
    let columns = timeAxis.bins
    let rows = axis.bins.map { bin -> [Double]? in
      let slot = band.slots[axis.place(of: bin)]
      guard slot >= 0 else { return nil }
      let start = Int(slot) * limits.columnCountMax
      return columns.map { cells[start + timeAxis.place(of: $0)] }
    }
    return HeatGrid(
      start: axis.bins.lowerBound << axis.shift, rowBytes: axis.binWidth, rows: rows)
  }

  /// The numbers of a band; nil of one that is not kept.
  public func summary(of id: UInt64) -> HeatSummary? {
    guard let band = bands.first(where: { $0.id == id }) else { return nil }
    let axis = band.fineAxis
    let weights = axis.bins.map { band.fine[axis.place(of: $0)] }
    let touched = weights.filter { $0 > 0 }.sorted(by: >)
    let tenth = touched.prefix((touched.count + 9) / 10).reduce(0, +)
    let all = totals.weight
    let sum = band.totals.weight
    return HeatSummary(
      info: band.info, totals: band.totals, share: all > 0 ? sum / all : 0,
      extentBytes: UInt64(weights.count) * axis.binWidth,
      touchedBytes: UInt64(touched.count) * axis.binWidth, binBytes: axis.binWidth,
      hottest: Self.hottest(weights, axis, of: sum),
      hottestTenthShare: sum > 0 ? min(1, tenth / sum) : 0)
  }

  private static func hottest(
    _ weights: [Double], _ axis: FoldingAxis, of sum: Double
  ) -> Figure<HeatSummary.Range> {
    let width = HeatSummary.hottestBytes
    guard axis.binWidth <= width else {
      return .unavailable(
        "the band is so long that its finest bins are \(axis.binWidth >> 20) MiB wide")
    }
    let window = Int(width / axis.binWidth)
    // Differences of running sums, so that nothing adds up but the sums.
    var sums = [0.0]
    for weight in weights { sums.append((sums.last ?? 0) + weight) }
    var best = (start: 0, weight: 0.0)
    for start in 0...max(0, weights.count - window) {
      let weight = sums[min(start + window, weights.count)] - sums[start]
      if weight > best.weight { best = (start, weight) }
    }
    return .known(
      HeatSummary.Range(
        start: (axis.bins.lowerBound + UInt64(best.start)) << axis.shift, byteCount: width,
        share: sum > 0 ? min(1, best.weight / sum) : 0))
  }
}
