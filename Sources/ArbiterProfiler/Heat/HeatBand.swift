// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a band of a heat map is: one mapping of a process, or one region of a recording.
public struct HeatBandInfo: Sendable, Hashable {
  /// What people call it: a file's path, or a name in brackets.
  public var name: String
  /// The position of its first byte; offsets are shown from here.
  public var base: UInt64
  /// Its size; nil where that is not known.
  public var byteCount: UInt64?

  /// Makes a description.
  public init(name: String, base: UInt64, byteCount: UInt64?) {
    self.name = name
    self.base = base
    self.byteCount = byteCount
  }
}

/// Sums over accesses.
public struct HeatTotals: Sendable, Hashable {
  /// Runs of accesses, or samples.
  public var entryCount: UInt64 = 0
  /// What all accesses weigh.
  public var weight = 0.0
  /// What those weigh that write; a read-modify-write is here and in ``loadWeight``.
  public var storeWeight = 0.0
  /// What those weigh that read.
  public var loadWeight = 0.0
  /// When the first began, in nanoseconds; nil without any.
  public var firstNanoseconds: UInt64?
  /// When the last began.
  public var lastNanoseconds: UInt64 = 0

  /// Makes sums over nothing.
  public init() {}

  mutating func add(_ run: HeatRun, weight: Double) {
    entryCount += 1
    self.weight += weight
    if run.isStore { storeWeight += weight }
    if run.isLoad { loadWeight += weight }
    firstNanoseconds = min(firstNanoseconds ?? .max, run.timeNanoseconds)
    lastNanoseconds = max(lastNanoseconds, run.lastNanoseconds)
  }

  mutating func add(_ other: HeatTotals) {
    entryCount += other.entryCount
    weight += other.weight
    storeWeight += other.storeWeight
    loadWeight += other.loadWeight
    if let first = other.firstNanoseconds {
      firstNanoseconds = min(firstNanoseconds ?? .max, first)
    }
    lastNanoseconds = max(lastNanoseconds, other.lastNanoseconds)
  }
}

/// One band of a heat map, as far as addresses go: its grid's rows lie with the map.
struct HeatBand: Sendable {
  let id: UInt64
  var info: HeatBandInfo
  var totals = HeatTotals()
  /// The rows of the grid.
  var rowAxis: FoldingAxis
  /// Where each row's cells are, by its place; -1 of rows that were not touched.
  var slots: [Int32]
  /// Addresses alone, in finer bins than the grid's.
  var fineAxis: FoldingAxis
  var fine: [Double]

  init(id: UInt64, info: HeatBandInfo, limits: HeatMap.Limits, rowCountMax: Int) {
    self.id = id
    self.info = info
    rowAxis = FoldingAxis(placeCount: rowCountMax, binWidth: limits.leastBinBytes)
    slots = Array(repeating: -1, count: rowCountMax)
    fineAxis = FoldingAxis(placeCount: limits.fineBinCountMax, binWidth: limits.leastBinBytes)
    fine = Array(repeating: 0, count: limits.fineBinCountMax)
  }

  /// Adds a run to the fine bins.
  mutating func addFine(_ run: HeatRun, low: UInt64, high: UInt64) {
    let wider = fineAxis.including(low, high)
    if wider.shift != fineAxis.shift {
      var folded = [Double](repeating: 0, count: fine.count)
      for bin in fineAxis.bins {
        folded[wider.place(of: bin >> (wider.shift - fineAxis.shift))] +=
          fine[fineAxis.place(of: bin)]
      }
      fine = folded
    }
    fineAxis = wider
    let axis = wider
    axis.spread(run, low: low, high: high) { bin, weight in
      fine[axis.place(of: bin)] += weight
    }
  }
}

extension FoldingAxis {
  /// Calls the body with every bin that the run touches and what the run weighs there.
  ///
  /// - Complexity: O(*n*) in bins from `low` to `high`, not in accesses.
  func spread(_ run: HeatRun, low: UInt64, high: UInt64, _ body: (UInt64, Double) -> Void) {
    let first = bin(of: low)
    let last = bin(of: high)
    let scale = run.weightPerByte
    guard first < last else {
      return body(first, Double(run.length) * Double(run.count) * scale)
    }
    var below = 0.0
    for bin in first...last {
      // The end of the last bin may not be a number.
      let upTo = bin == last ? high + 1 : (bin + 1) << shift
      let sum = run.bytesBelow(upTo)
      if sum > below { body(bin, (sum - below) * scale) }
      below = sum
    }
  }
}
