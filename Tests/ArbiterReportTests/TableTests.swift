// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterReport
import Testing

@Suite("Figures")
struct FigureTests {
  @Test(arguments: [
    (1.0, "1.00"), (0, "0"), (-0.0, "0"), (9.994, "9.99"), (9.996, "10.0"), (12.34, "12.3"),
    (999.4, "999"), (999.6, "1000"), (123_456, "123000"), (999_600, "1.00e6"),
    (1_234_567, "1.23e6"), (0.1234, "0.123"), (0.001234, "0.00123"), (0.0001234, "1.23e-4"),
    (-1.5, "-1.50"), (.infinity, "-"), (.nan, "-"), (1e308, "1.00e308"),
    (.leastNonzeroMagnitude, "4.94e-324"),
  ])
  func `a number has three significant figures`(number: Double, text: String) {
    #expect(Figures.rounded(number) == text)
  }

  @Test func `an unavailable figure is a dash`() {
    #expect(Figures.rounded(nil) == "-")
    #expect(Figures.duration(nanoseconds: nil) == "-")
    #expect(Figures.gigabytesPerSecond(nil) == "-")
  }

  @Test func `a duration takes the unit that suits it`() {
    #expect(Figures.duration(nanoseconds: 312) == "312 ns")
    #expect(Figures.duration(nanoseconds: 51_800) == "51.8 us")
    #expect(Figures.duration(nanoseconds: 2.5e9) == "2.50 s")
  }
}

@Suite("Text table")
struct TableTests {
  private func wide(columns: Int) -> Table {
    var table = Table(
      [.init("scheme")] + (1..<columns).map { .init("figure number \($0)", .right) })
    table.add([.text("baseline")] + (1..<columns).map { .number(Double($0) * 1111) })
    table.add([.text("arbiter")] + (1..<columns).map { _ in .number(nil) })
    return table
  }

  @Test func `numbers stand at the right and unavailable ones are dashes`() {
    var table = Table(
      [.init("scheme"), .init("threads", .right), .init("GB/s", .right)], caption: "Virtual time.")
    table.addGroup("sequential")
    table.add(["baseline", .count(8), .number(1.5371)])
    table.add(["arbiter", .count(26), .number(nil)])
    #expect(
      table.text() == """
        scheme    threads  GB/s
        -----------------------
        sequential
        baseline        8  1.54
        arbiter        26     -
        Virtual time.

        """)
  }

  @Test(arguments: 2...30)
  func `no line is longer than the terminal and no cell is lost`(columns: Int) {
    let table = wide(columns: columns)
    let text = table.text(width: 80)
    for line in text.split(separator: "\n") { #expect(line.count <= 80) }
    for column in 1..<columns {
      let shown = Figures.rounded(Double(column) * 1111)
      #expect(text.split { $0 == " " || $0 == "\n" }.contains { $0 == shown })
    }
    // The key column stands in every part.
    let parts = text.split(separator: "\n").count { $0.hasPrefix("baseline") }
    #expect(text.split(separator: "\n").count { $0.hasPrefix("arbiter") } == parts)
    #expect(parts == (columns <= 8 ? 1 : parts))
  }

  @Test func `long text wraps inside its column`() {
    var table = Table([.init("key"), .init("value", .right), .init("source")])
    let source =
      "one thread on six modules writes 4.35 GB/s, as the published data of the module say"
    table.add(["store_issue_ns", .number(15), .text(source)])
    let text = table.text(width: 60)
    for line in text.split(separator: "\n") { #expect(line.count <= 60) }
    let words = text.split { $0 == " " || $0 == "\n" }.map(String.init)
    for word in source.split(separator: " ") { #expect(words.contains(String(word))) }
  }

  @Test func `a word that is wider than the terminal is shown whole`() {
    var table = Table([.init("path")])
    let path = String(repeating: "x", count: 100)
    table.add([.text(path)])
    #expect(table.text(width: 40).contains(path))
  }

  @Test func `text cannot move the cursor or break a row`() {
    var table = Table([.init("a"), .init("b", .right)])
    table.add(["x\ny\u{1B}[31m", .count(1)])
    #expect(table.text() == "a         b\n-----------\nx y [31m  1\n")
  }

  @Test func `a table without rows shows its header`() {
    #expect(Table([.init("a"), .init("b", .right)]).text() == "a  b\n----\n")
  }
}
