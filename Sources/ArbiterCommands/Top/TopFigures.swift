// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterReport

/// Figures in few characters, for columns that must not grow.
package enum TopFigures {
  /// A number with three significant figures and a power of 1000: at most 5 characters.
  package static func scaled(_ number: Double?) -> String {
    guard let number, number.isFinite else { return Figures.unavailable }
    var rest = abs(number)
    let sign = number < 0 ? "-" : ""
    if rest > 0, rest < 0.005 { return "\(sign)<.01" }
    for unit in ["", "k", "M", "G", "T", "P"] {
      if rest < 999.5 { return sign + digits(rest) + unit }
      rest /= 1000
    }
    return sign + ">999P"
  }

  /// Three figures below 1000: 1.23, 12.3, 123; whole numbers below 1000 as they are.
  private static func digits(_ number: Double) -> String {
    if number == number.rounded() { return String(Int(number)) }
    let places = number < 9.995 ? 2 : number < 99.95 ? 1 : 0
    return fixed(number, places: places)
  }

  /// A number with a fixed number of decimals.
  static func fixed(_ number: Double, places: Int) -> String {
    let power = [1, 10, 100, 1000][max(0, min(3, places))]
    let scaled = Int((number * Double(power)).rounded())
    if places == 0 { return String(scaled) }
    let rest = String(scaled % power)
    let zeros = String(repeating: "0", count: max(0, places - rest.count))
    return "\(scaled / power).\(zeros)\(rest)"
  }

  /// A share as a percentage: at most 6 characters up to 9999%.
  package static func percent(_ share: Double?) -> String {
    guard let share, share.isFinite, share >= 0 else { return Figures.unavailable }
    let percent = share * 100
    if percent > 0, percent < 0.05 { return "<.1%" }
    return (percent < 99.95 ? fixed(percent, places: 1) : String(Int(percent.rounded()))) + "%"
  }

  /// A time with its unit and no blank: at most 6 characters.
  package static func time(nanoseconds: Double?) -> String {
    guard let nanoseconds, nanoseconds.isFinite else { return Figures.unavailable }
    var rest = abs(nanoseconds)
    for unit in ["ns", "us", "ms"] {
      if rest < 999.5 { return digits(rest) + unit }
      rest /= 1000
    }
    return rest < 999.5 ? digits(rest) + "s" : String(Int(min(rest, 1e9))) + "s"
  }

  /// Text of a program or a machine without anything that could move the cursor or take two
  /// places.
  package static func plain(_ text: String) -> String {
    String(text.unicodeScalars.map { (0x20...0x7E).contains($0.value) ? Character($0) : "?" })
  }

  /// Text of at most so many characters; what is cut is marked.
  package static func cut(_ text: String, to width: Int) -> String {
    if text.count <= width { return text }
    return width < 2 ? String(text.prefix(max(0, width))) : text.prefix(width - 1) + "~"
  }
}

/// A column of the live screen.
struct TopColumn<Row>: Sendable {
  let header: String
  /// The most characters of a column of words, or the characters of one of numbers.
  let width: Int
  let isRight: Bool
  /// Columns with the highest number go first where there is no room; 0 stays.
  let expendability: Int
  let text: @Sendable (Row) -> String

  init(
    _ header: String, _ width: Int, isRight: Bool = true, expendability: Int = 0,
    _ text: @escaping @Sendable (Row) -> String
  ) {
    self.header = header
    self.width = width
    self.isRight = isRight
    self.expendability = expendability
    self.text = text
  }
}

/// Columns that fit a width, and the rows in them.
struct TopTable<Row> {
  let header: String
  let lines: [String]

  /// Lays rows out.
  ///
  /// - Parameters:
  ///   - all: The columns; some are left out where there is no room for all.
  ///   - rows: The rows.
  ///   - width: Characters of a line.
  ///   - name: The column of words that gets the room that is over.
  init(_ all: [TopColumn<Row>], _ rows: [Row], width: Int, growing name: String) {
    var places = all.map { column in
      let longest = rows.map { column.text($0).count }.max() ?? 0
      let least = max(column.header.count, min(column.width, longest))
      return (column: column, width: column.isRight ? column.width : least, longest: longest)
    }
    func total() -> Int { places.map(\.width).reduce(0, +) + places.count - 1 }
    while total() > width,
      let place = places.indices.max(by: {
        places[$0].column.expendability < places[$1].column.expendability
      }), places[place].column.expendability > 0
    {
      places.remove(at: place)
    }
    if let place = places.firstIndex(where: { $0.column.header == name }) {
      let spare = max(0, width - total())
      places[place].width = max(
        places[place].width, min(places[place].longest, places[place].width + spare))
    }
    func line(_ text: (TopColumn<Row>) -> String) -> String {
      let cells = places.map { place in
        let shown = TopFigures.cut(text(place.column), to: place.width)
        let space = String(repeating: " ", count: place.width - shown.count)
        return place.column.isRight ? space + shown : shown + space
      }
      var line = cells.joined(separator: " ")
      while line.last == " " { line.removeLast() }
      return line
    }
    header = line(\.header)
    lines = rows.map { row in line { $0.text(row) } }
  }
}
