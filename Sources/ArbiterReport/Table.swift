// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// A table for a terminal. It loses nothing: where the columns do not fit, headers wrap first, then
// the gaps shrink, then text cells wrap, and at last the table is cut into parts that each repeat
// the key columns. Widths count characters; wide East Asian characters count as one.

/// A table of text and numbers.
///
/// ```swift
/// var table = Table([.init("scheme"), .init("threads", .right), .init("GB/s", .right)])
/// table.add(["baseline", .count(8), .number(1.537)])
/// print(table.text())
/// ```
public struct Table: Sendable, Hashable {
  /// Where the cells of a column stand.
  public enum Side: Sendable, Hashable {
    /// At the left, for words.
    case left
    /// At the right, for numbers.
    case right
  }

  /// A column.
  public struct Column: Sendable, Hashable {
    /// The header, unit included.
    public var header: String
    /// Where the cells stand.
    public var side: Side

    /// Makes a column.
    public init(_ header: String, _ side: Side = .left) {
      self.header = header
      self.side = side
    }
  }

  /// A cell.
  public enum Cell: Sendable, Hashable, ExpressibleByStringLiteral {
    /// Words, or a number that is formatted already.
    case text(String)
    /// A number, shown with three significant figures; nil is unavailable.
    case number(Double?)
    /// A whole number, shown exactly; nil is unavailable.
    case count(Int?)

    /// Makes a cell of words.
    public init(stringLiteral text: String) { self = .text(text) }

    /// What the cell shows.
    public var shown: String {
      switch self {
      case .text(let text): Table.tidy(text)
      case .number(let number): Figures.rounded(number)
      case .count(let count): count.map(String.init) ?? Figures.unavailable
      }
    }
  }

  enum Row: Sendable, Hashable {
    case cells([Cell])
    case group(String)
  }

  /// The columns.
  public let columns: [Column]
  /// A line under the table.
  public var caption: String?
  /// The columns at the left that are repeated where the table must be cut.
  public let keyColumnCount: Int

  private(set) var rows: [Row] = []

  /// Makes an empty table.
  ///
  /// - Precondition: There is a column and `keyColumnCount` is smaller than their number, or 0.
  public init(_ columns: [Column], caption: String? = nil, keyColumnCount: Int = 1) {
    precondition(!columns.isEmpty, "a table needs a column")
    self.columns = columns
    self.caption = caption
    self.keyColumnCount = max(0, min(keyColumnCount, columns.count - 1))
  }

  /// Adds a row.
  ///
  /// - Precondition: There is one cell for each column.
  public mutating func add(_ cells: [Cell]) {
    precondition(cells.count == columns.count, "a row of \(cells.count) cells in a table of others")
    rows.append(.cells(cells))
  }

  /// Adds a heading that spans the table.
  public mutating func addGroup(_ title: String) {
    rows.append(.group(title))
  }

  /// Returns the table as lines of at most `width` characters, each ended by a newline.
  ///
  /// A single word or number that is longer than `width` makes its line longer; nothing is cut.
  public func text(width: Int = 80) -> String {
    let parts = partition(width: width)
    var lines: [String] = []
    for (index, part) in parts.enumerated() {
      if index > 0 { lines.append("") }
      lines += render(part, width: width)
    }
    if let caption { lines += Self.wrap(caption, width: width) }
    return lines.map { $0 + "\n" }.joined()
  }

  /// The columns of each part: all in one where they can be made to fit.
  private func partition(width: Int) -> [[Int]] {
    let least = columns.indices.map { leastWidth($0) }
    let keys = Array(columns.indices.prefix(keyColumnCount))
    var parts: [[Int]] = []
    var current = keys
    for column in columns.indices.dropFirst(keyColumnCount) {
      let wanted = (current + [column]).map { least[$0] }.reduce(0, +) + current.count
      if wanted > width, current.count > keys.count {
        parts.append(current)
        current = keys
      }
      current.append(column)
    }
    parts.append(current)
    return parts
  }

  private func cells(_ column: Int) -> [String] {
    rows.compactMap { row in
      guard case .cells(let cells) = row else { return nil }
      return cells[column].shown
    }
  }

  private func isWrappable(_ column: Int) -> Bool { columns[column].side == .left }

  /// The width below which a column cannot go: its longest word.
  private func leastWidth(_ column: Int) -> Int {
    let texts = cells(column)
    let inside = isWrappable(column) ? texts.map(Self.longestWord) : texts.map(\.count)
    return max(Self.longestWord(columns[column].header), inside.max() ?? 0)
  }

  private static func longestWord(_ text: String) -> Int {
    text.split(separator: " ").map(\.count).max() ?? 0
  }

  private func render(_ part: [Int], width: Int) -> [String] {
    var widths = part.map { column in
      max(leastWidth(column), cells(column).map(\.count).max() ?? 0)
    }
    // One header line where there is room for it, otherwise headers wrap to their column.
    let whole = zip(part, widths).map { max($1, columns[$0].header.count) }
    var gap = 2
    if Self.total(whole, gap: gap) <= width { widths = whole }
    if Self.total(widths, gap: gap) > width { gap = 1 }
    while Self.total(widths, gap: gap) > width {
      let narrowable = part.indices.filter { widths[$0] > leastWidth(part[$0]) }
      guard let widest = narrowable.max(by: { widths[$0] < widths[$1] }) else { break }
      widths[widest] -= 1
    }
    var lines = block(part.map { columns[$0].header }, part, widths, gap: gap, isHeader: true)
    lines.append(String(repeating: "-", count: Self.total(widths, gap: gap)))
    for row in rows {
      switch row {
      case .group(let title):
        lines += Self.wrap(Self.tidy(title), width: width)
      case .cells(let cells):
        lines += block(part.map { cells[$0].shown }, part, widths, gap: gap, isHeader: false)
      }
    }
    return lines
  }

  /// One row, which takes several lines where cells wrap.
  private func block(
    _ texts: [String], _ part: [Int], _ widths: [Int], gap: Int, isHeader: Bool
  ) -> [String] {
    let wrapped = zip(texts, widths).map { Self.wrap($0, width: $1) }
    let height = wrapped.map(\.count).max() ?? 0
    return (0..<height).map { line in
      var text = ""
      for (place, column) in part.enumerated() {
        // Headers stand on the line above the rule, cells at the top of their row.
        let lines = wrapped[place]
        let index = isHeader ? line - (height - lines.count) : line
        let content = lines.indices.contains(index) ? lines[index] : ""
        let space = String(repeating: " ", count: max(0, widths[place] - content.count))
        if place > 0 { text += String(repeating: " ", count: gap) }
        text += columns[column].side == .right ? space + content : content + space
      }
      while text.last == " " { text.removeLast() }
      return text
    }
  }

  private static func total(_ widths: [Int], gap: Int) -> Int {
    widths.reduce(0, +) + gap * max(0, widths.count - 1)
  }

  /// Text on one line: control characters, which would move the cursor, become spaces.
  private static func tidy(_ text: String) -> String {
    guard !text.isEmpty else { return Figures.unavailable }
    let scalars = text.unicodeScalars.map { scalar -> Unicode.Scalar in
      scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) ? " " : scalar
    }
    return String(String.UnicodeScalarView(scalars))
  }

  /// Breaks text at spaces into lines of at most `width` characters.
  package static func wrap(_ text: String, width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
      if line.isEmpty {
        line = String(word)
      } else if line.count + 1 + word.count <= width {
        line += " " + word
      } else {
        lines.append(line)
        line = String(word)
      }
    }
    if !line.isEmpty || lines.isEmpty { lines.append(line) }
    return lines
  }
}
