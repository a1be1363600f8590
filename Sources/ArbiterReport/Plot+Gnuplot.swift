// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

// The gnuplot script of a plot. It names its files without a folder, so that
// `cd folder && gnuplot NAME.gnuplot` makes the picture again. Ranges are computed here rather than
// left to gnuplot, because gnuplot does not count reference lines and fails without a point.

extension Plot {
  /// Colours that people with any kind of colour vision tell apart (Okabe and Ito, 2008), without
  /// the yellow, which is too pale for lines on white.
  private static let palette = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
  ]
  /// Filled shapes first, then open ones, so that colour is never alone in carrying the meaning.
  private static let shapes = [7, 5, 9, 13, 11, 15, 6, 4, 8, 12, 10]
  private static let dashes = [1, 2, 4, 5]
  /// The script that draws the plot from `NAME.csv` into `NAME.svg`.
  public var gnuplotScript: String {
    // The legend stands below; the more lines it has, the taller the picture.
    let height = sheet.height + 28 * legendRowCount + 20 * lines.count { $0.direction == .vertical }
    var script = """
      # \(Self.comment(title))
      # Draw it again with: gnuplot \(name).gnuplot
      set terminal svg size \(sheet.width),\(height) dynamic noenhanced font "sans-serif,16" \\
        background "#ffffff" linewidth 1.5
      set output \(Self.quoted("\(name).svg"))
      set encoding utf8
      set datafile separator comma
      set datafile missing NaN
      \(titleLine)
      set xlabel \(Self.quoted(x.label)) offset 0,0.3
      set ylabel \(Self.quoted(y.label))
      set border 3 linecolor rgb "#444444"
      set tics nomirror out textcolor rgb "#222222"
      set grid linecolor rgb "#dddddd" linetype 1 linewidth 0.5
      set key bmargin center horizontal Left reverse \(legend) spacing 1.2 title ' '
      set rmargin \(rightMargin)
      set tmargin \(topMargin)
      set errorbars 0.7

      """
    script += axis("x", x, range: range(x, values: shownValues(\.x, .vertical)))
    script += axis("y", y, range: range(y, values: shownHeights()))
    let places = labelPlaces()
    for (index, line) in lines.enumerated() {
      script += reference(line, number: index + 1, place: places[index])
    }
    let clauses = plotClauses()
    script += "plot " + (clauses.isEmpty ? ["NaN notitle"] : clauses).joined(separator: ", \\\n  ")
    return script + "\n"
  }

  /// The picture without its legend; small ones have letters of the same size.
  private var sheet: (width: Int, height: Int) { size == .full ? (960, 490) : (460, 290) }

  /// Over a small picture there is no room for a title, which the page shows beside it.
  private var titleLine: String {
    size == .full
      ? "set title \(Self.quoted(title)) font \"sans-serif,19\""
      : "# The page shows the title."
  }

  /// Characters that the margin needs for the labels of horizontal lines, which stand in it.
  private var rightMargin: Int {
    let labels = lines.filter { $0.direction == .horizontal }.map(\.label.count)
    return labels.max().map { min(4 + $0 * 4 / 5, 40) } ?? 4
  }

  /// Lines above the plot: its title and the labels of vertical lines, each a line higher.
  private var topMargin: Int {
    (size == .full ? 3 : 1) + lines.count { $0.direction == .vertical }
  }

  /// How long the samples of the legend are and how much room follows a name.
  private var legend: String { size == .full ? "samplen 2.5 width 2" : "samplen 1.5 width -4" }

  /// Lines of the legend, by the room that names of this length leave (about 10 units a letter).
  private var legendRowCount: Int {
    let shown = series.filter { $0.isListed && $0.points.contains(where: isShown) }
    let length = shown.map(\.name.count).max() ?? 0
    let entry = size == .full ? 80 + length * 10 : 45 + length * 9
    let room = sheet.width - (size == .full ? 110 : 70) - rightMargin * 10
    let columnCount = max(1, room / entry)
    return max(1, (shown.count + columnCount - 1) / columnCount)
  }

  /// Where the labels of lines stand, as shares of the height or width; those of horizontal lines
  /// do not meet.
  private func labelPlaces() -> [Double] {
    let across = range(x, values: shownValues(\.x, .vertical))
    let range = range(y, values: shownHeights())
    func share(_ value: Double) -> Double {
      let (low, high) = (range.lowerBound, range.upperBound)
      guard y.isLogarithmic else { return (value - low) / (high - low) }
      return value > 0 ? log(value / low) / log(high / low) : 0
    }
    var places = lines.map { line in
      line.direction == .horizontal
        ? share(line.value)
        : (line.value - across.lowerBound) / (across.upperBound - across.lowerBound)
    }
    let labelled = lines.indices.filter { lines[$0].direction == .horizontal }
    var below = -1.0
    for index in labelled.sorted(by: { (places[$0], $0) < (places[$1], $1) }) {
      places[index] = max(places[index], below + 0.055)
      below = places[index]
    }
    return places
  }

  private func plotClauses() -> [String] {
    var clauses: [String] = []
    for (index, series) in series.enumerated() where series.points.contains(where: isShown) {
      let place = series.color ?? index
      let color = Self.palette[place % Self.palette.count]
      let shape = Self.shapes[place % Self.shapes.count]
      let dash = Self.dashes[index / Self.palette.count % Self.dashes.count]
      let file = Self.quoted("\(name).csv")
      // The first column picks the series; the header row is text and therefore never equal.
      let pick = "($1 == \(index + 1) ? $3 : NaN)"
      let style = "linecolor rgb \"\(color)\" pointtype \(shape) pointsize 0.8"
      if series.points.contains(where: { isShown($0) && $0.error != nil }) {
        clauses.append(
          "\(file) skip 1 using \(pick):4:5:6 with yerrorbars linewidth 1 \(style) notitle")
      }
      let line = "linewidth 1.6 dashtype \(dash)"
      let drawing =
        switch series.style {
        case .linesAndPoints: "with linespoints \(line) \(style)"
        case .points: "with points linewidth 1 \(style)"
        // A line through a single point would not be seen.
        case .line where series.points.count(where: isShown) == 1:
          "with points linewidth 1.6 linecolor rgb \"\(color)\" pointtype 1 pointsize 1.6"
        case .line: "with lines \(line) linecolor rgb \"\(color)\""
        case .rings: "with points linewidth 1.6 linecolor rgb \"#C00000\" pointtype 6 pointsize 2"
        }
      let entry = series.isListed ? "title \(Self.quoted(series.name))" : "notitle"
      clauses.append("\(file) skip 1 using \(pick):4 \(drawing) \(entry)")
    }
    return clauses
  }

  private func reference(_ line: ReferenceLine, number: Int, place: Double) -> String {
    let isOnLog = line.direction == .horizontal ? y.isLogarithmic : x.isLogarithmic
    guard line.value.isFinite, !isOnLog || line.value > 0 else { return "" }
    let value = JSONValue.numeral(line.value)
    let style = "nohead dashtype 2 linewidth 1.2 linecolor rgb \"#666666\" back"
    let text = "set label \(number) \(Self.quoted(line.label)) front textcolor rgb \"#444444\""
    switch line.direction {
    case .horizontal:
      return """
        set arrow \(number) from graph 0, first \(value) to graph 1, first \(value) \(style)
        \(text) at graph 1, graph \(place) left offset 0.6,0 font "sans-serif,13"

        """
    case .vertical:
      // Above the plot, where no curve can be; at the sides the text leans inwards.
      let side = place < 0.25 ? "left" : place > 0.75 ? "right" : "center"
      let row = lines.prefix(number - 1).count { $0.direction == .vertical }
      return """
        set arrow \(number) from first \(value), graph 0 to first \(value), graph 1 \(style)
        \(text) at first \(value), graph 1 \(side) offset 0,\(Double(row) + 0.6) \
          font "sans-serif,13"

        """
    }
  }

  private func axis(_ letter: String, _ axis: Axis, range: ClosedRange<Double>) -> String {
    let low = JSONValue.numeral(range.lowerBound)
    let high = JSONValue.numeral(range.upperBound)
    var text = "set \(letter)range [\(low):\(high)]\n"
    if axis.isLogarithmic { text += "set logscale \(letter)\n" }
    if let ticks = axis.ticks, !ticks.isEmpty {
      // With texts of their own: gnuplot would write 1048576 as a power of ten.
      let marks = ticks.map(JSONValue.numeral).map { "\"\($0)\" \($0)" }
      text += "set \(letter)tics (\(marks.joined(separator: ", ")))\n"
    }
    return text
  }

  private func shownValues(
    _ path: KeyPath<Point, Double>, _ direction: ReferenceLine.Direction
  ) -> [Double] {
    series.flatMap(\.points).filter(isShown).map { $0[keyPath: path] }
      + lines.filter { $0.direction == direction && $0.value.isFinite }.map(\.value)
  }

  private func shownHeights() -> [Double] {
    let points = series.flatMap(\.points).filter(isShown)
    return points.compactMap(\.y)
      + points.flatMap { $0.error.map { [$0.lowerBound, $0.upperBound] } ?? [] }
      + lines.filter { $0.direction == .horizontal && $0.value.isFinite }.map(\.value)
  }

  /// The span of an axis: all values with a margin, never empty.
  private func range(_ axis: Axis, values: [Double]) -> ClosedRange<Double> {
    let values = values.filter { $0.isFinite && (!axis.isLogarithmic || $0 > 0) }
    guard let low = values.min(), let high = values.max() else {
      return axis.isLogarithmic ? 1...10 : 0...1
    }
    if axis.isLogarithmic { return (low / 1.25)...(high * 1.25) }
    let margin = high > low ? (high - low) * 0.05 : max(abs(high) * 0.1, 0.5)
    if axis.startsAtZero, low >= 0 { return 0...(high > 0 ? high * 1.08 : 1) }
    return (low - margin)...(high + margin)
  }

  /// A string of gnuplot: single quotes, doubled inside, on one line, nothing else is special.
  private static func quoted(_ text: String) -> String {
    var result = "'"
    for scalar in text.unicodeScalars {
      if scalar == "'" { result += "'" }
      result.unicodeScalars.append(scalar.value < 0x20 ? " " : scalar)
    }
    return result + "'"
  }

  private static func comment(_ text: String) -> String {
    // A backslash at the end would join the next line to the comment.
    String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { $0.value < 0x20 || $0 == "\\" ? " " : $0 }))
  }
}
