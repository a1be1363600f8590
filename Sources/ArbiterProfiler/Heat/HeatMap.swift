// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// Where a program's accesses went, and when: a grid of address by time for each mapping.
//
// Neither how long a program runs nor how far its addresses reach is known at the start. Columns
// (time) are shared by all bands (mappings) and double in width when they are full; each band has
// rows of its own width, which double likewise. Only rows that were touched take memory.
//
//   I1  The sum over the cells of a band is the band's weight; the sum over bands and others is the
//       weight of everything that was added. Folding moves weights and drops none.
//   I2  Widths of bins follow from the lowest and the highest position and time alone, so that the
//       order of additions does not matter, unless the rows of all bands together exceed their
//       budget or there are more bands than the map keeps.
//   I3  Memory is bounded by `Limits`, whatever comes.
//
// Beyond the budget of rows, every band is left half as many rows; beyond that of bands, the
// coldest one is dissolved: its weight goes to the others, its grid is dropped.

/// A bounded grid of address by time for each mapping.
public struct HeatMap: Sendable {
  /// How large a map may become.
  public struct Limits: Sendable, Hashable {
    /// Columns, a power of two.
    public var columnCountMax = 256
    /// Rows of a band, a power of two.
    public var rowCountMax = 256
    /// Rows of all bands that are kept in any case when rows are short, a power of two.
    public var rowCountMin = 16
    /// Rows of all bands together; at least one band more than bands times ``rowCountMin``.
    public var rowBudget = 1024
    /// Bands.
    public var bandCountMax = 48
    /// Fine bins of a band, which know no time, a power of two.
    public var fineBinCountMax = 4096
    /// The least width of a bin, a power of two.
    public var leastBinBytes: UInt64 = 64
    /// The least width of a column, a power of two.
    public var leastColumnNanoseconds: UInt64 = 1

    /// The limits of the tool: less than 4 MiB.
    public init() {}

    /// Bytes that a full map takes.
    public var byteCountMax: Int {
      let cells = columnCountMax * (rowBudget + 1) + bandCountMax * (fineBinCountMax + 1)
      return cells * 8 + (bandCountMax * (rowCountMax + 128) + rowBudget) * 4
    }
  }

  /// The limits.
  public let limits: Limits
  /// Time, in nanoseconds.
  public private(set) var timeAxis: FoldingAxis
  /// What went to bands that are not kept.
  public private(set) var others = HeatTotals()
  /// Bands that are not kept.
  public private(set) var dissolvedCount: UInt64 = 0
  /// Accesses that no grid can hold, such as those that wrap around the end of memory.
  public private(set) var refusedCount: UInt64 = 0

  private(set) var bands: [HeatBand] = []
  private(set) var cells: [Double] = []
  private var indices: [UInt64: Int] = [:]
  private var freeSlots: [Int32] = []
  private var rowCountMax: Int

  /// Makes an empty map.
  public init(limits: Limits = Limits()) {
    precondition(
      limits.rowBudget > limits.bandCountMax * limits.rowCountMin,
      "\(limits.rowBudget) rows for \(limits.bandCountMax) bands")
    precondition(limits.rowCountMin <= limits.rowCountMax, "least rows \(limits.rowCountMin)")
    self.limits = limits
    timeAxis = FoldingAxis(
      placeCount: limits.columnCountMax, binWidth: limits.leastColumnNanoseconds)
    rowCountMax = limits.rowCountMax
  }

  /// Adds a run of accesses to a band.
  ///
  /// - Parameters:
  ///   - run: The accesses, positions as in the band's description.
  ///   - id: The band's number, of the caller's choice.
  ///   - describe: Describes a band that the map does not have.
  /// - Complexity: O(columns × rows) that the run touches, not in its accesses.
  public mutating func add(_ run: HeatRun, to id: UInt64, describe: () -> HeatBandInfo) {
    guard let (low, high) = run.extent, run.weightPerByte > 0, run.weightPerByte.isFinite,
      run.spanNanoseconds < 1 << 62, run.timeNanoseconds < 1 << 62
    else {
      refusedCount += 1
      return
    }
    let index = indices[id] ?? open(id, describe())
    bands[index].totals.add(
      run, weight: Double(run.length) * Double(run.count) * run.weightPerByte)
    bands[index].addFine(run, low: low, high: high)
    fit(run.timeNanoseconds, run.lastNanoseconds)
    fit(low, high, in: index)
    let columns = timeAxis.bin(of: run.timeNanoseconds)...timeAxis.bin(of: run.lastNanoseconds)
    guard columns.count > 1 else {
      return add(run, low: low, high: high, column: columns.lowerBound, index: index)
    }
    var done: UInt64 = 0
    for column in columns {
      let upTo = run.countBefore((column + 1) << timeAxis.shift)
      guard upTo > done else { continue }
      let part = run.part(done..<upTo)
      done = upTo
      guard let extent = part.extent else { continue }
      add(part, low: extent.low, high: extent.high, column: column, index: index)
    }
  }

  /// Adds a run to what has no band of its own.
  public mutating func addToOthers(_ run: HeatRun) {
    guard run.extent != nil, run.weightPerByte > 0, run.weightPerByte.isFinite else {
      refusedCount += 1
      return
    }
    others.add(run, weight: Double(run.length) * Double(run.count) * run.weightPerByte)
  }

  /// Describes a band anew, as where a mapping has grown.
  public mutating func describe(_ id: UInt64, as info: HeatBandInfo) {
    if let index = indices[id] { bands[index].info = info }
  }

  // MARK: Cells

  /// Adds what began in one column.
  private mutating func add(
    _ run: HeatRun, low: UInt64, high: UInt64, column: UInt64, index: Int
  ) {
    reserve(low, high, run, index: index)
    let axis = bands[index].rowAxis
    let place = timeAxis.place(of: column)
    axis.spread(run, low: low, high: high) { bin, weight in
      let row = axis.place(of: bin)
      if bands[index].slots[row] < 0 { bands[index].slots[row] = takeSlot() }
      cells[Int(bands[index].slots[row]) * limits.columnCountMax + place] += weight
    }
  }

  private var freeRowCount: Int {
    limits.rowBudget - cells.count / limits.columnCountMax + freeSlots.count
  }

  /// Makes sure that there is a row for every bin that the run touches.
  private mutating func reserve(_ low: UInt64, _ high: UInt64, _ run: HeatRun, index: Int) {
    while freeRowCount < rowCountMax, rowCountMax > limits.rowCountMin {
      let band = bands[index]
      var missing = 0
      band.rowAxis.spread(run, low: low, high: high) { bin, _ in
        if band.slots[band.rowAxis.place(of: bin)] < 0 { missing += 1 }
      }
      guard missing > freeRowCount else { return }
      rowCountMax /= 2
      for index in bands.indices { foldRows(of: index, to: bands[index].rowAxis.halved()) }
    }
  }

  private mutating func takeSlot() -> Int32 {
    if let slot = freeSlots.popLast() { return slot }
    let slot = cells.count / limits.columnCountMax
    precondition(slot < limits.rowBudget, "a row beyond the budget")
    cells.append(contentsOf: repeatElement(0, count: limits.columnCountMax))
    return Int32(slot)
  }

  private mutating func giveBack(_ slot: Int32) {
    let start = Int(slot) * limits.columnCountMax
    for cell in start..<start + limits.columnCountMax { cells[cell] = 0 }
    freeSlots.append(slot)
  }

  // MARK: Folding

  /// Makes columns wide enough for times.
  private mutating func fit(_ first: UInt64, _ last: UInt64) {
    let wider = timeAxis.including(first, last)
    defer { timeAxis = wider }
    let factor = wider.shift - timeAxis.shift
    guard factor > 0 else { return }
    let count = limits.columnCountMax
    var folded = [Double](repeating: 0, count: count)
    for start in stride(from: 0, to: cells.count, by: count) {
      for column in timeAxis.bins {
        folded[wider.place(of: column >> factor)] += cells[start + timeAxis.place(of: column)]
      }
      for place in 0..<count {
        cells[start + place] = folded[place]
        folded[place] = 0
      }
    }
  }

  /// Makes the rows of a band wide enough for positions.
  private mutating func fit(_ low: UInt64, _ high: UInt64, in index: Int) {
    let axis = bands[index].rowAxis
    let wider = axis.including(low, high)
    if wider.shift == axis.shift {
      bands[index].rowAxis = wider
    } else {
      foldRows(of: index, to: wider)
    }
  }

  private mutating func foldRows(of index: Int, to wider: FoldingAxis) {
    let axis = bands[index].rowAxis
    let old = bands[index].slots
    var slots = [Int32](repeating: -1, count: wider.placeCount)
    for bin in axis.bins where old[axis.place(of: bin)] >= 0 {
      let slot = old[axis.place(of: bin)]
      let place = wider.place(of: bin >> (wider.shift - axis.shift))
      guard slots[place] >= 0 else {
        slots[place] = slot
        continue
      }
      let (from, to) = (
        Int(slot) * limits.columnCountMax, Int(slots[place]) * limits.columnCountMax
      )
      for column in 0..<limits.columnCountMax { cells[to + column] += cells[from + column] }
      giveBack(slot)
    }
    bands[index].slots = slots
    bands[index].rowAxis = wider
  }

  // MARK: Bands

  private mutating func open(_ id: UInt64, _ info: HeatBandInfo) -> Int {
    let band = HeatBand(id: id, info: info, limits: limits, rowCountMax: rowCountMax)
    guard bands.count == limits.bandCountMax else {
      bands.append(band)
      indices[id] = bands.count - 1
      return bands.count - 1
    }
    var coldest = 0
    for index in bands.indices where bands[index].totals.weight < bands[coldest].totals.weight {
      coldest = index
    }
    for slot in bands[coldest].slots where slot >= 0 { giveBack(slot) }
    others.add(bands[coldest].totals)
    dissolvedCount += 1
    indices[bands[coldest].id] = nil
    bands[coldest] = band
    indices[id] = coldest
    return coldest
  }
}
