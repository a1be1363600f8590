// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterMemory
import ArbiterPlatform
import ArbiterProfiles
import ArbiterRuntime
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads
import Glibc
import Synchronization
import Testing

/// Real threads that store through real gates, as fast as somebody allows.
final class RealWriters: Sendable {
  private let isStopping = Atomic<Bool>(false)
  private let threads = Mutex<[Member]>([])
  /// Waits that gates asked for, summed up as threads end.
  let waitCount = Atomic<UInt64>(0)
  let staleCount = Atomic<UInt64>(0)
  /// Stores after which a thread found a wait that was longer than the page allows.
  let failureCount = Atomic<Int>(0)

  private final class Member: Sendable {
    let thread: Mutex<WorkerThread?>
    init(_ thread: consuming WorkerThread) { self.thread = Mutex(thread) }
  }

  /// Starts threads that each store 64 bytes at a time, sequentially, while `mayStore` of what a
  /// thread has stored says so.
  init(
    _ count: Int, on board: GateBoard, stored: @escaping @Sendable (UInt64) -> Void,
    mayStore: @escaping @Sendable (UInt64) -> Bool
  ) throws {
    for _ in 0..<count {
      let member = Member(
        try WorkerThread { [self] in
          guard var gate = try? Gate(on: board) else {
            failureCount.wrappingAdd(1, ordering: .relaxed)
            return
          }
          let bytes: UInt64 = 1 << 20
          let memory = UnsafeMutableRawPointer.allocate(byteCount: Int(bytes), alignment: 4096)
          defer { unsafe memory.deallocate() }
          var total: UInt64 = 0
          while !isStopping.load(ordering: .relaxed) {
            guard mayStore(total) else {
              usleep(200)
              continue
            }
            // A block at a time, so that asking costs little.
            for _ in 0..<4 {
              let offset = total % bytes
              gate.pass(address: UInt64(UInt(bitPattern: memory)) + offset, length: 64)
              // SAFETY: the offset lies within the memory.
              unsafe LineWriter.storeNonTemporal(
                CacheLine(words: SIMD8(repeating: total)), to: memory + Int(offset))
              total += 64
            }
            stored(256)
          }
          LineWriter.fence()
          waitCount.wrappingAdd(gate.waitTotals.count, ordering: .relaxed)
          staleCount.wrappingAdd(gate.waitTotals.staleCount, ordering: .relaxed)
        })
      threads.withLock { $0.append(member) }
    }
  }

  deinit { stop() }

  func stop() {
    isStopping.store(true, ordering: .relaxed)
    for member in threads.withLock({ $0 }) {
      let thread = member.thread.withLock { $0.take() }
      thread?.join()
    }
  }
}

/// A module that amplifies nothing, as DRAM would if it counted.
final class FlatCounters: CounterReader {
  let bytes = Atomic<UInt64>(0)
  var source: CounterSource { .module }
  var reasonForAbsence: String? { nil }

  func snapshot() -> CounterSnapshot {
    let written = bytes.load(ordering: .relaxed)
    return CounterSnapshot(
      timeNanoseconds: SystemClock.monotonicRawNanoseconds(), source: .module,
      imcWriteBytes: written, imcReadBytes: 0, mediaWriteBytes: written, mediaReadBytes: 0)
  }
}

/// Real gates, the real monitor and the real controller, and a machine that is a model.
@Suite("Closed loop", .serialized)
struct ClosedLoopTests {
  private static func board(_ capacity: Int) throws -> GateBoard {
    try GateBoard(
      capacity: capacity, clock: try TimeStampClock.calibrate(), maximumWaitNanoseconds: 100_000)
  }

  private static var controller: AdaptiveController {
    AdaptiveController(maximumDelay: .microseconds(100))
  }

  /// What one open writer gets of the modelled machine, in bytes per second.
  private static func peak() throws -> Double {
    let profile = try ProfileLibrary.embedded.profile(named: ProfileLibrary.defaultName)
    let configuration = SimulationConfiguration(
      profile: profile, threads: [ThreadPlan(Workload())])
    var simulation = try Simulation(configuration)
    simulation.run(for: .milliseconds(5))
    simulation.beginMeasurement()
    simulation.run(for: .milliseconds(10))
    return simulation.result().effectiveBandwidth
  }

  private static func eventually(seconds: Int = 60, _ condition: () -> Bool) -> Bool {
    let end = SystemClock.monotonicRawNanoseconds() + Int64(seconds) * 1_000_000_000
    while SystemClock.monotonicRawNanoseconds() < end {
      if condition() { return true }
      usleep(2000)
    }
    return condition()
  }

  /// Periods within which the loop has to settle.
  static let periodsMax = 60

  /// The first of three periods in a row that are as they should be.
  private static func settled(_ periods: [ModelledMachine.Period], peak: Double) -> Int? {
    var run = 0
    for (index, period) in periods.enumerated() {
      let isGood =
        period.delayNanoseconds > 0 && period.amplification <= 1.05
        && period.bandwidth >= 0.95 * peak
      run = isGood ? run + 1 : 0
      if run == 3 { return index - 2 }
    }
    return nil
  }

  @Test(.timeLimit(.minutes(3)), arguments: [8, 16, 26])
  func `the loop finds the delay, and lets go of it`(threads: Int) throws {
    let peak = try Self.peak()
    let board = try Self.board(threads)
    let machine = try ModelledMachine(board: board)
    let writers = try RealWriters(
      threads, on: board, stored: { machine.consumed.wrappingAdd($0, ordering: .relaxed) },
      mayStore: { $0 < machine.allowance.load(ordering: .relaxed) })
    defer { writers.stop() }
    #expect(Self.eventually { board.registeredCount == threads })
    let monitor = try Monitor(
      board: board, reader: machine, controller: Self.controller, periodNanoseconds: 4_000_000)
    let isSettled = Self.eventually {
      let periods = machine.periods
      return Self.settled(periods, peak: peak) != nil || periods.count > Self.periodsMax
    }
    let periods = machine.periods
    let first = Self.settled(periods, peak: peak)
    let open = periods.first { $0.writers == threads && $0.delayNanoseconds == 0 }
    let last = periods.last
    print(
      "\(threads) threads: settled in period \(first ?? -1), open WA "
        + "\(open?.amplification ?? 0), WA \(last?.amplification ?? 0), of peak "
        + "\((last?.bandwidth ?? 0) / peak), delay \(last?.delayNanoseconds ?? 0) ns")
    #expect(isSettled)
    let found = try #require(first, "not within \(Self.periodsMax) periods")
    #expect(found <= Self.periodsMax)
    // Without the delay there is something to be gained, or the test would show nothing.
    #expect((open?.amplification ?? 0) > 1.1)

    // The threads stop, and the delay with them.
    writers.stop()
    #expect(writers.failureCount.load(ordering: .relaxed) == 0)
    // The gates met the delay: they waited, or would have, had this machine been fast enough for
    // the monitor, whose reader waits for the writers here, to keep up its heartbeat.
    let met =
      writers.waitCount.load(ordering: .relaxed) + writers.staleCount.load(ordering: .relaxed)
    #expect(met > 0)
    #expect(Self.eventually { board.publishedWord.settings == .open })

    let summary = monitor.stop()
    #expect(summary.delayNanosecondsMax > 0)
    #expect(summary.delayNanosecondsMax <= 100_000)
    #expect(board.publishedWord.settings == .open)
  }

  @Test(.timeLimit(.minutes(1)))
  func `a monitor that is stopped in the middle leaves the gates open`() throws {
    let board = try Self.board(8)
    let machine = try ModelledMachine(board: board)
    let writers = try RealWriters(
      8, on: board, stored: { machine.consumed.wrappingAdd($0, ordering: .relaxed) },
      mayStore: { $0 < machine.allowance.load(ordering: .relaxed) })
    defer { writers.stop() }
    let monitor = try Monitor(
      board: board, reader: machine, controller: Self.controller, periodNanoseconds: 4_000_000)
    #expect(Self.eventually { board.publishedWord.hasDelay })
    monitor.stop()
    #expect(board.publishedWord.settings == .open)
  }

  @Test(.timeLimit(.minutes(1)), arguments: [true, false])
  func `memory that amplifies nothing, or does not say, never delays`(counts: Bool) throws {
    let board = try Self.board(8)
    let flat = FlatCounters()
    let writers = try RealWriters(
      8, on: board, stored: { flat.bytes.wrappingAdd($0, ordering: .relaxed) },
      mayStore: { _ in true })
    defer { writers.stop() }
    let reader: any CounterReader = counts ? flat : UnavailableCounters(reason: "plain DRAM")
    let monitor = try Monitor(
      board: board, reader: reader, controller: Self.controller, periodNanoseconds: 1_000_000)
    usleep(500_000)
    let summary = monitor.stop()
    writers.stop()
    #expect(summary.periodCount > 20)
    #expect(summary.delayNanosecondsMax == 0)
    #expect(writers.waitCount.load(ordering: .relaxed) == 0)
  }
}
