// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a terminal can show of a heat map.
public struct HeatCanvas: Sendable, Hashable {
  /// How a cell looks.
  public enum Ink: Sendable, Hashable {
    /// A letter of ``HeatPicture/ramp``; one cell each.
    case letters
    /// Half blocks in the 256 colours of xterm; two cells each, one above the other.
    case indexedColors
    /// Half blocks in colours of 24 bits.
    case trueColors
  }

  /// How cells look.
  public var ink: Ink
  /// Characters in a line.
  public var columns: Int
  /// Lines for all panels together.
  public var rows: Int

  /// Makes a canvas.
  public init(ink: Ink, columns: Int, rows: Int) {
    self.ink = ink
    self.columns = max(40, columns)
    self.rows = max(8, rows)
  }

  /// Decides from facts alone.
  ///
  /// - Parameters:
  ///   - terminal: What is written to.
  ///   - windowRows: The height of its window, if it has one.
  ///   - environment: Looks up an environment variable.
  public init(_ terminal: Terminal, windowRows: Int?, environment: (String) -> String?) {
    let depth = environment("COLORTERM") ?? ""
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap(environment).first { !$0.isEmpty }
    // Half blocks on a terminal of another encoding would be rubbish.
    let hasBlocks = locale.map { $0.uppercased().contains("UTF") } ?? false
    let ink: Ink =
      !terminal.hasColor || !hasBlocks
      ? .letters : depth == "truecolor" || depth == "24bit" ? .trueColors : .indexedColors
    self.init(ink: ink, columns: terminal.columns, rows: (windowRows ?? 36) - 6)
  }
}

extension HeatPicture {
  /// Letters from the coldest to the hottest; a blank is nothing at all.
  public static let ramp = Array(".:-=+*#%@")

  /// Characters of the labels at the left.
  private static let labelWidth = 10

  /// The picture as lines of at most the canvas's width, each ended by a newline.
  public func text(on canvas: HeatCanvas) -> String {
    let isBlocks = canvas.ink != .letters
    let heights = lineCounts(for: canvas)
    let picture = reduced(columnsMax: canvas.columns - Self.labelWidth - 3) { panel in
      heights[panel] * (isBlocks ? 2 : 1)
    }
    let scale = picture.scale(
      levelCount: isBlocks ? HeatColors.onBlack.count : Self.ramp.count)
    var lines = Table.wrap(title, width: canvas.columns)
    lines += Table.wrap(meaning, width: canvas.columns)
    for panel in picture.panels {
      let facts = picture.facts(of: panel)
      lines.append("")
      lines += Table.wrap(
        shortenedAtFront(panel.name, to: canvas.columns) + ": " + facts, width: canvas.columns)
      lines += picture.lines(of: panel, on: canvas, scale: scale)
    }
    if !panels.isEmpty { lines += picture.timeLines(width: canvas.columns) }
    if scale.high > 0 { lines += [""] + picture.legend(scale, on: canvas) }
    return lines.map { $0 + "\n" }.joined()
  }

  /// Lines of each panel: the first ones are higher where not all have room.
  private func lineCounts(for canvas: HeatCanvas) -> [Int] {
    // A panel has a heading, and a blank line before it; below all are three lines.
    var left = canvas.rows - 5 - panels.count * 2
    return panels.indices.map { index in
      let others = panels.count - index - 1
      let share = others == 0 ? left : max(left / (others + 1), left * 2 / (others + 3))
      let rows = panels[index].rows.count
      let count = min(max(3, share), 24, canvas.ink == .letters ? rows : (rows + 1) / 2)
      left -= count
      return count
    }
  }

  /// How often each column is repeated, so that few of them fill the width.
  private func stretch(width: Int) -> Int {
    max(1, (width - Self.labelWidth - 3) / columnCount)
  }

  private func lines(
    of panel: Panel, on canvas: HeatCanvas, scale: HeatScale
  ) -> [String] {
    let perLine = canvas.ink == .letters ? 1 : 2
    let count = (panel.rows.count + perLine - 1) / perLine
    let labels = labels(of: panel, lineCount: count, rowsPerLine: perLine)
    let stretch = stretch(width: canvas.columns)
    return (0..<count).map { line in
      // The last row is the first line.
      let lower = (count - 1 - line) * perLine
      let rows = (lower..<lower + perLine).map { row -> [Double]? in
        panel.rows.indices.contains(row) ? panel.rows[row] : nil
      }
      let label = labels[line]
      let pad = String(repeating: " ", count: max(0, Self.labelWidth - label.count))
      var cells = ""
      var style = ""
      for column in 0..<columnCount {
        let levels = rows.map { scale.level(of: $0?[column] ?? 0) }
        let (mark, wanted) = Self.mark(levels, ink: canvas.ink)
        if wanted != style {
          cells += "\u{1B}[0\(wanted)m"
          style = wanted
        }
        cells += String(repeating: mark, count: stretch)
      }
      if !style.isEmpty { cells += "\u{1B}[0m" }
      while canvas.ink == .letters, cells.last == " " { cells.removeLast() }
      return "\(pad)\(label) |\(cells)"
    }
  }

  /// One character for the levels of one or two cells, the lower one first, and its colours.
  private static func mark(_ levels: [Int], ink: HeatCanvas.Ink) -> (Character, String) {
    guard levels.count == 2 else {
      return (levels[0] == 0 ? " " : ramp[levels[0] - 1], "")
    }
    switch (levels[0], levels[1]) {
    case (0, 0): return (" ", "")
    case (let low, 0): return ("▄", code(38, low, ink))
    case (0, let high): return ("▀", code(38, high, ink))
    case (let low, let high): return ("▀", code(38, high, ink) + code(48, low, ink))
    }
  }

  /// What chooses a colour: 38 for the letter, 48 for what is behind it.
  private static func code(_ ground: Int, _ level: Int, _ ink: HeatCanvas.Ink) -> String {
    let color = HeatColors.onBlack[level - 1]
    let parts = [color >> 16, color >> 8 & 0xFF, color & 0xFF].map(Int.init)
    guard ink == .indexedColors else {
      return ";\(ground);2;\(parts[0]);\(parts[1]);\(parts[2])"
    }
    // The cube of xterm: 0, 95, 135, 175, 215 and 255 in each of the three colours.
    let steps = parts.map { $0 < 48 ? 0 : $0 < 115 ? 1 : ($0 - 35) / 40 }
    return ";\(ground);5;\(16 + 36 * steps[0] + 6 * steps[1] + steps[2])"
  }

  /// A label for the lines in which one stands: at the end of what it labels, where that begins.
  private func labels(of panel: Panel, lineCount: Int, rowsPerLine: Int) -> [String] {
    var labels = [String](repeating: "", count: lineCount)
    for tick in HeatTicks.addresses(panel, countMax: max(2, lineCount / 2)) {
      let row = Int(tick.share * Double(panel.rows.count))
      let line = lineCount - 1 - row / rowsPerLine
      let label = (panel.origin > 0 ? "+" : "") + tick.label
      if labels.indices.contains(line), labels[line].isEmpty { labels[line] = label }
    }
    return labels
  }

  private func timeLines(width: Int) -> [String] {
    let stretch = stretch(width: width)
    let span = columnCount * stretch
    var rule = Array(repeating: "-", count: span)
    var labels = ""
    for tick in HeatTicks.times(self, countMax: max(2, span / 14)) {
      let place = Int(tick.share * Double(span))
      guard place < span else { continue }
      rule[place] = "+"
      let start = max(0, place - tick.label.count / 2)
      guard start >= labels.count + (labels.isEmpty ? 0 : 2), start + tick.label.count <= span + 3
      else { continue }
      labels += String(repeating: " ", count: start - labels.count) + tick.label
    }
    let pad = String(repeating: " ", count: Self.labelWidth + 1)
    return [pad + "+" + rule.joined(), pad + " " + labels]
  }

  private func legend(_ scale: HeatScale, on canvas: HeatCanvas) -> [String] {
    let low = HeatTicks.weight(scale.low, unit: unit)
    let high = HeatTicks.weight(scale.high, unit: unit)
    guard scale.high > scale.low else {
      return Table.wrap(
        "Every cell that is not blank: \(high), \(legendUnit)", width: canvas.columns)
    }
    let steps: String
    switch canvas.ink {
    case .letters: steps = String(Self.ramp)
    case .indexedColors, .trueColors:
      steps =
        (1...scale.levelCount).map { "\u{1B}[0\(Self.code(48, $0, canvas.ink))m " }.joined()
        + "\u{1B}[0m"
    }
    let words = "\(legendUnit); blank: none"
    let isShort = low.count + high.count + scale.levelCount + words.count + 6 <= canvas.columns
    let ends = "\(low) [\(steps)] \(high)"
    return isShort ? ["\(ends), \(words)"] : [ends] + Table.wrap(words, width: canvas.columns)
  }
}
