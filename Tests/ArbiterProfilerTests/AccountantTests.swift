// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlatform
import ArbiterProfiler
import ArbiterTestSupport
import Testing

/// Hands over what a test has put into it.
final class FakeSource: AccessSource {
  let backEnd: BackEnd
  var losses = SamplingLosses()
  var waiting: [SampledAccess] = []

  init(_ backEnd: BackEnd = .timer) { self.backEnd = backEnd }

  func store(_ process: Int32, _ address: UInt64?, weight: Double = 1, thread: Int32 = 0) {
    waiting.append(
      SampledAccess(
        process: process, thread: thread == 0 ? process : thread, timeNanoseconds: 0,
        address: address, byteCount: 8, isStore: address != nil, isLoad: false, weight: weight))
    losses.sampleCount += 1
    losses.resolvedCount += address == nil ? 0 : 1
  }

  func drain(_ body: (SampledAccess) -> Void) {
    for access in waiting { body(access) }
    waiting = []
  }

  func stop() {}
}

@Suite("Accountant")
struct AccountantTests {
  private static func accountant(
    _ source: FakeSource, _ machine: borrowing FakeMachine,
    _ division: Accountant.Division = .process
  ) -> Accountant {
    Accountant(
      of: source, by: division, classifier: MappingClassifier(tree: machine.tree),
      tree: machine.tree)
  }

  @Test func `stores are charged to who made them and to what was mapped there`() throws {
    let machine = FakeMachine()
    machine.setFacts(5, "server", start: 50)
    machine.setFacts(6, "a) (b", start: 60)
    machine.setMaps(5, ["1000-2000 rw-s 0 08:01 9 /mnt/pm/pool", "8000-9000 rw-p 0 00:00 0"])
    machine.setMaps(6, ["1000-2000 rw-s 0 08:01 9 /mnt/pm/pool"])
    let source = FakeSource()
    for _ in 0..<23 { source.store(5, 0x1000, weight: 3) }
    source.store(5, 0x8000, weight: 7)
    source.store(6, 0x1800, weight: 24)
    source.store(6, nil, weight: 5)
    source.store(6, 0x7777, weight: 0)
    var account = Self.accountant(source, machine)
    account.drain(now: 1)
    let reading = account.reading()
    #expect(reading.written.value == 100)
    let first = try #require(reading.rows.first)
    #expect(first.command == "server" && first.mapping.kind == .persistentMemory)
    #expect(first.written.value == 69 && first.share == 0.69 && first.sampleCount == 23)
    #expect(first.task == AccountTask(process: 5, startTicks: 50))
    let nameless = reading.rows.first { $0.mapping.kind == .anonymous }
    #expect(nameless?.addresses == 0x8000..<0x9000)
    #expect(reading.rows.contains { $0.mapping == .unknown && $0.task.process == 6 })
    let other = try #require(reading.tasks.first { $0.task.process == 6 })
    #expect(other.command == "a) (b" && other.unresolvedCount == 1 && other.unresolved == 5)
    #expect(other.resolvedShare == 2.0 / 3)
  }

  @Test func `a number that another process has is another task, and the first keeps its figures`()
    throws
  {
    let machine = FakeMachine()
    machine.setFacts(5, "first", start: 50)
    machine.setMaps(5, ["1000-2000 rw-s 0 08:01 9 /a"])
    let source = FakeSource()
    source.store(5, 0x1000, weight: 2)
    var account = Self.accountant(source, machine)
    account.drain(now: 0)
    machine.setFacts(5, "second", start: 70)
    machine.setMaps(5, ["1000-2000 rw-s 0 08:01 10 /b"])
    account.drain(now: 2_000_000_000)
    source.store(5, 0x1000, weight: 1)
    account.drain(now: 2_000_000_001)
    let reading = account.reading()
    #expect(reading.tasks.map(\.command) == ["first", "second"])
    #expect(reading.tasks.map(\.hasEnded) == [true, false])
    #expect(reading.rows.map(\.mapping.name) == ["/a", "/b"])
    #expect(reading.rows.map(\.written.value) == [2, 1])
  }

  @Test(arguments: [Accountant.Division.process, .thread])
  func `samples that come after the end was seen are of the task that ended`(
    division: Accountant.Division
  ) {
    let machine = FakeMachine()
    let threadFacts = "proc/5/task/5/stat"
    machine.setFacts(5, "short", start: 50)
    machine.setMaps(5, ["1000-2000 rw-s 0 08:01 9 /a"])
    let zeros = Array(repeating: "0", count: 17).joined(separator: " ")
    machine.folder.write("5 (short) R 1 \(zeros) 50 0\n", to: threadFacts)
    let source = FakeSource()
    source.store(5, 0x1000)
    var account = Self.accountant(source, machine, division)
    account.drain(now: 0)
    for file in ["proc/5/stat", "proc/5/maps", threadFacts] { machine.folder.write("", to: file) }
    account.drain(now: 2_000_000_000)
    source.store(5, 0x1000)
    account.drain(now: 2_000_000_001)
    account.stop(now: 4_000_000_000)
    let reading = account.reading()
    #expect(reading.tasks.map(\.command) == ["short"] && reading.tasks.map(\.hasEnded) == [true])
    #expect(reading.rows.map(\.mapping.name) == ["/a"])
    #expect(reading.rows.map(\.written.value) == [2])
  }

  @Test func `a process that nobody could look at is still counted`() {
    let machine = FakeMachine()
    let source = FakeSource()
    source.store(77, 0x1000, weight: 4)
    var account = Self.accountant(source, machine)
    account.stop(now: 0)
    let reading = account.reading()
    #expect(reading.tasks.map(\.hasEnded) == [true] && reading.tasks.first?.command == nil)
    #expect(reading.rows.map(\.mapping) == [.unknown] && reading.written.value == 4)
  }

  @Test func `threads are tasks of their own where that is asked for`() {
    let machine = FakeMachine()
    machine.setFacts(5, "server", start: 50)
    machine.setMaps(5, ["1000-2000 rw-s 0 08:01 9 /a"])
    let zeros = Array(repeating: "0", count: 17).joined(separator: " ")
    machine.folder.write("8 (worker) R 1 \(zeros) 55 0\n", to: "proc/5/task/8/stat")
    let source = FakeSource()
    source.store(5, 0x1000, thread: 8)
    source.store(5, 0x1000, thread: 9)
    var account = Self.accountant(source, machine, .thread)
    account.drain(now: 0)
    let tasks = account.reading().tasks
    #expect(tasks.map(\.task.thread) == [8, 9] && tasks.map(\.command) == ["worker", nil])
    #expect(tasks.map(\.task.startTicks) == [55, 0])
  }

  @Test func `what a back-end cannot see is unavailable, and what it counts has no error`() {
    let machine = FakeMachine()
    for backEnd in BackEnd.allCases {
      let source = FakeSource(backEnd)
      source.store(77, 0x1000, weight: 4)
      var account = Self.accountant(source, machine)
      account.drain(now: 0)
      let reading = account.reading()
      #expect((reading.read.value == nil) == (backEnd == .gates || backEnd == .faults))
      #expect((reading.written.standardError == 0) == backEnd.isExact)
      // No load was sampled, which is not the same as none having been made.
      if let read = reading.read.value { #expect(read.value == 0 && read.standardError > 4) }
    }
  }
}

@Suite("Choice of a back-end")
struct BackEndProbeTests {
  private static func refusal(_ backEnd: BackEnd) -> PlatformError {
    PlatformError(.unsupported, reason: "no \(backEnd.rawValue) here", nextStep: "buy one")
  }

  @Test func `the best that works is taken, and says why no better one`() throws {
    let best = try BackEndProbe.choose(wanted: nil) { _ throws(PlatformError) in }
    #expect(best.backEnd == .pebs && best.passedOver.isEmpty && !best.isAsked)
    let next = try BackEndProbe.choose(wanted: nil) { backEnd throws(PlatformError) in
      if backEnd == .pebs { throw Self.refusal(backEnd) }
    }
    #expect(next.backEnd == .timer && next.passedOver.map(\.reason) == ["no pebs here"])
  }

  @Test func `one that is wanted by name is used or refused, never replaced`() throws {
    let asked = try BackEndProbe.choose(wanted: .faults) { _ throws(PlatformError) in }
    #expect(asked.backEnd == .faults && asked.isAsked)
    #expect(throws: PlatformError.self) {
      try BackEndProbe.choose(wanted: .pebs) { backEnd throws(PlatformError) in
        throw Self.refusal(backEnd)
      }
    }
  }
}
