// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterReport
import Foundation
import Testing

@Suite("Heat pictures")
struct HeatPictureTests {
  /// A writer that goes from front to back: one cell in each of eight columns.
  private static func diagonal(_ count: Int = 8) -> HeatPicture.Panel {
    HeatPicture.Panel(
      name: "/data/a<b>&c", facts: ["64 KiB"], startBytes: 0, rowBytes: 8192,
      rows: (0..<count).map { row in (0..<count).map { $0 == row ? 100 : 0 } })
  }

  /// The upper half is a hundred times as hot as the lower; nothing in between.
  private static let bands = HeatPicture.Panel(
    name: "bands", facts: [], startBytes: 0, rowBytes: 4096,
    rows: (0..<8).map { row in
      row == 3 || row == 4 ? nil : Array(repeating: row < 4 ? 1 : 100, count: 8)
    })

  private static func picture(_ panels: [HeatPicture.Panel], columnCount: Int = 8) -> HeatPicture {
    HeatPicture(
      title: "arbiter heat: ./a", meaning: "Colours are bytes.", unit: "bytes",
      startNanoseconds: 0, columnNanoseconds: 1_000_000, columnCount: columnCount,
      panels: panels, remarks: ["No event was lost."])
  }

  /// Rectangles of a drawing by colour: column, line from the top, width.
  private static func cells(_ svg: String) -> [String: [[Int]]] {
    var cells: [String: [[Int]]] = [:]
    for line in svg.split(separator: "\n") where line.hasPrefix("<path fill=\"#") {
      let parts = line.split(separator: "\"").map(String.init)
      let runs = parts[3].split(separator: "z").map { run in
        run.split { !$0.isNumber }.compactMap { Int($0) }
      }
      cells[parts[1], default: []] += runs.map { Array($0.prefix(3)) }
    }
    return cells
  }

  @Test func `a diagonal rises from the lower left in one colour`() {
    let svg = Self.picture([Self.diagonal()]).svg()
    #expect(Self.cells(svg) == ["#440154": (0..<8).map { [$0, 7 - $0, 1] }])
    #expect(svg.contains("/data/a&lt;b&gt;&amp;c") && !svg.contains("<b>"))
    #expect(svg.contains("translate(96 ") && svg.contains("scale(104.5 12.0)"))
    for label in ["0 B", "32 KiB", "2 ms", "6 ms", "100 B", "No event was lost."] {
      #expect(svg.contains(">\(label)<"), "\(label)")
    }
  }

  @Test func `equal neighbours are one rectangle, and the hottest are the darkest`() {
    let cells = Self.cells(Self.picture([Self.bands]).svg())
    #expect(
      cells == [
        "#440154": [[0, 2, 8], [0, 1, 8], [0, 0, 8]],
        "#a5db36": [[0, 7, 8], [0, 6, 8], [0, 5, 8]],
      ])
  }

  @Test func `merging cells keeps sums and their places`() {
    let reduced = Self.picture([Self.diagonal()]).reduced(columnsMax: 4, rowsMax: { _ in 3 })
    #expect(reduced.columnCount == 4 && reduced.columnNanoseconds == 2_000_000)
    #expect(reduced.panels[0].rowBytes == 3 * 8192)
    #expect(
      reduced.panels[0].rows == [[200, 100, 0, 0], [0, 100, 200, 0], [0, 0, 0, 200]])
  }

  @Test func `noise of the largest size stays below the limit of a file`() {
    var state: UInt64 = 1
    func noise() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 48)
    }
    let panels = (0..<8).map { panel in
      HeatPicture.Panel(
        name: "\(panel)", facts: [], startBytes: 0, rowBytes: 64,
        rows: (0..<256).map { _ in (0..<256).map { _ in noise() } })
    }
    let svg = Self.picture(panels, columnCount: 256).svg()
    #expect(svg.utf8.count <= HeatPicture.svgBytesMax && svg.utf8.count > 200_000)
  }

  @Test func `letters show a diagonal on a terminal without colour`() {
    let text = Self.picture([Self.diagonal()]).text(
      on: HeatCanvas(ink: .letters, columns: 40, rows: 20))
    #expect(
      text == """
        arbiter heat: ./a
        Colours are bytes.

        /data/a<b>&c: 64 KiB, a cell is 8 KiB x
        1.00 ms
                   |                     @@@
                   |                  @@@
                   |               @@@
            32 KiB |            @@@
                   |         @@@
                   |      @@@
                   |   @@@
               0 B |@@@
                   ++--------------+--------
                    0 ms         5 ms

        Every cell that is not blank: 100 B,
        bytes in a cell

        """)
  }

  @Test func `letters tell hot bands from cold ones`() {
    let text = Self.picture([Self.bands]).text(
      on: HeatCanvas(ink: .letters, columns: 40, rows: 20))
    let rows = text.split(separator: "\n").filter { $0.contains("|") }.map {
      $0.split(separator: "|", omittingEmptySubsequences: false)[1].first ?? " "
    }
    #expect(String(rows) == "@@@  ...")
    #expect(text.hasSuffix("\n1 B [.:-=+*#%@] 100 B\nbytes in a cell; blank: none\n"))
  }

  @Test(arguments: [40, 63, 80, 200])
  func `no line of letters is wider than the terminal`(width: Int) {
    let text = Self.picture([Self.diagonal(), Self.bands]).text(
      on: HeatCanvas(ink: .letters, columns: width, rows: 24))
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= width })
  }

  @Test func `half blocks hold two rows, in colours that the terminal has`() {
    let picture = Self.picture([Self.bands])
    let true24 = picture.text(on: HeatCanvas(ink: .trueColors, columns: 40, rows: 20))
    let hot = "\u{1B}[0;38;2;253;231;37;48;2;253;231;37m▀"
    #expect(true24.contains(hot))
    // A row beside nothing is half a block, and the terminal's own ground stays.
    #expect(true24.contains("\u{1B}[0;38;2;253;231;37m▀"))
    let indexed = picture.text(on: HeatCanvas(ink: .indexedColors, columns: 40, rows: 20))
    #expect(indexed.contains("\u{1B}[0;38;5;220;48;5;220m▀") && !indexed.contains(";2;253"))
  }

  @Test func `what a terminal can show follows from its environment`() {
    func ink(_ variables: [String: String], isTerminal: Bool = true) -> HeatCanvas.Ink {
      let terminal = Terminal(isTerminal: isTerminal, windowColumns: 100) { variables[$0] }
      return HeatCanvas(terminal, windowRows: 40) { variables[$0] }.ink
    }
    let plain = ["TERM": "xterm", "LANG": "en_US.UTF-8"]
    #expect(ink(plain) == .indexedColors)
    #expect(ink(plain.merging(["COLORTERM": "truecolor"]) { $1 }) == .trueColors)
    #expect(ink(plain.merging(["NO_COLOR": "1"]) { $1 }) == .letters)
    #expect(ink(["TERM": "xterm", "LANG": "C"]) == .letters)
    #expect(ink(plain, isTerminal: false) == .letters)
  }

  @Test func `gnuplot draws the picture as PNG, or is known to be missing`() throws {
    let folder = FileManager.default.temporaryDirectory.appending(
      path: "arbiter-heat-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "a b'c.png")
    let picture = Self.picture([Self.diagonal(), Self.bands])
    let missing = try picture.drawPNG(to: file.path) { _, _ in .programMissing }
    #expect(missing == .programMissing)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    guard try picture.drawPNG(to: file.path) == .drawn else { return }
    let bytes = try Data(contentsOf: file)
    #expect(Array(bytes.prefix(8)) == [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
    #expect(bytes.count > 5000)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a b'c.png"])
  }
}
