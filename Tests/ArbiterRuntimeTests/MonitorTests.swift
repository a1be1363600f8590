// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterPlatform
import ArbiterRuntime
import ArbiterScheduler
import CTestSupport
import Glibc
import Testing

/// A controller that always asks for a delay per registered gate.
struct EagerController: Controller {
  var settings = GateSettings(delayNanoseconds: 1000)
  var steps = 0
  var phase: String { "eager \(steps)" }

  mutating func step(snapshot: CounterSnapshot, activity: GateActivity) -> GateSettings {
    steps += 1
    return settings
  }

  mutating func registrationChanged(registeredCount: Int) -> GateSettings {
    settings.delayNanoseconds = 1000 * Double(1 + registeredCount)
    return settings
  }
}

/// Counters that move, as a module's would.
struct MovingCounters: CounterReader {
  var source: CounterSource { .estimate }
  var reasonForAbsence: String? { nil }
  var bytes: UInt64 = 0

  mutating func snapshot() -> CounterSnapshot {
    bytes += 4096
    return CounterSnapshot(
      timeNanoseconds: SystemClock.monotonicRawNanoseconds(), source: .estimate,
      imcWriteBytes: bytes, mediaWriteBytes: 2 * bytes)
  }
}

@Suite("Monitor")
struct MonitorTests {
  private func board() throws -> GateBoard {
    try GateBoard(capacity: 4, clock: try TimeStampClock.calibrate())
  }

  @Test func `what the controller decides is published and undone at the end`() throws {
    let board = try board()
    let monitor = try Monitor(
      board: board, reader: MovingCounters(), controller: EagerController(),
      periodNanoseconds: 1_000_000)
    #expect(eventually { board.publishedWord.settings.delayNanoseconds == 1000 })
    // More publications than the first, so that periods have passed.
    #expect(eventually { board.publishedWord.version > 3 })
    let summary = monitor.stop()
    #expect(summary.periodCount >= 2)
    #expect(summary.finalPhase == "eager \(summary.periodCount)")
    #expect(summary.delayNanosecondsMax == 1000)
    #expect(board.publishedWord.settings == .open)
    #expect(monitor.stop() == summary)
  }

  /// Counters that are read now and then, as a module's are: in between the last reading stays.
  struct SlowCounters: CounterReader {
    var source: CounterSource { .module }
    var reasonForAbsence: String? { nil }
    let everyNanoseconds: Int64
    var last: CounterSnapshot?

    mutating func snapshot() -> CounterSnapshot {
      let now = SystemClock.monotonicRawNanoseconds()
      if let last, now - last.timeNanoseconds < everyNanoseconds { return last }
      let new = CounterSnapshot(
        timeNanoseconds: now, source: .module, imcWriteBytes: UInt64(now),
        mediaWriteBytes: UInt64(now))
      last = new
      return new
    }
  }

  @Test func `a period lasts until the counters have something new`() throws {
    let board = try board()
    let started = SystemClock.monotonicRawNanoseconds()
    let monitor = try Monitor(
      board: board, reader: SlowCounters(everyNanoseconds: 50_000_000),
      controller: EagerController(), periodNanoseconds: 1_000_000)
    usleep(400_000)
    let summary = monitor.stop()
    let periodsMax = Int((SystemClock.monotonicRawNanoseconds() - started) / 50_000_000) + 1
    #expect((2...periodsMax).contains(summary.periodCount))
    // Each is one step of the controller.
    #expect(summary.finalPhase == "eager \(summary.periodCount)")
  }

  @Test func `without counters no delay is ever published`() throws {
    let board = try board()
    let monitor = try Monitor(
      board: board, reader: UnavailableCounters(reason: "none"), controller: EagerController(),
      periodNanoseconds: 100_000)
    var gate = try Gate(on: board)
    #expect(eventually { board.publishedWord.version > 20 })
    for index in 0..<1000 { gate.pass(address: UInt64(index) * 256, length: 64) }
    let summary = monitor.stop()
    #expect(summary.periodCount > 0)
    #expect(summary.delayNanosecondsMax == 0)
    #expect(gate.waitTotals.count == 0)
  }

  @Test func `a gate that registers is answered before the period ends`() throws {
    let board = try board()
    let monitor = try Monitor(
      board: board, reader: MovingCounters(), controller: EagerController(),
      periodNanoseconds: 10_000_000_000)
    #expect(eventually { board.publishedWord.settings.delayNanoseconds == 1000 })
    let start = SystemClock.monotonicRawNanoseconds()
    do {
      let gate = try Gate(on: board)
      #expect(eventually { board.publishedWord.settings.delayNanoseconds == 2000 })
      _ = gate.waitTotals
    }
    #expect(eventually { board.publishedWord.settings.delayNanoseconds == 1000 })
    let summary = monitor.stop()
    #expect(SystemClock.monotonicRawNanoseconds() - start < 5_000_000_000)
    #expect(summary.periodCount == 0)
    #expect(summary.registrationChangeCount == 2)
  }

  @Test func `a gate whose thread ended without leaving is found missing`() throws {
    let board = try board()
    let monitor = try Monitor(
      board: board, reader: MovingCounters(), controller: EagerController(),
      periodNanoseconds: 1_000_000)
    let victim = unsafe arb_test_spawn_permit_holder(try #require(board.page.path), 1)
    try #require(victim > 0)
    #expect(eventually { board.publishedWord.settings.delayNanoseconds == 2000 })
    kill(victim, SIGKILL)
    var status: Int32 = 0
    unsafe _ = waitpid(victim, &status, 0)
    #expect(eventually { board.publishedWord.settings.delayNanoseconds == 1000 })
    #expect(monitor.stop().registrationChangeCount == 2)
  }
}
