// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCommands
import ArbiterDevice
import ArbiterMetrics
import ArbiterPlatform
import ArbiterProfiler
import Testing

@Suite("Top: the screen as text")
struct TopScreenTests {
  @Test func `a window of 80 by 24 shows devices, tasks and what is missing`() {
    #expect(TopFixture.screen(columns: 80, rows: 24) == TopTranscripts.wide)
  }

  @Test func `a window of 40 by 10 keeps what matters most`() {
    #expect(TopFixture.screen(columns: 40, rows: 10) == TopTranscripts.narrow)
  }

  @Test func `a first reading has rates of nothing, never of 0`() {
    #expect(TopFixture.screen(columns: 80, rows: 24, isFirst: true) == TopTranscripts.first)
  }

  @Test func `a machine without anything says what it cannot see`() {
    #expect(TopFixture.screen(columns: 64, rows: 14, isBare: true) == TopTranscripts.bare)
  }

  @Test func `help lists every key`() {
    var state = TopState()
    state.showsHelp = true
    #expect(TopFixture.screen(columns: 80, rows: 30, state: state) == TopTranscripts.help)
    #expect(TopFixture.screen(columns: 40, rows: 10, state: state) == TopTranscripts.shortHelp)
  }

  @Test func `no size makes a line too long, a line too many, or no line at all`() {
    for isFirst in [false, true] {
      for showsHelp in [false, true] {
        var state = TopState()
        state.showsHelp = showsHelp
        state.isPaused = true
        for columns in [1, 2, 7, 19, 39, 40, 41, 63, 79, 80, 81, 120, 300] {
          for rows in [0, 1, 2, 3, 5, 9, 10, 11, 15, 16, 17, 23, 24, 60, 200] {
            let lines = TopScreen.render(
              TopFixture.view(isFirst: isFirst), state, columns: columns, rows: rows)
            #expect(lines.count == rows)
            #expect(lines.allSatisfy { $0.count <= columns })
          }
        }
      }
    }
  }

  @Test func `a window of the smallest size has a task even where devices are many`() {
    let lines = TopScreen.render(
      TopFixture.view(deviceCount: 9), TopState(), columns: TopScreen.columnsMin,
      rows: TopScreen.rowsMin)
    #expect(lines.contains { $0.contains("more devices") })
    #expect(lines.contains { $0.contains("4711") })
  }

  @Test func `what a program calls itself cannot drive the terminal`() {
    let view = TopFixture.view(command: "\u{1B}[2J\u{7}文é")
    let lines = TopScreen.render(view, TopState(), columns: 80, rows: 24)
    #expect(lines.contains { $0.contains("?[2J???") })
    #expect(lines.joined().unicodeScalars.allSatisfy { (0x20...0x7E).contains($0.value) })
  }

  @Test func `a page for a file leaves nothing out`() {
    let lines = TopScreen.page(
      TopFixture.view(deviceCount: 31, taskCount: 101), TopState(), columns: 80)
    #expect(!lines.contains { $0.contains(" more devices") || $0.contains(" more tasks") })
    #expect(lines.filter { $0.contains("writer") || $0.contains("reader") }.count == 101)
    #expect(lines.allSatisfy { $0.count <= 80 })
  }

  @Test(arguments: [
    (0.0, "0"), (0.001, "<.01"), (0.25, "0.25"), (1, "1"), (9.994, "9.99"), (9.996, "10.0"),
    (99.94, "99.9"), (99.96, "100"), (999.4, "999"), (999.6, "1.00k"), (1000, "1k"),
    (1_234_567, "1.23M"), (45e9, "45G"), (1e30, ">999P"),
  ])
  func `figures keep three places and five characters`(number: Double, text: String) {
    #expect(TopFigures.scaled(number) == text)
    #expect(text.count <= 5)
  }

  @Test func `what is missing is a dash`() {
    #expect(TopFigures.scaled(nil) == "-" && TopFigures.percent(nil) == "-")
    #expect(TopFigures.time(nanoseconds: nil) == "-" && TopFigures.scaled(.nan) == "-")
    #expect(TopFigures.percent(0.0001) == "<.1%" && TopFigures.percent(0) == "0.0%")
    #expect(TopFigures.percent(1.5) == "150%" && TopFigures.time(nanoseconds: 1500) == "1.50us")
  }
}

@Suite("Top: keys")
struct TopKeyTests {
  private func press(_ text: String, _ state: inout TopState) -> [TopState.Effect] {
    text.map { state.press(.character($0), taskCount: 10) }
  }

  @Test func `letters choose an order, and r turns it round`() {
    var state = TopState()
    for order in TopState.Order.allCases where order != .written {
      #expect(state.press(.character(order.key), taskCount: 3) == .redraw)
      #expect(state.order == order)
    }
    #expect(Set(TopState.Order.allCases.map(\.key)).count == TopState.Order.allCases.count)
    #expect(press("n", &state) == [.nothing], "nothing has changed")
    #expect(press("r", &state) == [.redraw] && state.isReversed)
    #expect(press("e", &state) == [.redraw] && state.showsEveryProcess)
  }

  @Test func `q ends, also from the help; any other key leaves the help`() {
    var state = TopState()
    #expect(press("q", &state) == [.quit])
    #expect(press("h", &state) == [.redraw] && state.showsHelp)
    #expect(press("c", &state) == [.redraw] && !state.showsHelp && state.order == .written)
    #expect(press("?q", &state) == [.redraw, .quit])
    #expect(press("\u{7}", &state) == [.redraw] && !state.showsHelp)
    #expect(press("zZ1", &state) == [.nothing, .nothing, .nothing])
  }

  @Test func `the interval steps through its values and stops at both ends`() {
    var state = TopState(intervalSeconds: 1.5)
    #expect(press("+", &state) == [.redraw] && state.intervalSeconds == 2)
    #expect(press("---", &state) == [.redraw, .redraw, .redraw])
    #expect(state.intervalSeconds == 0.25)
    #expect(press("-", &state) == [.nothing])
    _ = press("+++++++++", &state)
    #expect(state.intervalSeconds == 60 && press("+", &state) == [.nothing])
  }

  @Test func `scrolling stops at the first and the last task`() {
    var state = TopState()
    #expect(state.press(.up, taskCount: 5) == .nothing)
    #expect(state.press(.end, taskCount: 5) == .redraw && state.skippedCount == 4)
    #expect(state.press(.pageDown, taskCount: 5) == .nothing)
    #expect(state.press(.pageUp, taskCount: 5) == .redraw && state.skippedCount == 0)
    #expect(state.press(.down, taskCount: 0) == .nothing)
  }

  @Test func `orders put the largest first and what is unavailable last`() {
    let tasks = TopFixture.view().interval.tasks
    func order(_ order: TopState.Order, isReversed: Bool = false) -> [Int32] {
      var state = TopState()
      state.order = order
      state.isReversed = isReversed
      return state.ordered(tasks).map(\.task.process)
    }
    #expect(order(.written) == [4711, 4712, 4713])
    #expect(order(.written, isReversed: true) == [4713, 4712, 4711])
    #expect(order(.cpu) == [4713, 4712, 4711])
    #expect(order(.process) == [4711, 4712, 4713])
    #expect(order(.command) == [4713, 4711, 4712])
  }

  @Test func `sequences of a terminal are keys, whole or in pieces`() {
    var reader = TopKeyReader()
    #expect(
      reader.add(Array("\u{1B}[A\u{1B}OBq\u{1B}[5~\u{1B}[6~".utf8)) == [
        .up, .down, .character("q"), .pageUp, .pageDown,
      ])
    #expect(reader.add([0x1B]).isEmpty && reader.isOpen)
    #expect(reader.add(Array("[".utf8)).isEmpty)
    #expect(reader.add(Array("H".utf8)) == [.home] && !reader.isOpen)
    #expect(reader.add([0x1B]).isEmpty)
    #expect(reader.timeOut() == [.escape] && reader.timeOut().isEmpty)
    #expect(reader.add(Array("\u{1B}q".utf8)) == [.escape, .character("q")])
    #expect(reader.add(Array("\u{1B}[999;9Z".utf8)) == [.unknown])
    #expect(reader.add([0x1B, 0x5B] + Array(repeating: 0x31, count: 40)).first == .unknown)
    #expect(reader.add([0xC3, 0x09]) == [.unknown, .unknown])
  }
}
