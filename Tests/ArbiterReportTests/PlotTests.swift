// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterReport
import Foundation
import Testing

@Suite("Plot")
struct PlotTests {
  @Test func `the data has one row for each point`() {
    let plot = Plot(
      name: "p", title: "t", x: .init("x"), y: .init("y"),
      series: [
        .init("a, b", [.init(x: 1, y: 2.5, error: 2...3), .init(x: 2, y: nil)]),
        .init("c", [.init(x: 0.5, y: -1)]),
      ])
    #expect(
      plot.csv == "series_number,series,x,y,y_low,y_high\r\n1,\"a, b\",1,2.5,2,3\r\n"
        + "1,\"a, b\",2,,,\r\n2,c,0.5,-1,,\r\n")
  }

  @Test func `points without a place on a logarithmic axis are counted in the caption`() {
    var plot = samplePlot()
    #expect(plot.fullCaption == plot.caption)
    plot.series[0].points.append(.init(x: 0, y: 1))
    plot.series[1].points.append(.init(x: -3, y: 1))
    #expect(plot.fullCaption.hasPrefix(plot.caption + " 2 points have no place"))
  }

  @Test func `the script names no folder and no colour that is hard to see`() {
    let script = samplePlot().gnuplotScript
    let files = script.split(whereSeparator: \.isWhitespace).filter {
      $0.hasSuffix(".csv'") || $0.hasSuffix(".svg'")
    }
    #expect(Set(files) == ["'bandwidth.csv'", "'bandwidth.svg'"])
    #expect(!script.contains("#F0E442"))
  }

  @Test func `labels of lines at one height do not cover each other`() throws {
    var plot = samplePlot()
    plot.lines = [2.28, 2.25, 2.28, 0.5].map { .init(.horizontal, at: $0, label: "line") }
    let places = plot.gnuplotScript.split(separator: "\n").filter { $0.hasPrefix("set label") }
      .compactMap { $0.split(separator: "graph ").last?.split(separator: " ").first }
      .compactMap { Double($0) }.sorted()
    try #require(places.count == 4)
    for (low, high) in zip(places, places.dropFirst()) { #expect(high - low > 0.05) }
  }

  @Test func `a long legend makes the picture taller, not the curves flatter`() {
    var plot = samplePlot()
    #expect(plot.gnuplotScript.contains("size 960,566"))
    plot.series = (0..<9).map { .init("a scheme with a long name \($0)", [.init(x: 1, y: 1)]) }
    #expect(plot.gnuplotScript.contains("size 960,762"))
  }

  @Test func `a small picture leaves its title to the page and unlisted series to their color`() {
    var plot = samplePlot()
    plot.size = .small
    plot.series = [
      .init(
        "model", [.init(x: 1, y: 1), .init(x: 2, y: 2)], style: .line, color: 3, isListed: false),
      .init("measured", [.init(x: 1, y: 1.1)], style: .points, color: 3),
      .init("missed", [.init(x: 1, y: 1.1)], style: .rings, isListed: false),
    ]
    let script = plot.gnuplotScript
    #expect(script.contains("size 460,") && !script.contains("set title"))
    let clauses = script.split(separator: "\n").filter { $0.contains(" using ") }
    #expect(clauses.count == 3)
    #expect(clauses[0].contains("with lines ") && clauses[0].contains("notitle"))
    #expect(clauses[1].contains("with points ") && clauses[1].contains("title 'measured'"))
    #expect(clauses[2].contains("pointtype 6") && clauses[2].contains("notitle"))
    let colors = clauses.map { $0.components(separatedBy: "linecolor rgb ").last?.prefix(9) ?? "" }
    #expect(colors[0] == colors[1] && colors[2] != colors[0])
  }

  @Test func `a line of one point can be seen`() {
    var plot = samplePlot()
    plot.series = [.init("model", [.init(x: 1, y: 1)], style: .line)]
    #expect(plot.gnuplotScript.contains("with points linewidth 1.6"))
  }

  @Test func `text cannot leave its string in the script`() {
    let plot = samplePlot(title: "it's \"odd\"\nset output '/tmp/x' \\")
    let lines = plot.gnuplotScript.split(separator: "\n")
    #expect(!lines.contains { $0.hasPrefix("set output '/tmp") })
    #expect(lines.contains { $0.hasPrefix("set title 'it''s \"odd\" set output ''/tmp/x'' \\'") })
    #expect(lines.first == "# it's \"odd\" set output '/tmp/x'  ")
  }
}

@Suite("Gnuplot", .enabled(if: isInstalled("gnuplot"), "needs the program gnuplot"))
struct GnuplotTests {
  /// Draws a plot in a folder of its own and returns the picture.
  private func picture(_ plot: Plot) throws -> String {
    try withFolder { folder in
      let folder = folder + "/it's a ~folder"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
      try FileSystem.write(plot.csv, to: "\(folder)/\(plot.name).csv")
      try FileSystem.write(plot.gnuplotScript, to: "\(folder)/\(plot.name).gnuplot")
      #expect(try Gnuplot.draw(script: "\(plot.name).gnuplot", folder: folder) == .drawn)
      #expect(try names(in: folder) == ["csv", "gnuplot", "svg"].map { "\(plot.name).\($0)" })
      let path = "\(folder)/\(plot.name).svg"
      if let check = try run("xmllint", ["--noout", "--nonet", path]) {
        #expect(check.code == 0, "\(check.said)")
      }
      return try contents(path)
    }
  }

  @Test func `the picture shows titles, labels, series and lines`() throws {
    let plot = samplePlot(title: "Bandwidth & <threads>'s")
    let svg = try picture(plot)
    for text in [
      "Bandwidth &amp; &lt;threads>'s", "threads", "effective bandwidth (GB/s)", "baseline",
      "arbiter_paper's, 1.0", "lock", "peak of the medium", "8 threads",
    ] { #expect(svg.contains(">\(text)<"), "\(text)") }
    for color in ["rgb(  0, 114, 178)", "rgb(213,  94,   0)", "rgb(  0, 158, 115)"] {
      #expect(svg.contains(color), "\(color)")
    }
  }

  @Test func `every point is drawn once, in the shape of its series`() throws {
    var plot = samplePlot()
    plot.lines = []
    // Error bars bring marks of their own.
    plot.series[0].points = plot.series[0].points.map { .init(x: $0.x, y: $0.y) }
    let marks = try picture(plot).components(separatedBy: "xlink:href='#gpPt")
    for (shape, series) in zip(["6'", "4'", "8'"], plot.series) {
      let drawn = marks.count { $0.hasPrefix("\(shape) transform='translate(") }
      // One mark for each point and one in the legend.
      #expect(drawn == series.points.count { $0.y != nil } + 1, "\(series.name)")
    }
  }

  @Test(arguments: [0, 1])
  func `a plot of nothing or of one point is drawn`(count: Int) throws {
    for isLogarithmic in [false, true] {
      let points = Array(repeating: Plot.Point(x: 1, y: 1), count: count)
      let plot = Plot(
        name: "little", title: "Little", x: .init("x", isLogarithmic: isLogarithmic),
        y: .init("y", isLogarithmic: isLogarithmic, startsAtZero: true),
        series: [.init("a", points), .init("none", [.init(x: 3, y: nil)])])
      #expect(try picture(plot).contains("Little"))
    }
  }

  @Test func `a script that fails says what gnuplot said`() throws {
    try withFolder { folder in
      try FileSystem.write("set nonsense 1\n", to: "\(folder)/bad.gnuplot")
      #expect {
        _ = try Gnuplot.draw(script: "bad.gnuplot", folder: folder)
      } throws: { error in
        let error = error as? ReportError
        return error?.code == .drawing && error?.reason.hasPrefix("gnuplot failed: ") == true
          && error?.path == "\(folder)/bad.gnuplot"
      }
      #expect(try names(in: folder) == ["bad.gnuplot"])
    }
  }

  @Test func `a program that is not installed is told apart from one that fails`() throws {
    try withFolder { folder in
      let drawing = try Gnuplot.draw(script: "x", folder: folder, program: "no-such-gnuplot")
      #expect(drawing == .programMissing)
      #expect(try names(in: folder).isEmpty)
    }
  }
}
