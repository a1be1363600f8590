// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterPlatform
import ArbiterTestSupport
import CArbiterCounters
import Glibc
import Testing

@Suite("Counter probe", .timeLimit(.minutes(3)))
struct CounterProbeTests {
  private static let cascadeLake = ProcessorModel(
    vendor: "GenuineIntel", family: 6, model: 85, stepping: 7)

  /// Two packages of two processors and two modules each, an interleave set per package, and units
  /// of two memory controllers; `type` 1 is the kernel's software events, so that opening is real.
  private static func twoPackages() -> TemporaryFolder {
    let folder = TemporaryFolder()
    let nd = "sys/bus/nd/devices"
    for module in 0..<4 {
      folder.put("\(nd)/nmem\(module)/nfit/handle", ["0x1", "0x101", "0x1001", "0x1101"][module])
    }
    for region in 0..<2 {
      folder.put("\(nd)/region\(region)/numa_node", "\(region)")
      for mapping in 0..<2 {
        folder.put(
          "\(nd)/region\(region)/mapping\(mapping)",
          "nmem\(region * 2 + mapping),0,135291469824,\(mapping)")
      }
      folder.put("\(nd)/region\(region)/mappings", "2")
      folder.put("sys/devices/system/node/node\(region)/cpulist", "\(region * 2)-\(region * 2 + 1)")
    }
    for processor in 0..<4 {
      folder.put(
        "sys/devices/system/cpu/cpu\(processor)/topology/physical_package_id", "\(processor / 2)")
    }
    for unit in ["uncore_imc_0", "uncore_imc_1"] {
      let base = "sys/bus/event_source/devices/\(unit)"
      folder.put("\(base)/type", "1")
      folder.put("\(base)/cpumask", "0,2")
      folder.put("\(base)/format/event", "config:0-7")
      folder.put("\(base)/format/umask", "config:8-15")
    }
    folder.put("sys/bus/event_source/devices/uncore_imc_free_running_0/type", "9")
    folder.put("proc/sys/kernel/perf_event_paranoid", "2")
    return folder
  }

  private static func probe(
    _ folder: borrowing TemporaryFolder, _ processor: ProcessorModel = cascadeLake
  ) -> CounterProbe {
    CounterProbe.read(from: SystemTree(root: folder.path), processor: processor)
  }

  private static func plan(
    _ folder: borrowing TemporaryFolder, for set: InterleaveSet?,
    _ processor: ProcessorModel = cascadeLake
  ) throws -> [PlannedEvents] {
    let tree = SystemTree(root: folder.path)
    let names = tree.entries("/sys/bus/event_source/devices")
    return try ControllerProbe.read(unitNames: names, from: tree, processor: processor)
      .plan(for: set)
  }

  @Test func `a set is its modules, their handles and its node`() {
    let folder = Self.twoPackages()
    let sets = Self.probe(folder).interleaveSets
    #expect(sets.map(\.name) == ["region0", "region1"])
    #expect(sets.map(\.node) == [0, 1])
    #expect(sets.map { $0.modules.map(\.name) } == [["nmem0", "nmem1"], ["nmem2", "nmem3"]])
    #expect(sets.map { $0.modules.map(\.handle) } == [[0x1, 0x101], [0x1001, 0x1101]])
  }

  @Test func `a set's units are those of its package`() throws {
    let folder = Self.twoPackages()
    let sets = Self.probe(folder).interleaveSets
    for (set, processor) in zip(sets, [0, 2]) {
      let plan = try Self.plan(folder, for: set)
      #expect(plan.map(\.unit) == ["uncore_imc_0", "uncore_imc_1"])
      #expect(plan.map(\.processor) == [processor, processor])
      #expect(plan.map(\.reads.config) == [0xE3, 0xE3])
      #expect(plan.map(\.writes.config) == [0xE7, 0xE7])
      #expect(plan.map(\.reads.type) == [1, 1])
    }
    #expect(try Self.plan(folder, for: nil).map(\.processor) == [0, 2, 0, 2])
  }

  @Test func `mesh stops stand in where the kernel shows no memory controller`() throws {
    let folder = TemporaryFolder()
    folder.put("sys/bus/event_source/devices/uncore_m2m_0/type", "31")
    folder.put("sys/bus/event_source/devices/uncore_m2m_0/cpumask", "0")
    folder.put("sys/bus/event_source/devices/uncore_m2m_0/format/event", "config:0-7")
    folder.put("sys/bus/event_source/devices/uncore_m2m_0/format/umask", "config:8-15")
    let expected: [(Int, UInt64, UInt64)] = [
      (85, 0x0837, 0x2038), (106, 0x2037, 0x8038), (143, 0x2024, 0x8025), (207, 0x2024, 0x8025),
    ]
    for (model, reads, writes) in expected {
      let processor = ProcessorModel(vendor: "GenuineIntel", family: 6, model: model, stepping: 7)
      let plan = try Self.plan(folder, for: nil, processor)
      #expect(plan.map(\.reads.config) == [reads])
      #expect(plan.map(\.writes.config) == [writes])
    }
  }

  @Test(arguments: [
    ("rm -r bus/event_source/devices/uncore_imc_1/type", "uncore_imc_1 does not tell its type"),
    ("echo > bus/event_source/devices/uncore_imc_0/cpumask", "processors (cpumask)"),
    ("rm bus/event_source/devices/uncore_imc_1/format/event", "no field 'event'"),
    ("echo config:0-3 > bus/event_source/devices/uncore_imc_0/format/event", "holds 0xe3"),
    ("echo -1 > bus/nd/devices/region1/numa_node", "the node of region1"),
    ("echo > devices/system/node/node1/cpulist", "node 1 of region1 has no processor"),
    ("echo 0,1 | tee bus/event_source/devices/uncore_imc_?/cpumask", "in package 1"),
    ("rm -r bus/event_source/devices/uncore_imc_[01]", "none is of the kind"),
    ("rm -r bus/nd/devices/*", "no persistent-memory module"),
    ("rm -r bus/event_source", "no performance-monitoring unit"),
  ])
  func `what the kernel leaves out is named`(damage: (String, String)) throws {
    let folder = Self.twoPackages()
    let set = Self.probe(folder).interleaveSets[1]
    #expect(CounterBench.shell("cd '\(folder.path)/sys' && \(damage.0) > /dev/null") == 0)
    let region = Self.probe(folder).interleaveSets.last ?? set
    let error = #expect(throws: PlatformError.self) {
      try Self.probe(folder).makeControllerReader(for: region)
    }
    #expect(error?.reason.contains(damage.1) == true, "\(error?.reason ?? "")")
  }

  @Test func `a processor without known events is named by its numbers`() {
    let folder = Self.twoPackages()
    let probe = Self.probe(
      folder, ProcessorModel(vendor: "AuthenticAMD", family: 25, model: 1, stepping: 1))
    let choice = probe.choose(helper: nil)
    #expect(choice.reader.source == .unavailable)
    #expect(choice.refusals.map(\.source) == [.module, .memoryController])
    #expect(choice.refusals[0].reason.contains("no helper"))
    #expect(choice.refusals[1].reason.contains("AuthenticAMD family 25 model 1 stepping 1"))
    #expect(choice.reader.reasonForAbsence?.contains("no helper") == true)
  }

  @Test func `modules are read where they can be and refused where not`() throws {
    let folder = Self.twoPackages()
    let build = TemporaryFolder()
    let helper = HelperProgram.arbiter(
      at: CounterBench.tool, library: CounterBench.buildLibrary(in: build))
    let probe = Self.probe(folder)
    let feed = try probe.makeModuleFeed(helper: helper)
    let choice = probe.choose(for: probe.interleaveSets[0], feed: feed)
    var reader = choice.reader
    #expect(!choice.refusals.contains { $0.source == .module })
    #expect(reader.snapshot().source == .unavailable, "no figure before the first reading")
    #expect(CounterBench.waits { reader.snapshot().source == .module })
    #expect(reader.snapshot().seesAmplification)
    // The library lists the modules of the first package only.
    var other = probe.choose(for: probe.interleaveSets[1], feed: feed).reader
    #expect(other.snapshot().source == .unavailable)
    #expect(other.reasonForAbsence?.contains("0x1001") == true)
    folder.put("sys/bus/nd/devices/nmem0/nfit/handle", "unknown")
    let hidden = Self.probe(folder)
    let refusals = hidden.choose(for: hidden.interleaveSets[0], feed: feed).refusals
    #expect(refusals.first?.reason.contains("handles of the modules of region0") == true)
  }

  /// A reader of the memory controller that tells its own snapshots apart.
  private struct Controller: CounterReader {
    var source: CounterSource { .memoryController }
    var reasonForAbsence: String? { "media bytes cannot be seen" }

    func snapshot() -> CounterSnapshot {
      CounterSnapshot(timeNanoseconds: 7, source: .memoryController, imcWriteBytes: 64)
    }
  }

  @Test func `a reader turns to the memory controller once and never back`() throws {
    let failing = HelperProgram(
      path: "/bin/sh",
      arguments: ["-c", "echo arbiter-module-counters 1; sleep 0.2; echo unavailable because"])
    var reader = FirstWorkingCounters(
      ModuleCounters(feed: try ModuleCounterFeed(failing), handles: nil), otherwise: Controller())
    #expect(reader.snapshot().source == .unavailable, "undecided")
    #expect(reader.source == .module)
    #expect(CounterBench.waits { reader.snapshot().source == .memoryController })
    #expect(reader.source == .memoryController)
    #expect(reader.reasonForAbsence?.contains("because") == true)

    let late = HelperProgram(
      path: "/bin/sh",
      arguments: [
        "-c",
        "echo arbiter-module-counters 1; echo module 1 0 1 5 1 1 2 3 4; sleep 0.3; "
          + "echo unavailable because",
      ])
    var modules = FirstWorkingCounters(
      ModuleCounters(feed: try ModuleCounterFeed(late), handles: nil), otherwise: Controller())
    #expect(CounterBench.waits { modules.snapshot().source == .module })
    #expect(CounterBench.waits { modules.source == .unavailable })
    #expect(modules.snapshot().source == .unavailable, "periods never lie between two sources")
    #expect(modules.reasonForAbsence == "because")
  }

  @Test func `what stands in does so when the helper has found nothing to read`() {
    let folder = Self.twoPackages()
    #expect(CounterBench.shell("rm -r '\(folder.path)/sys/bus/event_source'") == 0)
    let probe = Self.probe(folder)
    let failing = HelperProgram(
      path: "/bin/sh",
      arguments: ["-c", "echo arbiter-module-counters 1; echo unavailable because"])
    for helper in [failing, nil] {
      var reader = probe.choose(
        for: probe.interleaveSets[0], helper: helper, otherwise: Controller()
      ).reader
      #expect(CounterBench.waits { reader.snapshot().source == .memoryController })
      #expect(reader.source == .memoryController)
    }
  }

  @Test func `a trial tells what works and leaves nothing running`() {
    let folder = Self.twoPackages()
    let build = TemporaryFolder()
    let helper = HelperProgram.arbiter(
      at: CounterBench.tool, library: CounterBench.buildLibrary(in: build))
    let trial = CounterTrial(
      of: Self.probe(folder), helper: helper, nanosecondsMax: 30_000_000_000)
    #expect(trial.moduleRefusal == nil)
    #expect(trial.bestSource == .module)
    let process = Int32(CounterBench.text(of: "\(build.path)/starts"))
    #expect(process.map { kill($0, 0) != 0 } == true)
    let none = CounterTrial(of: Self.probe(folder), helper: nil)
    #expect(none.moduleRefusal?.contains("nmem0, nmem1, nmem2, nmem3") == true)
    #expect(none.bestSource == .unavailable)
  }
}
