// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterReport
import Foundation
import Testing

private func terminal(
  _ isTerminal: Bool = true, columns: Int? = 100, choice: ColorChoice = .auto,
  _ environment: [String: String] = ["TERM": "xterm"]
) -> Terminal {
  Terminal(isTerminal: isTerminal, windowColumns: columns, choice: choice) { environment[$0] }
}

@Suite("Terminal")
struct TerminalTests {
  @Test(arguments: [
    (true, ColorChoice.auto, ["TERM": "xterm"], true),
    (false, .auto, ["TERM": "xterm"], false),
    (true, .auto, ["TERM": "dumb"], false),
    (true, .auto, [:], false),
    (true, .auto, ["TERM": "xterm", "NO_COLOR": "1"], false),
    (true, .auto, ["TERM": "xterm", "NO_COLOR": ""], true),
    (false, .always, ["TERM": "dumb", "NO_COLOR": "1"], true),
    (true, .never, ["TERM": "xterm"], false),
  ])
  func `colour follows the option, then the environment`(
    isTerminal: Bool, choice: ColorChoice, environment: [String: String], hasColor: Bool
  ) {
    #expect(terminal(isTerminal, choice: choice, environment).hasColor == hasColor)
  }

  @Test func `the width is stated, measured or 80`() {
    #expect(terminal(true, columns: 120).columns == 120)
    #expect(terminal(true, columns: 120, ["COLUMNS": "90"]).columns == 90)
    #expect(terminal(false, columns: 120).columns == 80)
    #expect(terminal(true, columns: nil).columns == 80)
    #expect(terminal(true, columns: 0).columns == 80)
    #expect(terminal(true, columns: 3).columns == 40)
    #expect(terminal(true, columns: 5000).columns == 200)
    #expect(terminal(true, columns: 120, ["COLUMNS": "wide"]).columns == 120)
    #expect(terminal(true, columns: 120, ["COLUMNS": "-4"]).columns == 120)
  }

  @Test func `text is left alone where there is no colour`() {
    #expect(terminal(false).styled("x", .bold) == "x")
    #expect(terminal().styled("x", .bold, .red) == "\u{1B}[1;31mx\u{1B}[0m")
  }

  @Test func `a file is not a terminal`() throws {
    let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/dev/null"))
    let seen = Terminal.of(descriptor: file.fileDescriptor) { _ in nil }
    #expect(!seen.isTerminal)
    #expect(seen.columns == 80)
  }
}

@Suite("Progress")
struct ProgressTests {
  @Test func `nothing is shown in the first second`() {
    for isTerminal in [true, false] {
      var meter = ProgressMeter("runs", on: terminal(isTerminal))
      let early = meter.update(share: 0.99, atSeconds: 0.999)
      let end = meter.finish()
      let late = meter.update(share: 0.99, atSeconds: 1)
      #expect(early == nil)
      #expect(end == nil)
      #expect(late != nil)
    }
  }

  @Test func `a terminal has one line, rewritten at most ten times a second`() {
    var meter = ProgressMeter("runs", on: terminal())
    let first = meter.update(share: 0.25, atSeconds: 2, detail: "8 threads")
    let early = meter.update(share: 0.26, atSeconds: 2.09)
    let late = meter.update(share: 0.26, atSeconds: 2.11)
    let end = meter.finish()
    let after = meter.finish()
    #expect(first == "\rruns 25 %, 6.00 s left, 8 threads\u{1B}[K")
    #expect(early == nil)
    #expect(late != nil)
    #expect(end == "\r\u{1B}[K")
    #expect(after == nil)
  }

  @Test func `a file has a line for every tenth`() {
    var meter = ProgressMeter("runs", on: terminal(false))
    var lines: [String] = []
    for step in 0...1000 {
      if let line = meter.update(share: Double(step) / 1000, atSeconds: 1 + Double(step)) {
        lines.append(line)
      }
    }
    #expect(lines.count == 10)
    #expect(lines.first?.hasPrefix("runs 10 %, ") == true)
    #expect(lines.last == "runs 100 %\n")
    #expect(lines.allSatisfy { $0.hasSuffix("\n") && !$0.contains("\u{1B}") })
    let end = meter.finish()
    #expect(end == nil)
  }

  @Test func `a line never fills the terminal and says when it is cut`() throws {
    var meter = ProgressMeter("runs", on: terminal(columns: 40))
    let detail = String(repeating: "x", count: 100)
    let shown = meter.update(share: 0.5, atSeconds: 2, detail: detail)
    let line = try #require(shown)
    #expect(line.hasSuffix("…\u{1B}[K"))
    #expect(line.dropFirst().dropLast(3).count == 39)
  }

  @Test func `a share outside 0 to 1 does not trap`() {
    var meter = ProgressMeter("runs", on: terminal())
    for share in [-1, 2, Double.nan, .infinity] {
      let line = meter.update(share: share, atSeconds: 5)
      #expect(line == nil || line?.contains(" 0 %") == true || line?.contains(" 100 %") == true)
    }
  }
}
