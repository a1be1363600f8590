// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterMetrics
import ArbiterPlatform
import ArbiterProfiler
import ArbiterRuntime
import ArbiterScheduler
import ArbiterTestSupport
import Glibc
import Testing

@Suite("Watch: readings of a machine")
struct WatcherTests {
  /// A machine with a DAX device that no region holds, and processes.
  private func machine() -> TemporaryFolder {
    let folder = TemporaryFolder()
    folder.write("17179869184\n", to: "sys/bus/dax/devices/dax0.0/size")
    folder.write("1\n", to: "sys/bus/dax/devices/dax0.0/target_node")
    folder.write(
      "cpu  100 0 50 800 10 5 5 30 0 0\ncpu0 100 0 50 800 10 5 5 30 0 0\n", to: "proc/stat")
    return folder
  }

  private func addProcess(
    _ process: Int, _ name: String, flags: Int = 0, user: Int = 0, start: Int = 99,
    maps: String = "", in folder: borrowing TemporaryFolder
  ) {
    folder.write(
      "\(process) (\(name)) S 1 1 1 0 -1 \(flags) 0 0 0 0 \(user) 7 0 0 20 0 1 0 \(start) 0 0\n",
      to: "proc/\(process)/stat")
    folder.write(maps, to: "proc/\(process)/maps")
    folder.write("", to: "proc/\(process)/environ")
  }

  private let daxMap =
    "7f0000000000-7f0000200000 rw-s 00000000 00:05 345 /dev/dax0.0\n"
    + "7f1000000000-7f1000001000 rw-p 00000000 00:00 0 [heap]\n"

  private func watcher(
    _ folder: borrowing TemporaryFolder, _ options: Watcher.Options = Watcher.Options()
  ) -> Watcher {
    Watcher(
      options: options, runtimeFolder: "\(folder.path)/meet", tree: SystemTree(root: folder.path))
  }

  @Test func `a program that maps slow memory is told with what can be known of it`() throws {
    let folder = machine()
    addProcess(31, "a) (b", user: 16, maps: daxMap, in: folder)
    addProcess(32, "sh", maps: "7f1000000000-7f1000001000 rw-p 00000000 00:00 0\n", in: folder)
    addProcess(2, "kthreadd", flags: 0x0020_0000, in: folder)
    var watcher = watcher(folder)
    let reading = watcher.read()
    #expect(reading.tasks.map(\.process) == [31])
    let task = try #require(reading.tasks.first)
    #expect(task.command == "a) (b" && task.startTicks == 99)
    #expect(task.mappedBytes.value == 0x20_0000)
    #expect(task.cpuNanoseconds.value == 23 * 1_000_000_000 / ProcessorTime.ticksPerSecond)
    #expect(task.written.value == nil && task.backEnd == nil)
    #expect(task.delayedNanoseconds.value == nil)
    #expect(reading.processorTime.value?.busy == 160)
    #expect(reading.devices.map(\.name) == ["dax0.0"])
    #expect(reading.devices.first?.counters.imcWriteBytes == nil)
    #expect(reading.devices.first?.reasonForAbsence != nil)
    #expect(reading.devices.first?.gateCount.value == nil)
  }

  @Test func `a machine without anything tells that, and every process where it is asked`() {
    let folder = TemporaryFolder()
    addProcess(32, "sh", in: folder)
    var watcher = watcher(folder)
    let reading = watcher.read()
    #expect(reading.devices.isEmpty && reading.tasks.isEmpty)
    #expect(reading.processorTime.reason != nil)
    #expect(reading.blindSpots.contains { $0.hasPrefix("This machine shows no slow memory") })
    #expect(reading.blindSpots.contains { $0.contains("arbiter run") })
    var options = Watcher.Options()
    options.everyProcess = true
    var every = self.watcher(folder, options)
    #expect(every.read().tasks.map(\.command) == ["sh"])
    options.everyProcess = false
    options.processes = [32, 33]
    var some = self.watcher(folder, options)
    #expect(some.read().tasks.map(\.process) == [32])
  }

  @Test func `a number that another process has by now is looked at again`() {
    let folder = machine()
    addProcess(31, "old", maps: daxMap, in: folder)
    var watcher = watcher(folder)
    #expect(watcher.read().tasks.map(\.command) == ["old"])
    addProcess(31, "new", start: 100, in: folder)
    #expect(watcher.read().tasks.isEmpty)
    #expect(watcher.read().tasks.isEmpty)
  }

  @Test func `maps are read again only when their time has come`() {
    let folder = machine()
    addProcess(31, "late", in: folder)
    var options = Watcher.Options()
    options.mapIntervalNanoseconds = 3_600_000_000_000
    var patient = watcher(folder, options)
    options.mapIntervalNanoseconds = 0
    var eager = watcher(folder, options)
    #expect(patient.read().tasks.isEmpty && eager.read().tasks.isEmpty)
    folder.write(daxMap, to: "proc/31/maps")
    #expect(patient.read().tasks.isEmpty)
    #expect(eager.read().tasks.map(\.process) == [31])
  }

  @Test func `without time for maps at least one is read each time`() {
    let folder = machine()
    for process in 40..<63 { addProcess(process, "p", maps: daxMap, in: folder) }
    var options = Watcher.Options()
    options.mapNanosecondsMax = 0
    options.mapIntervalNanoseconds = 3_600_000_000_000
    var watcher = watcher(folder, options)
    for count in 1...23 { #expect(watcher.read().tasks.count == count) }
    #expect(!watcher.read().blindSpots.contains { $0.contains("looked at yet") })
  }

  @Test func `samples stand in for programs without gates`() {
    let folder = machine()
    addProcess(31, "a", maps: daxMap, in: folder)
    var watcher = watcher(folder)
    watcher.sampler = FixedSampler()
    #expect(watcher.tendNanoseconds == nil)
    let reading = watcher.read()
    #expect(watcher.tendNanoseconds == 7)
    #expect(reading.sampling.value?.memory == .slow && reading.blindSpots.contains("half asleep"))
    #expect(reading.tasks.first?.written.value == Estimate(31, standardError: 2))
    #expect(reading.tasks.first?.backEnd == .pebs)
    #expect(!reading.blindSpots.contains { $0.contains("outside of gates") })
  }

  @Test func `only who uses slow memory or was named is sampled, unless all are to be`() {
    let folder = machine()
    addProcess(31, "a", maps: daxMap, in: folder)
    addProcess(32, "b", in: folder)
    func sampled(_ options: Watcher.Options) -> [Int32] {
      var watcher = watcher(folder, options)
      watcher.sampler = FixedSampler()
      return watcher.read().tasks.filter { $0.written.value != nil }.map(\.process)
    }
    var options = Watcher.Options()
    options.everyProcess = true
    #expect(sampled(options) == [31])
    options.samplesEveryProcess = true
    #expect(sampled(options) == [31, 32])
    options = Watcher.Options()
    options.processes = [32]
    #expect(sampled(options) == [32])
  }

  @Test func `what passes gates is told to the byte, also of threads that are gone`() throws {
    let folder = TemporaryFolder()
    let meet = "\(folder.path)/meet"
    let clock = try TimeStampClock.measure()
    let terms = ControlTerms(
      scheme: .baseline, profile: nil, period: "10ms", maximumDelay: "10us", permitCount: 1,
      workerCount: 1)
    var parameters = ControlPage.Parameters()
    // Two slots, so that threads that come later take those of threads that are gone.
    parameters.slotCount = 2
    let seat = try ControlSeat(in: meet, terms: terms) {
      () throws(PlatformError) -> ControlPage in
      try ControlPage(parameters, clock: clock)
    }
    seat.page.addSet(at: 1, name: "region7", matchesAll: true)
    let session = try seat.page.beginSession()
    let board = GateBoard(page: seat.page, setIndex: 1, session: session)
    var watcher = Watcher(runtimeFolder: meet)
    func stored() -> Double? {
      watcher.read().tasks.first { $0.process == getpid() }?.written.value?.value
    }
    // SAFETY: gates are attached and detached on this thread, one after the other.
    func store(count: UInt64) throws {
      var gate = try Gate(on: board)
      for access in 0..<count { gate.pass(address: access * 64, length: 64) }
    }
    try store(count: 23)
    #expect(stored() == Double(23 * 64))
    for _ in 0..<5 { try store(count: 1009) }
    let expected = Double((23 + 5 * 1009) * 64)
    #expect(stored() == expected)
    #expect(stored() == expected)
    var gate = try Gate(on: board)
    gate.pass(address: 0, length: 64)
    let reading = watcher.read()
    let task = try #require(reading.tasks.first { $0.process == getpid() })
    #expect(task.written.value == .exact(expected + 64) && task.backEnd == .gates)
    #expect(task.read.reason == "gates count no loads")
    let device = try #require(reading.devices.first { $0.name == "region7" })
    #expect(device.gateCount.value == 1 && device.delayNanoseconds.value == 0)
    #expect(device.counters.source == .unavailable && device.reasonForAbsence != nil)
    gate.pass(address: 64, length: 64)
    #expect(stored() == expected + 128)
  }
}

/// A sampler that counts a process's own number.
private struct FixedSampler: TaskSampler {
  var backEnd: BackEnd? { .pebs }
  var sampling: Figure<WatchedSampling> {
    .known(WatchedSampling(backEnd: .pebs, memory: .slow, losses: SamplingLosses()))
  }
  var blindSpots: [String] { ["half asleep"] }
  var tendNanoseconds: Int64? { followed.isEmpty ? nil : 7 }
  private var followed: [Int32] = []

  mutating func tend() {}

  mutating func follow(_ processes: [Int32]) { followed = processes }

  mutating func account(
    ofProcess process: Int32
  ) -> (
    written: Figure<Estimate>, read: Figure<Estimate>
  ) {
    guard followed.contains(process) else { return (.unavailable("late"), .unavailable("late")) }
    return (
      .known(Estimate(Double(process), standardError: 2)), .known(.exact(0))
    )
  }
}
