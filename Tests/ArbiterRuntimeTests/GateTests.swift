// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterMemory
import ArbiterPlatform
import ArbiterRuntime
import ArbiterScheduler
import ArbiterTestSupport
import CArbiterGate
import CTestSupport
import Glibc
import Testing

@Suite("Settings word")
struct SettingsWordTests {
  @Test func `every kind of settings survives the packing`() {
    for point in DelayPoint.allCases {
      for anchor in [DelayAnchor.arrival, .previous] {
        for isFenced in [false, true] {
          for delay in [0, 0.001, 1.5, 449, 123_456.789, 1e9] {
            let settings = GateSettings(
              delayNanoseconds: delay, point: point, anchor: anchor, isFencedAtBlocks: isFenced)
            let word = SettingsWord(settings, version: 77)
            #expect(word.settings == settings)
            #expect(word.version == 77)
            #expect(word.hasDelay == (delay > 0))
            #expect(word.bits >> 62 == 0)
            let recording = SettingsWord(settings, version: 77, isRecording: true)
            #expect(recording.settings == settings)
            #expect(recording.isRecording && !word.isRecording)
          }
        }
      }
    }
  }

  @Test func `senseless delays are none and long ones the longest`() {
    func packed(_ delay: Double) -> Double {
      SettingsWord(GateSettings(delayNanoseconds: delay), version: 0).settings.delayNanoseconds
    }
    #expect(packed(-5) == 0)
    #expect(packed(.nan) == 0)
    #expect(packed(.infinity) == SettingsWord.delayNanosecondsMax)
    #expect(packed(1e12) == SettingsWord.delayNanosecondsMax)
  }

  @Test func `versions wrap and never reach the foreign bit`() {
    let word = SettingsWord(GateSettings(delayNanoseconds: 1e12), version: 1 << 17 + 3)
    #expect(word.version == 3)
    #expect(word.bits >> 63 == 0)
  }
}

// A gate on its way to another thread, where it does not belong.
// SAFETY: one thread fills the box, and another drops it later; nobody uses the gate in between.
final class GateBox: @unchecked Sendable {
  let gate: Gate

  private init(_ gate: consuming Gate) { self.gate = gate }

  /// Makes a gate of the calling thread that the box alone holds.
  static func fill(_ box: Shared<GateBox?>, from board: GateBoard) {
    guard let gate = try? Gate(on: board) else { return }
    let parcel = GateBox(gate)
    box.change { $0 = parcel }
  }
}

@Suite("Gate", .serialized)
struct GateTests {
  let clock: TimeStampClock

  init() throws {
    clock = try TimeStampClock.calibrate()
  }

  /// The shortest time that one of several passes takes, in counts; preemption only lengthens.
  private func shortestPass(_ gate: inout Gate, stride: UInt64 = 256) -> Int64 {
    var shortest = Int64.max
    for index in 0..<200 {
      let start = TimeStampClock.nowOrdered()
      gate.pass(address: UInt64(index) * stride, length: 64)
      shortest = min(shortest, TimeStampClock.nowOrdered() - start)
    }
    return shortest
  }

  @Test(arguments: [200.0, 2000, 20_000])
  func `a delay lasts at least as long as asked for`(nanoseconds: Double) throws {
    let board = try GateBoard(capacity: 1, clock: clock)
    board.publish(GateSettings(delayNanoseconds: nanoseconds))
    var gate = try Gate(on: board)
    let asked = Int64(nanoseconds * clock.ticksPerNanosecond)
    let shortest = shortestPass(&gate)
    #expect(shortest >= asked)
    #expect(Double(shortest) < Double(asked) + 1000 * clock.ticksPerNanosecond)
    let waits = gate.waitTotals
    #expect(waits.count == 200)
    #expect(waits.requestedTicks == 200 * asked)
    #expect(waits.actualTicks >= waits.requestedTicks)
  }

  @Test func `no request exceeds the maximum whatever is published`() throws {
    let board = try GateBoard(capacity: 1, clock: clock, maximumWaitNanoseconds: 5000)
    var gate = try Gate(on: board)
    for delay in [1e3, 1e6, 1e9, .infinity] {
      for anchor in [DelayAnchor.arrival, .previous] {
        board.publish(GateSettings(delayNanoseconds: delay, point: .access, anchor: anchor))
        for index in 0..<10 { gate.pass(address: UInt64(index) * 4096, length: 4096) }
      }
    }
    let waits = gate.waitTotals
    #expect(waits.count > 0)
    #expect(waits.requestedTicksMax == Int64(5000 * clock.ticksPerNanosecond))
  }

  @Test func `settings reach a gate with its next store and leave it again`() throws {
    let board = try GateBoard(capacity: 1, clock: clock)
    var gate = try Gate(on: board)
    gate.pass(address: 0, length: 64)
    #expect(gate.waitTotals.count == 0)
    board.publish(GateSettings(delayNanoseconds: 100, point: .access))
    gate.pass(address: 0, length: 64)
    #expect(gate.waitTotals.count == 1)
    board.publish(.open)
    gate.pass(address: 0, length: 64)
    gate.pass(address: 64, length: 64)
    #expect(gate.waitTotals.count == 1)
    #expect(board.publishedWord.version == 2)
  }

  @Test func `fences stand at block boundaries and need no delay`() throws {
    let board = try GateBoard(capacity: 1, clock: clock)
    board.publish(GateSettings(isFencedAtBlocks: true))
    var gate = try Gate(on: board)
    for line in 0..<64 { gate.pass(address: UInt64(line) * 64, length: 64) }
    #expect(gate.waitTotals.fenceCount == 16)
    #expect(gate.waitTotals.count == 0)
  }

  @Test func `activity is counted and survives a gate`() throws {
    let board = try GateBoard(capacity: 3, clock: clock)
    var observer = ActivityObserver(of: board)
    do {
      var first = try Gate(on: board)
      let second = try Gate(on: board)
      for index in 0..<10 { first.pass(address: UInt64(index) * 256, length: 256) }
      #expect(
        observer.look()
          == GateActivity(
            registeredCount: 2, writerCount: 1, storedBytes: 2560, accessCount: 10))
      #expect(observer.look().writerCount == 0)
      _ = second.waitTotals
    }
    #expect(board.registeredCount == 0)
    var again = try Gate(on: board)
    again.pass(address: 0, length: 64)
    #expect(
      observer.look()
        == GateActivity(registeredCount: 1, writerCount: 1, storedBytes: 2624, accessCount: 11))
  }

  @Test func `a gate that ends on another thread stays its maker's until that thread ends`() throws
  {
    let made = Shared(false)
    let ended = Shared(false)
    let box = Shared<GateBox?>(nil)
    let board = try GateBoard(capacity: 1, clock: clock)
    let crew = Crew()
    try crew.add {
      GateBox.fill(box, from: board)
      made.change { $0 = true }
      _ = eventually { ended.value }
    }
    #expect(eventually { made.value })
    box.change { $0 = nil }
    // The place is not free yet: its mutex lies in the list of the thread that made the gate.
    #expect(board.registeredCount == 1)
    ended.change { $0 = true }
    crew.join()
    #expect(board.page.reap() == 1)
    #expect(board.registeredCount == 0)
    _ = try Gate(on: board)
  }

  @Test func `a full board refuses another gate`() throws {
    let board = try GateBoard(capacity: 1, clock: clock)
    let gate = try Gate(on: board)
    do throws(PlatformError) {
      _ = try Gate(on: board)
      Issue.record("a second gate was let in")
    } catch {
      #expect(error.code == .resourceLimit)
    }
    _ = gate.waitTotals
  }

  @Test func `a gate stops waiting once the controller is silent for too long`() throws {
    let board = try GateBoard(capacity: 1, clock: clock)
    board.publish(GateSettings(delayNanoseconds: 1000))
    var gate = try Gate(on: board)
    board.beat(staleAfter: 1e9)
    gate.pass(address: 0, length: 64)
    #expect(gate.waitTotals.count == 1)
    board.beat(staleAfter: 1_000_000)
    usleep(5000)
    for index in 1...10 { gate.pass(address: UInt64(index) * 256, length: 64) }
    #expect(gate.waitTotals.count == 1)
    #expect(gate.waitTotals.staleCount == 10)
    // It is back.
    board.beat(staleAfter: 1e9)
    gate.pass(address: 1 << 20, length: 64)
    #expect(gate.waitTotals.count == 2)
  }

  @Test func `fences end too when the controller is silent`() throws {
    let board = try GateBoard(capacity: 1, clock: clock)
    board.publish(GateSettings(isFencedAtBlocks: true))
    board.beat(staleAfter: 1_000_000)
    var gate = try Gate(on: board)
    usleep(5000)
    for index in 0..<1000 { gate.pass(address: UInt64(index) * 256, length: 64) }
    // The clock is looked at once in a while.
    #expect(gate.waitTotals.fenceCount <= 64)
    #expect(gate.waitTotals.staleCount >= 900)
  }

  @Test func `the gate's arithmetic is that of the model's gate`() {
    let seed = ProcessSeed.value
    var random = SeededRandom(seed: seed)
    for _ in 0..<2000 {
      let maximum = Int64(random.below(1 << 20))
      var pace = Pace(maximumWaitTicks: maximum)
      var twin = ArbPace()
      unsafe arb_pace_init(&twin, maximum)
      var now: Int64 = 0
      var address: UInt64 = 0
      for step in 0..<100 {
        if step % 10 == 0 {
          let settings = GateSettings(
            delayNanoseconds: Double(random.below(4)) * Double(random.below(100_000)),
            point: random.below(2) == 0 ? .access : .block,
            anchor: random.below(2) == 0 ? .arrival : .previous,
            isFencedAtBlocks: random.below(2) == 0)
          pace.apply(settings, ticksPerNanosecond: 2.5)
          unsafe arb_pace_apply(&twin, SettingsWord(settings, version: 0).bits, 2.5)
        }
        now += Int64(random.below(3000))
        if random.below(3) == 0 { address = UInt64(random.below(1 << 30)) }
        let length = UInt64(1 + random.below(random.below(2) == 0 ? 64 : 1 << 23))
        let expected = pace.admit(address: address, length: length, now: now)
        let found = unsafe arb_pace_admit(&twin, address, length, now)
        #expect(found.wait_ticks == expected.waitTicks, "repeat with ARBITER_SEED=\(seed)")
        #expect((found.fence_first != 0) == expected.fenceFirst, "repeat with ARBITER_SEED=\(seed)")
        address += length
      }
    }
  }

  @Test func `what gates record is what they let pass, in order`() throws {
    let board = try GateBoard(capacity: 2, clock: clock)
    var gate = try Gate(on: board)
    gate.pass(address: 64, length: 64)
    #expect(board.page.gates(ofSession: 0).first?.counts.accessCount == 1)
    board.setRecording(true)
    for index in 0..<5 { gate.pass(address: UInt64(index) * 256 + 32, length: 64) }
    board.setRecording(false)
    gate.pass(address: 0, length: 64)
    var mapping = unsafe ArbMapping()
    let status = unsafe arb_page_open(try #require(board.page.path), &mapping)
    #expect(status == 0)
    defer { unsafe arb_page_close(&mapping) }
    guard let page = unsafe mapping.page else { return }
    let recordCount = unsafe arb_page_slot(page, 0).pointee.counts.record_count
    #expect(recordCount == 5)
    for index in 0..<5 {
      let record = unsafe arb_page_records(page, 0)[index]
      // 64 bytes from the middle of a line touch two lines.
      #expect(record.lines == UInt64(index) * 4 << 20 | 2)
    }
  }

  @Test func `many gates see only settings that were published`() throws {
    let board = try GateBoard(capacity: 8, clock: clock)
    let bad = Shared(0)
    let crew = Crew()
    for _ in 0..<7 {
      try crew.add {
        var wrong = 0
        for _ in 0..<20_000 {
          let settings = board.publishedWord.settings
          // The publisher always pairs an even delay with arrival and an odd one with previous.
          let isOdd = Int(settings.delayNanoseconds) % 2 == 1
          if isOdd != (settings.anchor == .previous) { wrong += 1 }
        }
        let count = wrong
        bad.change { $0 += count }
      }
    }
    for delay in 0..<20_000 {
      board.publish(
        GateSettings(
          delayNanoseconds: Double(delay), anchor: delay % 2 == 1 ? .previous : .arrival))
    }
    crew.join()
    #expect(bad.value == 0)
  }
}

@Suite("Data path", .serialized)
struct DataPathTests {
  /// Open, delayed and fenced stores through a gate, as a run makes them.
  private static func storeThroughGate(
    _ gate: inout Gate, _ board: GateBoard, _ memory: UnsafeMutableRawPointer
  ) {
    for index in 0..<4000 {
      gate.pass(address: UInt64(index % 256) * 64, length: 64)
      let stamp = LineStamp(seed: 1, thread: 2, sequence: UInt64(index), offset: 3)
      unsafe LineWriter.storeNonTemporal(stamp.line, to: memory + index % 256 * 64)
    }
    LineWriter.fence()
  }

  /// Runs the body under open, delaying and fencing settings.
  private func underAllSettings(
    _ body: (inout Gate, GateBoard, UnsafeMutableRawPointer) -> Void
  ) throws {
    let clock = try TimeStampClock.calibrate()
    let board = try GateBoard(capacity: 1, clock: clock)
    var gate = try Gate(on: board)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 256 * 64, alignment: 4096)
    defer { unsafe memory.deallocate() }
    // First touches of pages and of lazily bound functions come before the proof.
    unsafe Self.storeThroughGate(&gate, board, memory)
    for settings in [
      GateSettings.open, GateSettings(delayNanoseconds: 300),
      GateSettings(delayNanoseconds: 50, point: .access, anchor: .previous, isFencedAtBlocks: true),
    ] {
      board.publish(settings)
      unsafe body(&gate, board, memory)
    }
  }

  @Test(
    .enabled(
      if: arb_test_counts_allocations() != 0, "a sanitizer needs malloc for itself"))
  func `nothing is allocated`() throws {
    unsafe try underAllSettings { gate, board, memory in
      let before = arb_test_allocation_count()
      unsafe Self.storeThroughGate(&gate, board, memory)
      let after = arb_test_allocation_count()
      #expect(after == before)
    }
    // The proof of the proof: an array whose size the compiler cannot know.
    let before = arb_test_allocation_count()
    let array = Array(repeating: before, count: 100 + Int(before % 7))
    #expect(arb_test_allocation_count() > before, "\(array.count) words were allocated")
  }

  private static var canWatch: Bool {
    defer { _ = arb_test_unwatch_system_calls() }
    return arb_test_watch_system_calls() == 0
  }

  @Test(.enabled(if: canWatch, "the kernel has no syscall user dispatch"))
  func `no system call is made`() throws {
    try #require(arb_test_watch_system_calls() == 0)
    arb_test_make_system_call()
    #expect(arb_test_unwatch_system_calls() > 0, "the watch sees a call")
    unsafe try underAllSettings { gate, board, memory in
      let status = arb_test_watch_system_calls()
      unsafe Self.storeThroughGate(&gate, board, memory)
      let first = arb_test_unwatch_system_calls()
      #expect(status == 0)
      #expect(first == -1, "system call \(first)")
    }
  }
}
