// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterPlatform
import ArbiterRuntime
import ArbiterScheduler
import ArbiterTestSupport
import Glibc
import Synchronization
import Testing

@Suite("Planned sets")
struct PlannedSetTests {
  @Test func `a region's devices are its disk, partitions, volumes and dax devices`() {
    let folder = TemporaryFolder()
    let bus = "sys/bus/nd/devices"
    for region in ["region0", "region1", "region2"] {
      folder.write("2\n", to: "\(bus)/\(region)/mappings")
    }
    folder.write("fsdax\n", to: "\(bus)/namespace0.0/mode")
    folder.write("4096\n", to: "\(bus)/namespace0.0/size")
    folder.write("", to: "\(bus)/namespace0.0/block/pmem0/dev")
    for (name, numbers) in [("pmem0", "259:0"), ("pmem0p1", "259:1"), ("dm-3", "253:3")] {
      folder.write(numbers + "\n", to: "sys/class/block/\(name)/dev")
    }
    folder.write("1\n", to: "sys/class/block/pmem0/pmem0p1/partition")
    folder.write("", to: "sys/class/block/dm-3/slaves/pmem0/dev")
    folder.write("8:0\n", to: "sys/class/block/sda/dev")
    folder.write("4096\n", to: "sys/bus/dax/devices/dax1.0/size")
    folder.write("252:7\n", to: "sys/bus/dax/devices/dax1.0/dev")
    let tree = SystemTree(root: folder.path)
    let memory = PersistentMemory.read(from: tree)
    let sets = PlannedSet.plan(memory: memory, profile: "named", from: tree)
    // Nothing presents region2, and what is found outweighs what is named.
    #expect(sets.map(\.name) == ["region0", "region1"])
    #expect(sets.map(\.moduleCount) == [2, 2])
    #expect(sets.allSatisfy { $0.isDetected && !$0.matchesAll })
    let first = Set(sets.first?.devices ?? [])
    #expect(
      first == [
        .init(major: 259, minor: 0), .init(major: 259, minor: 1),
        .init(major: 253, minor: 3),
      ])
    #expect(sets.last?.devices == [.init(major: 252, minor: 7)])
  }

  @Test func `regions of one cookie are one set, with one controller and all their devices`() {
    let folder = TemporaryFolder()
    let bus = "sys/bus/nd/devices"
    for (number, block) in [(0, "259:0"), (1, "259:1")] {
      folder.write("0xabc\n", to: "\(bus)/region\(number)/set_cookie")
      folder.write("nmem\(number),0,4096,0\n", to: "\(bus)/region\(number)/mapping0")
      folder.write("0x\(number)01\n", to: "\(bus)/nmem\(number)/nfit/handle")
      folder.write("4096\n", to: "\(bus)/namespace\(number).0/size")
      folder.write("", to: "\(bus)/namespace\(number).0/block/pmem\(number)/dev")
      folder.write(block + "\n", to: "sys/class/block/pmem\(number)/dev")
    }
    let tree = SystemTree(root: folder.path)
    let sets = PlannedSet.plan(memory: .read(from: tree), profile: nil, from: tree)
    #expect(sets.map(\.name) == ["region0+region1"] && sets.map(\.moduleCount) == [2])
    #expect(
      sets.first?.devices == [.init(major: 259, minor: 0), .init(major: 259, minor: 1)])
    #expect(sets.first?.interleaveSet?.modules.map(\.handle) == [0x1, 0x101])
  }

  @Test func `without a region a named profile has all memory, and no name has none`() {
    let tree = SystemTree(root: "/nonexistent")
    let memory = PersistentMemory.read(from: tree)
    #expect(PlannedSet.plan(memory: memory, profile: nil, from: tree).isEmpty)
    let named = PlannedSet.plan(memory: memory, profile: "named", from: tree)
    #expect(named.map(\.name) == ["named"] && named.allSatisfy { $0.matchesAll && !$0.isDetected })
  }
}

@Suite("Permits of a set")
struct SetPermitTests {
  @Test func `each set has as many as were planned for it, others as many as the page has`() throws
  {
    var parameters = ControlPage.Parameters()
    parameters.slotCount = 16
    parameters.lock.permitCount = 4
    let page = try ControlPage(parameters, clock: .measure())
    let sets = (1...3).map { number -> PlannedSet in
      var set = PlannedSet(
        name: "region\(number)", moduleCount: 1, devices: [], matchesAll: false)
      set.permitCount = number == 3 ? nil : number
      return set
    }
    page.addSets(sets)
    for (set, count) in [(0, 4), (1, 1), (2, 2), (3, 4)] {
      let permits = SharedPermits(page: page, setIndex: set)
      #expect(try takeAll(permits, wanted: count) == count, "set \(set)")
    }
  }

  /// Takes permits until as many are held as wanted, then sees whether one more is to be had.
  private func takeAll(_ permits: SharedPermits, wanted: Int) throws -> Int {
    let crew = Crew()
    let isOver = Shared(false)
    for _ in 0...wanted {
      try crew.add {
        guard var holder = try? PermitHolder(permits) else { return }
        holder.acquire()
        while !isOver.value { usleep(1000) }
        holder.release()
      }
    }
    // All but one hold one, and that one waits.
    for _ in 0..<5000 {
      let counts = permits.counts
      if counts.requestedCount == wanted + 1 && counts.holderCount >= wanted { break }
      usleep(1000)
    }
    let held = permits.counts.holderCount
    isOver.change { $0 = true }
    crew.join()
    return held
  }
}

@Suite("Sessions")
struct SessionTests {
  private func makePage() throws -> ControlPage {
    var parameters = ControlPage.Parameters()
    parameters.slotCount = 4
    let page = try ControlPage(parameters, clock: .measure())
    page.addSet(at: 1, name: "all", matchesAll: true)
    return page
  }

  private func pass(_ bytes: UInt64, on page: ControlPage, session: Int) throws {
    var gate = try Gate(on: GateBoard(page: page, setIndex: 1, session: session))
    gate.pass(address: 0, length: bytes)
  }

  @Test func `who takes a session again finds nothing of its threads before`() throws {
    let page = try makePage()
    let first = try page.beginSession()
    // Six threads in four slots: two have been handed on.
    for _ in 0..<6 { try pass(64, on: page, session: first) }
    #expect(page.gates(ofSession: first).count + page.departed(ofSession: first).gateCount == 6)
    page.endSession(first)
    let second = try page.beginSession()
    #expect(second == first && page.gates(ofSession: second).isEmpty)
    try pass(256, on: page, session: second)
    for _ in 0..<4 { try pass(64, on: page, session: 0) }
    var sum = page.departed(ofSession: second).counts
    for gate in page.gates(ofSession: second) { sum.add(gate.counts) }
    #expect(sum.storedBytes == 256)
  }

  @Test func `a session whose threads still run is given out again only when they are gone`() throws
  {
    let page = try makePage()
    var sessions: [Int] = []
    for _ in 0..<15 { sessions.append(try page.beginSession()) }
    let busy = try #require(sessions.first)
    do {
      var gate = try Gate(on: GateBoard(page: page, setIndex: 1, session: busy))
      gate.pass(address: 0, length: 64)
      page.endSession(busy)
      let refused = #expect(throws: PlatformError.self) { try page.beginSession() }
      #expect(refused?.code == .resourceLimit)
    }
    #expect(try page.beginSession() == busy)
    #expect(page.gates(ofSession: busy).isEmpty)
  }
}

/// Something that happens once, seen by two threads.
private final class Flag: Sendable {
  let flag = Atomic<Bool>(false)
}

@Suite("Control of a set")
struct SetControlTests {
  /// A module that writes twice what it is sent.
  private struct Doubling: CounterReader {
    var source: CounterSource { .module }
    var reasonForAbsence: String? { nil }
    var sent: UInt64 = 0

    mutating func snapshot() -> CounterSnapshot {
      sent += 1 << 20
      return CounterSnapshot(
        timeNanoseconds: SystemClock.monotonicRawNanoseconds(), source: .module,
        imcWriteBytes: sent, imcReadBytes: 0, mediaWriteBytes: 2 * sent, mediaReadBytes: 0)
    }
  }

  @Test func `the status tells what the counters said, also after the end`() throws {
    var parameters = ControlPage.Parameters()
    parameters.slotCount = 1
    let page = try ControlPage(parameters, clock: .measure())
    page.addSet(at: 1, name: "region7", matchesAll: true)
    let control = SetControl(page: page, setIndex: 1)
    #expect(control.status.source == .unavailable && control.status.delta == nil)
    #expect(control.status.reasonForAbsence == "another run reads the counters of this set")
    try control.start(
      reader: Doubling(), controller: ConstantController(GateSettings(isFencedAtBlocks: true)),
      periodNanoseconds: 1_000_000)
    let limit = SystemClock.monotonicRawNanoseconds() + 10_000_000_000
    while control.status.delta == nil, SystemClock.monotonicRawNanoseconds() < limit {
      usleep(1000)
    }
    #expect(control.board.publishedWord.settings.isFencedAtBlocks)
    control.stop()
    let status = control.status
    #expect(status.name == "region7" && status.phase == "constant" && status.source == .module)
    #expect(status.writeAmplification == 2)
    #expect(status.monitorCPUNanoseconds > 0)
    #expect(!control.board.publishedWord.settings.isFencedAtBlocks)
  }

  @Test func `what happened after the last period, or before the first, counts`() throws {
    var parameters = ControlPage.Parameters()
    parameters.slotCount = 1
    let page = try ControlPage(parameters, clock: .measure())
    page.addSet(at: 1, name: "region7", matchesAll: true)
    let control = SetControl(page: page, setIndex: 1)
    try control.start(
      reader: Doubling(), controller: ConstantController(.open),
      periodNanoseconds: 3_600_000_000_000)
    #expect(control.status.delta == nil)
    control.stop()
    #expect(control.status.delta?.imcWriteBytes == 1_048_576)
    #expect(control.status.writeAmplification == 2)
  }

  /// A module that cannot be read now and then, and whose counts begin anew once.
  private struct Stumbling: CounterReader {
    var source: CounterSource { .module }
    var reasonForAbsence: String? { isAway ? "away" : nil }
    let isDone: Flag
    private var turn: UInt64 = 0
    private var isAway = false

    init(isDone: Flag) { self.isDone = isDone }

    mutating func snapshot() -> CounterSnapshot {
      turn += 1
      isAway = turn % 3 == 0
      if turn > 12 { isDone.flag.store(true, ordering: .relaxed) }
      let now = SystemClock.monotonicRawNanoseconds()
      if isAway { return .unavailable(atNanoseconds: now) }
      let sent = (turn < 7 ? turn : turn - 7) << 20
      return CounterSnapshot(
        timeNanoseconds: now, source: .module, imcWriteBytes: sent, imcReadBytes: 0,
        mediaWriteBytes: 3 * sent, mediaReadBytes: 0)
    }
  }

  @Test func `a reading that fails, or a reset, does not wipe out what was seen before`() throws {
    var parameters = ControlPage.Parameters()
    parameters.slotCount = 1
    let page = try ControlPage(parameters, clock: .measure())
    page.addSet(at: 1, name: "region7", matchesAll: true)
    let control = SetControl(page: page, setIndex: 1)
    let isDone = Flag()
    try control.start(
      reader: Stumbling(isDone: isDone), controller: ConstantController(.open),
      periodNanoseconds: 1_000_000)
    let limit = SystemClock.monotonicRawNanoseconds() + 10_000_000_000
    while !isDone.flag.load(ordering: .relaxed), SystemClock.monotonicRawNanoseconds() < limit {
      usleep(1000)
    }
    control.stop()
    let status = control.status
    #expect(status.source == .module && status.writeAmplification == 3)
    // Since the reset, so that no figure is made of counts before and after it.
    #expect(try #require(status.delta?.imcWriteBytes) > 0)
  }
}
