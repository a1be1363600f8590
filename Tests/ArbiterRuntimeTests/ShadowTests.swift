// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterPlatform
import ArbiterRuntime
import ArbiterScheduler
import CArbiterGate
import Testing

@Suite("Recordings of gates")
struct RecordingTests {
  private let clock: TimeStampClock

  init() throws {
    clock = try TimeStampClock.calibrate()
  }

  /// What is done to a slot before it is read.
  private enum Damage {
    case none
    case beginEarlier(by: UInt64)
    case countAlmostWraps
    case halfRecord(at: Int)
    case noName
  }

  /// What slot 0 of a board holds, read as the controller's side reads it.
  private func recording(
    of board: GateBoard, after damage: Damage = .none
  ) throws -> (view: ArbRecordingView, records: [ArbRecord]) {
    var mapping = unsafe ArbMapping()
    let status = unsafe arb_page_open(try #require(board.page.path), &mapping)
    try #require(status == 0)
    defer { unsafe arb_page_close(&mapping) }
    guard let page = unsafe mapping.page else { throw Absent() }
    let slot = unsafe arb_page_slot(page, 0)
    switch damage {
    case .none: break
    case .beginEarlier(let count): unsafe slot.pointee.record_start &-= count
    case .countAlmostWraps: unsafe slot.pointee.counts.record_count = .max - 100
    case .halfRecord(let place):
      unsafe arb_page_records(page, 0)[place] = ArbRecord(ticks: 1, lines: .max)
    case .noName: unsafe slot.pointee.recording = 0
    }
    var records = Array(repeating: ArbRecord(), count: Int(ARB_RECORD_COUNT))
    var view = ArbRecordingView()
    unsafe arb_slot_read_recording(page, 0, &records, &view)
    return (view, Array(records.prefix(Int(view.count))))
  }

  private struct Absent: Error {}

  @Test func `a gate records as many stores as it is allowed and then passes freely`() throws {
    let board = try GateBoard(capacity: 1, clock: clock)
    var gate = try Gate(on: board)
    gate.pass(address: 0, length: 64)
    let name = board.beginRecording(limit: 100)
    for index in 0..<99 { gate.pass(address: UInt64(index) * 64, length: 64) }
    #expect(try recording(of: board).view.ends_early == 0)
    for index in 99..<500 { gate.pass(address: UInt64(index) * 64, length: 64) }
    let (view, records) = try recording(of: board)
    #expect(view.name == name)
    #expect(view.ends_early == 1)
    #expect(records.map(\.lines) == (0..<100).map { UInt64($0) << 20 | 1 })
    #expect(zip(records, records.dropFirst()).allSatisfy { $0.ticks <= $1.ticks })
    // The same settings again do not begin it anew; others do, and so does another recording.
    board.publish(.open)
    gate.pass(address: 1 << 20, length: 64)
    #expect(try recording(of: board).records.count == 100)
    board.publish(GateSettings(delayNanoseconds: 100))
    gate.pass(address: 1 << 20, length: 64)
    #expect(try recording(of: board).records.map(\.lines) == [1 << 34 | 1])
    let next = board.beginRecording(limit: 7)
    #expect(next != name)
    for index in 0..<9 { gate.pass(address: UInt64(index) * 64, length: 64) }
    #expect(try recording(of: board).records.count == 7)
  }

  @Test func `a store is recorded after its wait and its fence, and fences are recorded`() throws {
    let board = try GateBoard(capacity: 1, clock: clock)
    var gate = try Gate(on: board)
    board.publish(GateSettings(delayNanoseconds: 20_000, isFencedAtBlocks: true))
    board.beginRecording(limit: 100)
    // From before each pass: a thread may be stopped between a fence and its record.
    let first = TimeStampClock.now()
    gate.pass(address: 0, length: 64)
    gate.noteFence()
    let second = TimeStampClock.now()
    gate.pass(address: 256, length: 64)
    let records = try recording(of: board).records
    #expect(records.map { $0.lines & 0xFFFFF } == [0, 1, 0, 0, 1])
    #expect(clock.nanoseconds(records[1].ticks - first) >= 19_000)
    #expect(clock.nanoseconds(records[4].ticks - second) >= 19_000)
  }

  @Test func `a ring that ran over shows its newest records`() throws {
    let board = try GateBoard(capacity: 1, clock: clock)
    var gate = try Gate(on: board)
    board.beginRecording(limit: 1024)
    for index in 0..<1024 { gate.pass(address: UInt64(index) * 64, length: 64) }
    // As if the recording had begun long before.
    let (_, records) = try recording(of: board, after: .beginEarlier(by: 3000))
    // The oldest place is the one that a gate would be writing.
    #expect(records.map(\.lines) == (1..<1024).map { UInt64($0) << 20 | 1 })
  }

  @Test func `a count that wraps loses nothing`() throws {
    let board = try GateBoard(capacity: 1, clock: clock)
    _ = try recording(of: board, after: .countAlmostWraps)
    var gate = try Gate(on: board)
    board.beginRecording(limit: 300)
    for index in 0..<300 { gate.pass(address: UInt64(index) * 64, length: 64) }
    let (view, records) = try recording(of: board)
    #expect(view.ends_early == 1)
    #expect(records.map(\.lines) == (0..<300).map { UInt64($0) << 20 | 1 })
  }

  @Test func `what a thread had not finished when it died is not read`() throws {
    let board = try GateBoard(capacity: 1, clock: clock)
    var gate = try Gate(on: board)
    board.beginRecording(limit: 100)
    for index in 0..<10 { gate.pass(address: UInt64(index) * 64, length: 64) }
    // Dead between the record and its count.
    let half = try recording(of: board, after: .halfRecord(at: 10))
    #expect(half.records.count == 10)
    #expect(half.records.allSatisfy { $0.lines != .max })
    // Dead while it took in a new recording.
    let none = try recording(of: board, after: .noName)
    #expect(none.view.count == 0)
  }

  @Test func `who takes a slot over does not show what another recorded`() throws {
    let board = try GateBoard(capacity: 1, clock: clock)
    board.beginRecording(limit: 100)
    do {
      var gate = try Gate(on: board)
      for index in 0..<10 { gate.pass(address: UInt64(index) * 64, length: 64) }
    }
    #expect(try recording(of: board).records.count == 10)
    var gate = try Gate(on: board)
    #expect(try recording(of: board).records.isEmpty)
    gate.pass(address: 64, length: 64)
    #expect(try recording(of: board).records.map(\.lines) == [1 << 20 | 1])
  }
}

@Suite("Shadow estimate")
struct ShadowEstimateTests {
  private let board: GateBoard
  private let estimate: ShadowEstimate

  init() throws {
    var profile = DeviceProfile(name: "fast", summary: "A buffer that the medium never fills.")
    profile.bufferBlocks = 64
    profile.victimCandidates = 2
    profile.storeWindowLines = 10
    profile.storeIssueNanoseconds = 15
    profile.mediaUnits = 4
    profile.mediaWriteNanoseconds = 4
    board = try GateBoard(capacity: 4, clock: try TimeStampClock.calibrate())
    estimate = try ShadowEstimate(board: board, profile: profile)
  }

  /// Amplification between two snapshots, so many rounds of stores apart.
  private func amplification(
    rounds: Int, _ gate: inout Gate, address: (Int) -> UInt64
  ) -> (ratio: Double?, warmUp: Int) {
    var warmUp = 0
    var first: CounterSnapshot?
    var last: CounterSnapshot?
    var place = 0
    for round in 0..<rounds {
      for _ in 0..<3000 {
        gate.pass(address: address(place), length: 64)
        place += 1
      }
      let snapshot = estimate.snapshot()
      guard snapshot.mediaWriteBytes != nil else {
        warmUp = round + 1
        continue
      }
      if first == nil { first = snapshot }
      last = snapshot
    }
    guard let first, let last, let delta = CounterDelta(from: first, to: last) else {
      return (nil, warmUp)
    }
    return (delta.writeAmplification(), warmUp)
  }

  @Test func `a sequential writer is not amplified, a random one fourfold`() throws {
    var gate = try Gate(on: board)
    let sequential = amplification(rounds: 60, &gate) { UInt64($0) * 64 }
    let ratio = try #require(sequential.ratio)
    #expect(abs(ratio - 1) < 0.05, "\(ratio)")
    #expect(sequential.warmUp > 0)
    var random = SeededRandom(seed: 3)
    let scattered = amplification(rounds: 60, &gate) { _ in UInt64(random.below(1 << 20)) * 256 }
    #expect(abs(try #require(scattered.ratio) - 4) < 0.4)
    #expect(estimate.sampleCount > 10)
  }

  @Test func `what it cannot see is nil, and its source is an estimate`() throws {
    var gate = try Gate(on: board)
    gate.pass(address: 0, length: 8)
    let snapshot = estimate.snapshot()
    #expect(snapshot.source == .estimate)
    // Eight bytes cost a line.
    #expect(snapshot.imcWriteBytes == 64)
    #expect(snapshot.mediaWriteBytes == nil)
    #expect(snapshot.imcReadBytes == nil)
    #expect(snapshot.mediaReadBytes == nil)
    #expect(!snapshot.seesAmplification)
    #expect(estimate.reasonForAbsence != nil)
  }

  @Test func `under new settings an old estimate counts for nothing`() throws {
    var gate = try Gate(on: board)
    _ = amplification(rounds: 60, &gate) { UInt64($0) * 64 }
    let before = estimate.snapshot()
    #expect(before.seesAmplification)
    board.publish(GateSettings(delayNanoseconds: 1, isFencedAtBlocks: true))
    // Too few to complete a recording.
    for index in 0..<3 { gate.pass(address: UInt64(index) * 64, length: 64) }
    #expect(estimate.snapshot() == before)
    // As long as nothing is known nothing new is said, and after a while that nothing is known.
    var silent = 0
    while silent < 100 {
      gate.pass(address: 0, length: 64)
      let snapshot = estimate.snapshot()
      if snapshot != before {
        #expect(snapshot.mediaWriteBytes == nil)
        break
      }
      silent += 1
    }
    #expect((1...40).contains(silent))
    let settled = amplification(rounds: 30, &gate) { UInt64($0) * 64 }
    #expect(abs(try #require(settled.ratio) - 1) < 0.05)
  }

  @Test func `a snapshot takes less than a millisecond`() throws {
    var gate = try Gate(on: board)
    var times: [Int64] = []
    for round in 0..<60 {
      for index in 0..<3000 {
        gate.pass(address: UInt64(round &* 3000 &+ index) * 64, length: 64)
      }
      let start = SystemClock.threadCPUNanoseconds()
      _ = estimate.snapshot()
      times.append(SystemClock.threadCPUNanoseconds() - start)
    }
    // In a debug build a line costs tens of times as much.
    #if DEBUG
    let limit: Int64 = 100_000_000
    #else
    let limit: Int64 = 1_000_000
    #endif
    #expect((times.max() ?? 0) < limit)
  }
}
