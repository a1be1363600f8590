// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Weights over address and time, one panel for each mapping, as far as they are to be seen.
///
/// Drawn as SVG by this module, as PNG by gnuplot, and as text for a terminal, all from the same
/// cells. Low addresses are at the bottom, so that what is written from front to back rises.
public struct HeatPicture: Sendable, Hashable {
  /// One mapping.
  public struct Panel: Sendable, Hashable {
    /// What people call it.
    public var name: String
    /// Facts that stand beside the name, such as its size and its share.
    public var facts: [String]
    /// Offset of the first row from the start of the mapping.
    public var startBytes: UInt64
    /// Bytes of a row.
    public var rowBytes: UInt64
    /// Weights by column, the lowest row first; nil of rows without any.
    public var rows: [[Double]?]

    /// Makes a panel.
    ///
    /// - Precondition: There is a row.
    public init(
      name: String, facts: [String], startBytes: UInt64, rowBytes: UInt64, rows: [[Double]?]
    ) {
      precondition(!rows.isEmpty, "a panel without rows")
      self.name = name
      self.facts = facts
      self.startBytes = startBytes
      self.rowBytes = rowBytes
      self.rows = rows
    }

    /// Bytes of all rows.
    var extentBytes: UInt64 { rowBytes * UInt64(rows.count) }

    /// Where labels of offsets count from: the mapping's start, or the panel's where that is so far
    /// away that labels would all look alike.
    var origin: UInt64 { startBytes / 64 > extentBytes ? startBytes : 0 }
  }

  /// What it shows, on one line.
  public var title: String
  /// What colours mean, as a sentence.
  public var meaning: String
  /// The unit of weights, as it stands in the legend.
  public var unit: String
  /// When the first column begins, in nanoseconds since the start.
  public var startNanoseconds: UInt64
  /// Nanoseconds of a column.
  public var columnNanoseconds: UInt64
  /// Columns of every panel.
  public var columnCount: Int
  /// The panels, the first one at the top.
  public var panels: [Panel]
  /// Sentences below.
  public var remarks: [String]

  /// Makes a picture.
  ///
  /// - Precondition: There is a column, and every row has all.
  public init(
    title: String, meaning: String, unit: String, startNanoseconds: UInt64,
    columnNanoseconds: UInt64, columnCount: Int, panels: [Panel], remarks: [String]
  ) {
    precondition(columnCount > 0, "a picture without columns")
    for row in panels.lazy.flatMap(\.rows).compactMap({ $0 }) {
      precondition(row.count == columnCount, "a row of \(row.count) in \(columnCount) columns")
    }
    self.title = title
    self.meaning = meaning
    self.unit = unit
    self.startNanoseconds = startNanoseconds
    self.columnNanoseconds = columnNanoseconds
    self.columnCount = columnCount
    self.panels = panels
    self.remarks = remarks
  }

  /// The picture with cells merged until there are few enough.
  ///
  /// - Parameters:
  ///   - columnsMax: The most columns.
  ///   - rowsMax: The most rows of each panel, by its number.
  /// - Returns: A picture with the same sums.
  public func reduced(columnsMax: Int, rowsMax: (Int) -> Int) -> HeatPicture {
    var picture = self
    let columnFactor = (columnCount + max(1, columnsMax) - 1) / max(1, columnsMax)
    picture.columnNanoseconds *= UInt64(columnFactor)
    picture.columnCount = (columnCount + columnFactor - 1) / columnFactor
    for (index, panel) in panels.enumerated() {
      let most = max(1, rowsMax(index))
      let rowFactor = (panel.rows.count + most - 1) / most
      picture.panels[index].rowBytes *= UInt64(rowFactor)
      picture.panels[index].rows = stride(from: 0, to: panel.rows.count, by: rowFactor).map {
        let rows = panel.rows[$0..<min($0 + rowFactor, panel.rows.count)].compactMap { $0 }
        guard !rows.isEmpty else { return nil }
        var sums = [Double](repeating: 0, count: picture.columnCount)
        for row in rows {
          for (column, weight) in row.enumerated() { sums[column / columnFactor] += weight }
        }
        return sums
      }
    }
    return picture
  }

  /// A number of bytes in the largest binary unit that it reaches, three significant figures.
  public static func bytes(_ count: UInt64) -> String { HeatTicks.amount(Double(count)) }

  /// What stands beside a panel's name.
  func facts(of panel: Panel) -> String {
    let time = Figures.duration(nanoseconds: Double(columnNanoseconds))
    let cell = "a cell is \(Self.bytes(panel.rowBytes)) x \(time)"
    return (panel.facts + [cell]).joined(separator: ", ")
  }

  /// What the numbers of the legend are.
  var legendUnit: String { "\(unit) in a cell" }

  /// The scale of this picture's cells.
  func scale(levelCount: Int) -> HeatScale {
    HeatScale(
      panels.lazy.flatMap(\.rows).compactMap { $0 }.flatMap { $0 }, levelCount: levelCount)
  }
}

/// Steps from the least weight that is told apart to the greatest, by equal ratios.
struct HeatScale: Sendable, Hashable {
  /// Weights further below the greatest one look like the least.
  static let ratioMax = 10_000.0

  let low: Double
  let high: Double
  let levelCount: Int

  init(_ weights: some Sequence<Double>, levelCount: Int) {
    var (least, most) = (Double.infinity, 0.0)
    for weight in weights where weight > 0 && weight.isFinite {
      least = min(least, weight)
      most = max(most, weight)
    }
    high = most
    low = most > 0 ? max(least, most / Self.ratioMax) : 0
    self.levelCount = levelCount
  }

  /// The level of a weight, 1 to the number of levels; 0 of nothing.
  func level(of weight: Double) -> Int {
    guard weight > 0 else { return 0 }
    guard weight < high, high > low else { return levelCount }
    let share = logarithm(max(weight, low) / low) / logarithm(high / low)
    return min(levelCount, 1 + Int(share * Double(levelCount)))
  }

  /// The weight at which a level begins.
  func weight(ofLevel level: Int) -> Double {
    low * power(high / low, Double(level - 1) / Double(levelCount))
  }
}

/// Colours that rise evenly in lightness, so that they keep their order in grey and for people with
/// any kind of colour vision.
///
/// Source: viridis (van der Walt and Smith, 2015, in the public domain), 16 steps.
enum HeatColors {
  private static let steps: [UInt32] = [
    0x440154, 0x481A6C, 0x472F7D, 0x414487, 0x39568C, 0x31688E, 0x2A788E, 0x23888E, 0x1F988B,
    0x22A884, 0x35B779, 0x54C568, 0x7AD151, 0xA5DB36, 0xD2E21B, 0xFDE725,
  ]

  /// For white paper: the most is the darkest, and the palest are left out.
  static let onWhite: [UInt32] = steps.prefix(14).reversed()

  /// For a dark terminal: the most is the lightest, and the darkest are left out.
  static let onBlack: [UInt32] = Array(steps.suffix(14))

  /// A colour as `#rrggbb`.
  static func text(_ color: UInt32) -> String {
    let digits = String(color, radix: 16)
    return "#" + String(repeating: "0", count: 6 - digits.count) + digits
  }
}
