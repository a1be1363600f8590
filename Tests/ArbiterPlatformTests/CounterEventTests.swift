// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterPlatform
import ArbiterTestSupport
import CArbiter
import CArbiterCounters
import Glibc
import Testing

private typealias Refusal = PerformanceUnit.Refusal

/// Whoever counts the events that a process holds has one of its own: others sample beside it.
@Suite("Memory-controller events")
struct CounterEventTests {
  @Test func `processors are known by the signature that CPUID gives`() {
    let cases: [(UInt32, String?)] = [
      (0x0005_0657, "Cascade Lake"), (0x0005_065B, "Cascade Lake"), (0x0005_0654, nil),
      (0x0006_06A6, "Ice Lake"), (0x0006_06C1, "Ice Lake"), (0x0008_06F8, "Sapphire Rapids"),
      (0x000C_06F2, "Emerald Rapids"), (0x000A_06F3, nil), (0x0004_06F1, nil),
    ]
    for (signature, name) in cases {
      let intel = ProcessorModel(vendor: "GenuineIntel", signature: signature)
      #expect(ControllerEventTable.table(for: intel)?.processorName == name, "\(intel)")
      let other = ProcessorModel(vendor: "AuthenticAMD", signature: signature)
      #expect(ControllerEventTable.table(for: other) == nil)
    }
    // An extended family is added, and only families 6 and 15 have an extended model.
    let zen = ProcessorModel(vendor: "AuthenticAMD", signature: 0x00A2_0F12)
    #expect((zen.family, zen.model, zen.stepping) == (0x19, 0x21, 2))
    #expect(ProcessorModel(vendor: "", signature: 0x0005_0572).model == 7)
  }

  @Test func `the processor's numbers are those that the kernel lists`() throws {
    let info = try #require(SystemTree().text("/proc/cpuinfo"))
    func listed(_ key: String) -> String? {
      info.split(separator: "\n").first { $0.hasPrefix("\(key)\t") }
        .flatMap { $0.split(separator: ":").last }.map { String($0.drop { $0 == " " }) }
    }
    let processor = ProcessorModel.detect()
    #expect(listed("vendor_id") == processor.vendor)
    #expect(listed("cpu family") == "\(processor.family)")
    #expect(listed("model\t") == "\(processor.model)")
    #expect(listed("stepping") == "\(processor.stepping)")
  }

  @Test func `fields are read from the kernel's format and nothing is assumed`() throws {
    let plain = try #require(EventField("config:0-7"))
    #expect(plain.bits == Array(0...7))
    let torn = try #require(EventField("config1:0-3,32,40-41"))
    var words: [UInt64] = [0, 0, 0]
    #expect(torn.word == 1)
    #expect(torn.set(0b101_1010, in: &words))
    #expect(words == [0, 1 << 41 | 1 << 32 | 0b1010, 0])
    var narrow: [UInt64] = [0, 0, 0]
    #expect(!plain.set(256, in: &narrow))
    #expect(EventField("config2:0-63")?.set(.max, in: &narrow) == true)
    #expect(narrow == [0, 0, .max])
    for bad in [
      "", "config", "config:", "config:a", "config:7-0", "config:0-64", "config:-1", "config3:0-7",
      "config:0-7,7", "config:0-7,", "config:0-1-2", "config:0:1",
    ] { #expect(EventField(bad) == nil, "\(bad)") }
  }

  @Test func `counts of part of the time are made whole and never run backwards`() {
    var counts = ScaledCounts()
    #expect(!counts.hasRun)
    counts.add(enabled: 100, running: 0, reads: 0, writes: 0)
    #expect(!counts.hasRun)
    counts.add(enabled: 400, running: 100, reads: 10, writes: 20)
    #expect((counts.reads, counts.writes) == (40, 80))
    // All of the time again: growth is taken as it is.
    counts.add(enabled: 500, running: 200, reads: 17, writes: 23)
    #expect((counts.reads, counts.writes) == (47, 83))
    // No time on the unit: the next growth covers this time too.
    counts.add(enabled: 700, running: 200, reads: 17, writes: 23)
    counts.add(enabled: 800, running: 300, reads: 20, writes: 23)
    #expect((counts.reads, counts.writes) == (56, 83))
    // What cannot be is left out.
    counts.add(enabled: 900, running: 400, reads: 0, writes: 0)
    #expect((counts.reads, counts.writes) == (56, 83))
  }

  @Test func `a refusal says what would have to be granted`() {
    for number in [EACCES, EPERM] {
      let error = ControllerCounters.refusal(number, "count on uncore_imc_0, processor 0", 2)
      #expect(error.code == .noPermission)
      #expect(
        error.description.contains("CAP_PERFMON or set kernel.perf_event_paranoid (now 2) to 0"))
    }
    #expect(ControllerCounters.refusal(ENODEV, "count", nil).code == .notFound)
  }

  /// Software events pass through the same system calls as those of a unit: page faults in place of
  /// reads and context switches in place of writes, on the processor on which this thread runs.
  @Test func `real events are opened, read and closed`() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let folder = TemporaryFolder()
      let base = "sys/bus/event_source/devices/uncore_imc_0"
      folder.put("\(base)/type", "1")
      folder.put("\(base)/cpumask", "0")
      folder.put("\(base)/format/event", "config:0-7")
      let unit = try PerformanceUnit.read("uncore_imc_0", from: SystemTree(root: folder.path))
      let plan = PlannedEvents(
        unit: unit.name, processor: unit.processors[0],
        reads: try unit.configuration(of: EventCode(event: 2, umask: 0)),
        writes: try unit.configuration(of: EventCode(event: 3, umask: 0)))
      let paranoid = CounterProbe.read().perfEventParanoid
      #expect(Self.openEventCount == 0)
      do {
        var reader = try ControllerCounters([plan, plan], paranoid: paranoid)
        try Self.onProcessor0 {
          let first = reader.snapshot()
          let bytes = 256 * 4096
          let mapped = unsafe mmap(
            nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
          guard let pages = unsafe mapped, unsafe pages != MAP_FAILED else {
            Issue.record("no mapping of \(bytes) bytes")
            return
          }
          // SAFETY: pages of this test's own mapping.
          unsafe madvise(pages, bytes, MADV_NOHUGEPAGE)
          for page in 0..<256 {
            unsafe pages.storeBytes(of: 1, toByteOffset: page * 4096, as: UInt8.self)
          }
          unsafe munmap(pages, bytes)
          usleep(1_000)
          let second = reader.snapshot()
          #expect(second.source == .memoryController)
          #expect(second.mediaWriteBytes == nil && second.mediaReadBytes == nil)
          #expect(!second.seesAmplification)
          let delta = try #require(CounterDelta(from: first, to: second))
          // Two pairs on the same events: each fault counts twice, 64 B each. Faults of others that
          // fall between the two reads count once.
          #expect((delta.imcReadBytes ?? 0) >= 2 * 256 * 64)
          #expect((delta.imcReadBytes ?? 0).truncatingRemainder(dividingBy: 64) == 0)
          #expect((delta.imcWriteBytes ?? 0) >= 2 * 64, "at least the sleep switched")
        }
        #expect(reader.source == .memoryController)
        #expect(Self.openEventCount == 4)
      } catch let error as PlatformError {
        // Without the right there is the sentence instead.
        #expect(error.code == .noPermission, "\(error)")
        #expect(error.description.contains("CAP_PERFMON"))
        #expect(geteuid() != 0 || paranoid == nil, "root may count: \(error)")
      }
      #expect(Self.openEventCount == 0, "closed with the reader")
    }
  }

  @Test func `an event that the kernel does not know closes what was opened`() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let good = ArbEvent(type: 1, config: 2, config1: 0, config2: 0)
      let bad = ArbEvent(type: 1, config: 200, config1: 0, config2: 0)
      for (reads, writes) in [(bad, good), (good, bad)] {
        let plan = PlannedEvents(unit: "uncore_imc_3", processor: 0, reads: reads, writes: writes)
        let error = #expect(throws: PlatformError.self) {
          try ControllerCounters([plan], paranoid: 4)
        }
        #expect(error?.reason.contains("uncore_imc_3, processor 0") == true)
      }
      #expect(Self.openEventCount == 0)
    }
  }

  /// Descriptors of this process that are events of the kernel.
  private static var openEventCount: Int {
    let tree = SystemTree()
    return tree.entries("/proc/self/fd").count {
      tree.linkTargetName("/proc/self/fd/\($0)") == "anon_inode:[perf_event]"
    }
  }

  /// Runs a body on processor 0, where its events are counted.
  private static func onProcessor0(_ body: () throws -> Void) throws {
    var before: [UInt64] = Array(repeating: 0, count: 16)
    let size = unsafe arb_thread_get_affinity(&before, 128)
    try #require(size > 0)
    var mask: [UInt64] = [1]
    try #require(unsafe arb_thread_set_affinity(&mask, 8) == 0)
    defer { _ = unsafe arb_thread_set_affinity(&before, Int(size)) }
    try body()
  }
}
