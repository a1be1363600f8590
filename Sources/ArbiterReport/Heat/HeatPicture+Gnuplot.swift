// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

extension HeatPicture {
  /// Draws the picture as PNG through gnuplot.
  ///
  /// - Parameters:
  ///   - path: The file, which is replaced when the picture is whole.
  ///   - draw: Draws a script in a folder.
  /// - Returns: Whether gnuplot is there.
  /// - Throws: ``ReportError`` where the folder of the file cannot be written or gnuplot fails.
  public func drawPNG(to path: String, draw: Draw = Gnuplot.draw) throws -> Drawing {
    let folder = "\(path).partial-\(FileSystem.processNumber)"
    try FileSystem.makeFolder(folder)
    defer { try? FileSystem.removeFolder(folder) }
    let picture = reducedForDrawing()
    try FileSystem.write(picture.gnuplotScript(output: "heat.png"), to: "\(folder)/heat.gnuplot")
    guard try draw("heat.gnuplot", folder) == .drawn else { return .programMissing }
    guard try FileSystem.kind("\(folder)/heat.png") == .other else {
      throw ReportError(
        code: .drawing, path: path, reason: "gnuplot ended well and wrote no picture")
    }
    try FileSystem.rename("\(folder)/heat.png", to: path)
    return .drawn
  }

  /// The script that draws the picture, its cells included.
  func gnuplotScript(output: String) -> String {
    let scale = scale(levelCount: HeatColors.onWhite.count)
    let remarks = remarks.flatMap { Table.wrap($0, width: 128) }
    let heights = panels.map { plotHeight(of: $0) }
    let (top, gap, foot) = (96, 34, 48 + 18 * remarks.count)
    let height = top + heights.reduce(0) { $0 + $1 + gap } + foot
    var bottom = height - top
    var script = """
      set terminal pngcairo size 960,\(height) noenhanced font "sans-serif,10" background "#ffffff"
      set output '\(output)'
      set encoding utf8
      set multiplot
      unset key
      set tics nomirror out scale 0.5
      set label 1 \(Self.quoted(shortenedAtEnd(title, to: 100))) \
        at screen 0.017, screen \(1 - 22 / Double(height)) font "sans-serif,13"
      set label 2 \(Self.quoted(shortenedAtEnd(meaning, to: 132))) \
        at screen 0.017, screen \(1 - 46 / Double(height))

      """
    for (index, remark) in remarks.enumerated() {
      let y = Double(foot - 48 - 18 * index - 4) / Double(height)
      script +=
        "set label \(3 + index) \(Self.quoted(remark)) "
        + "at screen 0.017, screen \(y)\n"
    }
    let colors = HeatColors.onWhite.enumerated().map { "\($0) \"\(HeatColors.text($1))\"" }
    script +=
      "set palette maxcolors \(scale.levelCount) defined (\(colors.joined(separator: ",")))\n"
    // Levels rather than weights are drawn, so that both forms of the picture show the same.
    script += "set cbrange [0.5:\(scale.levelCount).5]\n"
    script += colorBox(scale, height: height)
    for (index, panel) in panels.enumerated() {
      bottom -= heights[index] + gap
      script += self.script(
        of: panel, index: index, scale: scale, from: Double(bottom) / Double(height),
        to: Double(bottom + heights[index]) / Double(height))
      // Title, legend and remarks came with the first panel.
      if index == 0 { script += "unset colorbox\nunset label\n" }
    }
    return script + "unset multiplot\n"
  }

  private func colorBox(_ scale: HeatScale, height: Int) -> String {
    guard scale.high > 0 else { return "unset colorbox\n" }
    let count = scale.levelCount
    let ends: [(Double, Double)] =
      scale.high > scale.low
      ? [
        (scale.low, 0.5), (scale.weight(ofLevel: count / 2 + 1), Double(count / 2) + 0.5),
        (scale.high, Double(count) + 0.5),
      ] : [(scale.high, Double(count) + 0.5)]
    let tics = ends.map {
      "\(Self.quoted(HeatTicks.weight($0.0, unit: unit))) \($0.1)"
    }
    return """
      set colorbox horizontal user origin screen 0.1, screen \(1 - 70 / Double(height)) \
        size screen 0.32, screen \(11 / Double(height))
      set cbtics (\(tics.joined(separator: ", "))) scale 0.3 offset 0,0.6
      set label 99 \(Self.quoted(legendUnit)) \
        at screen 0.44, screen \(1 - 65 / Double(height))

      """
  }

  private func script(
    of panel: Panel, index: Int, scale: HeatScale, from bottom: Double, to top: Double
  ) -> String {
    var data = ""
    for row in panel.rows {
      let levels = row.map { $0.map { scale.level(of: $0) } }
      let words = (levels ?? Array(repeating: 0, count: columnCount)).map {
        $0 == 0 ? "NaN" : String($0)
      }
      data += words.joined(separator: " ") + "\n"
    }
    let facts = facts(of: panel)
    let name = shortenedAtFront(panel.name, to: max(24, 120 - facts.count))
    let rows = panel.rows.count
    let offsets = HeatTicks.addresses(panel, countMax: max(2, plotHeight(of: panel) / 28)).map {
      let label = (panel.origin > 0 ? "+" : "") + $0.label
      return "\(Self.quoted(label)) \($0.share * Double(rows) - 0.5)"
    }
    let isLast = index == panels.count - 1
    let times = HeatTicks.times(self, countMax: 9).map {
      "\(Self.quoted(isLast ? $0.label : "")) \($0.share * Double(columnCount) - 0.5)"
    }
    return """
      $panel\(index) << EOD
      \(data)EOD
      set lmargin at screen 0.1
      set rmargin at screen 0.97
      set bmargin at screen \(bottom)
      set tmargin at screen \(top)
      set label 50 \(Self.quoted("\(name)  \(facts)")) at graph 0,1 offset character 0,0.7
      set xrange [-0.5:\(columnCount).0-0.5]
      set yrange [-0.5:\(rows).0-0.5]
      set xtics (\(times.joined(separator: ", ")))
      set ytics (\(offsets.joined(separator: ", ")))
      plot $panel\(index) matrix with image pixels notitle

      """
  }

  /// A string of gnuplot: single quotes, doubled inside, on one line, nothing else is special.
  private static func quoted(_ text: String) -> String {
    var result = "'"
    for scalar in text.unicodeScalars {
      if scalar == "'" { result += "'" }
      result.unicodeScalars.append(scalar.properties.generalCategory == .control ? " " : scalar)
    }
    return result + "'"
  }
}
