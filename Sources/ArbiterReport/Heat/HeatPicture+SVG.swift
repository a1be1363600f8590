// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// One path for each colour of a panel, made of rectangles that are a row high and as wide as the
// run of equal cells in it, in units of cells. A transformation makes them as large as they are
// seen, so that a test can read the cells back.

extension HeatPicture {
  /// The largest file that is written, in bytes.
  public static let svgBytesMax = 2_000_000

  /// Units of height that a panel's cells have at most: the more panels, the fewer.
  private var plotHeightMax: Int {
    switch panels.count {
    case ...1: 400
    case 2: 256
    case 3...4: 160
    default: 112
    }
  }

  /// Units of height of a panel's cells; a few rows need less.
  func plotHeight(of panel: Panel) -> Int {
    min(plotHeightMax, max(28, panel.rows.count * 12))
  }

  /// The picture with cells that are large enough to be seen one by one.
  func reducedForDrawing() -> HeatPicture {
    reduced(columnsMax: 280, rowsMax: { _ in plotHeightMax / 2 })
  }

  /// The picture as SVG, with cells merged where the file would be too large.
  public func svg() -> String {
    var picture = reducedForDrawing()
    while true {
      let text = SVGDrawing(picture).text
      let isSmallest = picture.columnCount <= 16
      if text.utf8.count <= Self.svgBytesMax || isSmallest { return text }
      picture = picture.reduced(columnsMax: (picture.columnCount + 1) / 2) { [picture] in
        (picture.panels[$0].rows.count + 1) / 2
      }
    }
  }
}

/// One drawing in the making.
private struct SVGDrawing {
  private static let width = 960
  private static let left = 96
  private static let right = 28
  private static let lineHeight = 18

  private let picture: HeatPicture
  private let scale: HeatScale
  private var body = ""
  private var height = 0

  init(_ picture: HeatPicture) {
    self.picture = picture
    scale = picture.scale(levelCount: HeatColors.onWhite.count)
    title()
    legend()
    for panel in picture.panels { add(panel) }
    times()
    remarks()
  }

  private var plotWidth: Int { Self.width - Self.left - Self.right }

  var text: String {
    """
    <?xml version="1.0" encoding="UTF-8"?>
    <svg xmlns="http://www.w3.org/2000/svg" width="\(Self.width)" height="\(height)" \
    viewBox="0 0 \(Self.width) \(height)" font-family="sans-serif" font-size="13" fill="#222222">
    <title>\(Self.escaped(picture.title))</title>
    <rect class="paper" width="\(Self.width)" height="\(height)" fill="#ffffff"/>
    \(body)</svg>

    """
  }

  private mutating func title() {
    height = 28
    write(shortenedAtEnd(picture.title, to: 96), x: 16, style: "font-size=\"17\"")
    height += 20
    for line in Table.wrap(picture.meaning, width: 128) {
      write(line, x: 16, style: "fill=\"#444444\"")
      height += Self.lineHeight
    }
  }

  /// Steps of colour with the weights at which the first begins, the middle one and the last ends.
  private mutating func legend() {
    guard scale.high > 0 else { return }
    let step = 22
    height += 4
    for (index, color) in HeatColors.onWhite.enumerated() {
      body +=
        "<rect class=\"legend\" x=\"\(Self.left + index * step)\" y=\"\(height - 10)\" "
        + "width=\"\(step)\" height=\"12\" fill=\"\(HeatColors.text(color))\"/>\n"
    }
    let end = Self.left + step * HeatColors.onWhite.count
    write(picture.legendUnit, x: end + 12, style: "fill=\"#444444\"")
    height += Self.lineHeight
    func mark(_ weight: Double, at x: Int, _ anchor: String) {
      write(
        HeatTicks.weight(weight, unit: picture.unit), x: x,
        style: "text-anchor=\"\(anchor)\" font-size=\"12\"")
    }
    if scale.high > scale.low {
      mark(scale.low, at: Self.left, "middle")
      mark(
        scale.weight(ofLevel: scale.levelCount / 2 + 1), at: (Self.left + end) / 2, "middle")
    }
    mark(scale.high, at: end, "middle")
    height += 14
  }

  private mutating func add(_ panel: HeatPicture.Panel) {
    height += 22
    let facts = picture.facts(of: panel)
    let name = shortenedAtFront(panel.name, to: max(24, 118 - facts.count))
    body +=
      "<text x=\"\(Self.left)\" y=\"\(height)\"><tspan font-weight=\"bold\">"
      + "\(Self.escaped(name))</tspan> <tspan fill=\"#444444\">\(Self.escaped(facts))</tspan>"
      + "</text>\n"
    height += 8
    let plotHeight = picture.plotHeight(of: panel)
    cells(of: panel, height: plotHeight)
    body +=
      "<rect class=\"frame\" x=\"\(Self.left)\" y=\"\(height)\" width=\"\(plotWidth)\" "
      + "height=\"\(plotHeight)\" fill=\"none\" stroke=\"#888888\"/>\n"
    for tick in HeatTicks.addresses(panel, countMax: max(2, plotHeight / 28)) {
      let y = height + plotHeight - Int((tick.share * Double(plotHeight)).rounded())
      body += "<path d=\"M\(Self.left - 5) \(y)h5\" stroke=\"#888888\"/>\n"
      body +=
        "<text x=\"\(Self.left - 8)\" y=\"\(y + 4)\" text-anchor=\"end\" "
        + "font-size=\"12\">\(panel.origin > 0 ? "+" : "")\(tick.label)</text>\n"
    }
    height += plotHeight
  }

  private mutating func cells(of panel: HeatPicture.Panel, height plotHeight: Int) {
    var paths = [String](repeating: "", count: scale.levelCount + 1)
    for (row, weights) in panel.rows.enumerated() {
      guard let weights else { continue }
      let y = panel.rows.count - 1 - row
      var begin = 0
      while begin < weights.count {
        let level = scale.level(of: weights[begin])
        var end = begin + 1
        while end < weights.count, scale.level(of: weights[end]) == level { end += 1 }
        if level > 0 { paths[level] += "M\(begin) \(y)h\(end - begin)v1H\(begin)z" }
        begin = end
      }
    }
    let across = Self.rounded(Double(plotWidth) / Double(picture.columnCount))
    let down = Self.rounded(Double(plotHeight) / Double(panel.rows.count))
    body +=
      "<g class=\"cells\" shape-rendering=\"crispEdges\" "
      + "transform=\"translate(\(Self.left) \(height)) scale(\(across) \(down))\">\n"
    for (level, path) in paths.enumerated() where !path.isEmpty {
      body += "<path fill=\"\(HeatColors.text(HeatColors.onWhite[level - 1]))\" d=\"\(path)\"/>\n"
    }
    body += "</g>\n"
  }

  /// One axis of time for all panels, below the last.
  private mutating func times() {
    guard !picture.panels.isEmpty else { return }
    for tick in HeatTicks.times(picture, countMax: 9) {
      let x = Self.left + Int((tick.share * Double(plotWidth)).rounded())
      body += "<path d=\"M\(x) \(height)v5\" stroke=\"#888888\"/>\n"
      body +=
        "<text x=\"\(x)\" y=\"\(height + 19)\" text-anchor=\"middle\" font-size=\"12\">"
        + "\(tick.label)</text>\n"
    }
    height += 36
  }

  private mutating func remarks() {
    for remark in picture.remarks {
      for line in Table.wrap(remark, width: 136) {
        write(line, x: 16, style: "font-size=\"12\" fill=\"#444444\"")
        height += 16
      }
    }
    height += 4
  }

  private mutating func write(_ text: String, x: Int, style: String) {
    body += "<text x=\"\(x)\" y=\"\(height)\" \(style)>\(Self.escaped(text))</text>\n"
  }

  private static func rounded(_ number: Double) -> String {
    "\((number * 1e4).rounded() / 1e4)"
  }

  /// Text for XML 1.0, which has no place for control characters.
  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case _ where scalar.properties.generalCategory == .control: result += " "
      case "\u{FFFE}", "\u{FFFF}": result += " "
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
