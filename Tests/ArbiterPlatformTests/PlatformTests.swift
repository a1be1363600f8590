// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterPlatform
import ArbiterTestSupport
import Glibc
import Testing

@Suite("Processor and clock")
struct ProcessorTests {
  @Test func `CPUID agrees with what the kernel lists`() throws {
    let features = ProcessorFeatures.detect()
    let info = try #require(SystemTree().text("/proc/cpuinfo"))
    let line = info.split(separator: "\n").first { $0.hasPrefix("flags") } ?? ""
    let flags = Set(line.split(separator: " "))
    #expect(features.hasClwb == flags.contains("clwb"))
    #expect(features.hasClflushopt == flags.contains("clflushopt"))
    #expect(features.hasClflush == flags.contains("clflush"))
    #expect((features.hypervisorName != nil) == flags.contains("hypervisor"))
    #expect(info.contains(features.modelName))
  }

  @Test func `the cheapest flush instruction that exists is used`() {
    for bits in 0..<8 {
      let features = ProcessorFeatures(
        modelName: "", hasClwb: bits & 1 != 0, hasClflushopt: bits & 2 != 0,
        hasClflush: bits & 4 != 0, hasInvariantTSC: true, hypervisorName: nil)
      let expected: FlushInstruction =
        bits & 1 != 0 ? .clwb : bits & 2 != 0 ? .clflushopt : .clflush
      #expect(features.bestFlush == expected)
      #expect(features.flushInstructions.count == bits.nonzeroBitCount)
    }
  }

  @Test func `the measured rate agrees with the kernel's clock`() throws {
    let clock = try TimeStampClock.calibrate()
    let start = (TimeStampClock.nowOrdered(), SystemClock.monotonicRawNanoseconds())
    usleep(50_000)
    let end = (TimeStampClock.nowOrdered(), SystemClock.monotonicRawNanoseconds())
    let ratio = clock.nanoseconds(end.0 - start.0) / Double(end.1 - start.1)
    #expect(abs(ratio - 1) < 0.005, "ratio \(ratio)")
  }

  @Test func `a wait in counts is never shorter than asked for`() {
    for rate in [0.1, 0.999, 2.5, 3.7] {
      let clock = TimeStampClock(ticksPerNanosecond: rate)
      for nanoseconds in [0, 0.3, 1, 17, 1e6] {
        let ticks = clock.ticks(nanoseconds: nanoseconds)
        #expect(Double(ticks) / rate >= nanoseconds * (1 - 1e-12))
        #expect(Double(ticks) - nanoseconds * rate < 1)
      }
    }
  }
}

@Suite("System tree")
struct SystemTreeTests {
  @Test func `lists of numbers are read and nonsense is left out`() {
    #expect(SystemTree.numbers(inList: "0-3,8") == [0, 1, 2, 3, 8])
    #expect(SystemTree.numbers(inList: "") == [])
    #expect(SystemTree.numbers(inList: "5-3,x,7-,2") == [7, 2])
  }

  @Test func `what is missing is nil or empty`() {
    let tree = SystemTree(root: "/nonexistent")
    #expect(tree.text("/a") == nil)
    #expect(tree.number("/a") == nil)
    #expect(tree.entries("/a") == [])
    #expect(tree.linkTargetName("/a") == nil)
    #expect(PersistentMemory.read(from: tree).isAbsent)
    #expect(MachineTopology.read(from: tree).nodes == [])
    #expect(DaxMount.read(from: tree) == [])
  }

  @Test func `names with numbers are listed in the order of the numbers`() {
    let folder = TemporaryFolder()
    for name in ["node10", "node2", "node1", "zeta", "alpha"] { folder.write("", to: "d/\(name)") }
    #expect(
      SystemTree(root: folder.path).entries("/d") == ["alpha", "node1", "node2", "node10", "zeta"])
  }
}

extension TemporaryFolder {
  /// Writes a line to a file.
  func put(_ path: String, _ text: String) {
    write(text + "\n", to: path)
  }
}

/// A tree of a machine with two regions, four namespaces, a dax device and a CXL node.
func fullTree() -> TemporaryFolder {
  let folder = TemporaryFolder()
  let nd = "sys/bus/nd/devices"
  for (region, domain) in [("region0", "memory_controller"), ("region1", "cpu_cache")] {
    folder.put("\(nd)/\(region)/size", "270582939648")
    folder.put("\(nd)/\(region)/numa_node", "0")
    folder.put("\(nd)/\(region)/mappings", "2")
    folder.put("\(nd)/\(region)/persistence_domain", domain)
    folder.put("\(nd)/\(region)/deep_flush", "1")
  }
  for (name, mode, size) in [
    ("namespace0.0", "memory", "1073741824"), ("namespace0.1", "raw", "0"),
    ("namespace1.0", "dax", "0x40000000"), ("namespace1.1", "safe", "4096"),
  ] {
    folder.put("\(nd)/\(name)/mode", mode)
    folder.put("\(nd)/\(name)/size", size)
    folder.put("\(nd)/\(name)/numa_node", "-1")
  }
  folder.put("\(nd)/namespace0.0/holder", "pfn0.1")
  folder.makeFolder("\(nd)/pfn0.1/block/pmem0")
  folder.makeFolder("\(nd)/nmem0")
  folder.makeFolder("\(nd)/ndbus0")
  folder.put("sys/bus/dax/devices/dax1.0/size", "1071644672")
  folder.put("sys/bus/dax/devices/dax1.0/align", "2097152")
  folder.put("sys/bus/dax/devices/dax1.0/target_node", "2")
  folder.link("sys/bus/dax/devices/dax1.0/driver", to: "../../drivers/kmem")
  folder.put("sys/devices/system/cpu/online", "0-3")
  for processor in 0..<4 {
    folder.put("sys/devices/system/cpu/cpu\(processor)/topology/core_id", "\(processor / 2)")
    folder.put("sys/devices/system/cpu/cpu\(processor)/topology/physical_package_id", "0")
  }
  folder.put("sys/devices/system/node/node0/cpulist", "0-3")
  folder.put("sys/devices/system/node/node0/meminfo", "Node 0 MemTotal:       16777216 kB")
  folder.put("sys/devices/system/node/node2/cpulist", "")
  folder.put("sys/devices/system/node/node2/meminfo", "Node 2 MemTotal: 1048576 kB")
  folder.makeFolder("sys/bus/cxl/devices/mem0")
  folder.makeFolder("sys/bus/event_source/devices/uncore_imc_0")
  folder.put(
    "proc/self/mounts",
    "/dev/pmem0 /mnt/a\\040b ext4 rw,relatime,dax=always 0 0\n/dev/sda / xfs rw,nodaxish 0 0")
  return folder
}

@Suite("Persistent memory")
struct PersistentMemoryTests {
  @Test func `a full tree is read whole`() {
    let folder = fullTree()
    let memory = PersistentMemory.read(from: SystemTree(root: folder.path))
    #expect(memory.regions.map(\.name) == ["region0", "region1"])
    #expect(memory.regions.map(\.moduleCount) == [2, 2])
    #expect(memory.regions.map(\.hasFlushHints) == [true, true])
    #expect(memory.namespaces.map(\.name) == ["namespace0.0", "namespace1.0", "namespace1.1"])
    #expect(memory.namespaces.map(\.mode) == [.fsdax, .devdax, .sector])
    #expect(memory.namespaces.map(\.sizeBytes) == [1 << 30, 1 << 30, 4096])
    #expect(memory.namespaces.map(\.node) == [nil, nil, nil])
    #expect(memory.namespaces.map(\.blockDevice) == ["pmem0", nil, nil])
    #expect(memory.daxDevices.map(\.name) == ["dax1.0"])
    #expect(memory.daxDevices.map(\.targetNode) == [2])
    #expect(memory.daxDevices.map(\.isSystemMemory) == [true])
    #expect(memory.daxDevices.map(\.alignmentBytes) == [2 << 20])
  }

  @Test func `caches are trusted only where every region says so`() {
    typealias Domain = PersistentMemory.PersistenceDomain
    let cases: [([String], Domain?)] = [
      ([], nil), (["cpu_cache"], .processorCache), (["memory_controller"], .memoryController),
      (["cpu_cache", "memory_controller"], .memoryController), (["cpu_cache", ""], .unknown),
      (["memory_controller", "new"], .unknown), (["cpu_cache", "cpu_cache"], .processorCache),
    ]
    for (domains, expected) in cases {
      let folder = TemporaryFolder()
      for (index, domain) in domains.enumerated() {
        folder.write(domain, to: "sys/bus/nd/devices/region\(index)/persistence_domain")
      }
      let memory = PersistentMemory.read(from: SystemTree(root: folder.path))
      #expect(memory.persistenceDomain == expected, "\(domains)")
    }
  }

  @Test func `nodes without processors are told apart`() {
    let folder = fullTree()
    let topology = MachineTopology.read(from: SystemTree(root: folder.path))
    #expect(topology.logicalProcessorCount == 4)
    #expect(topology.coreCount == 2)
    #expect(topology.nodes.map(\.isMemoryOnly) == [false, true])
    #expect(topology.nodes.map(\.memoryBytes) == [16 << 30, 1 << 30])
  }

  @Test func `mounts with DAX are found by their options`() {
    let folder = fullTree()
    let mounts = DaxMount.read(from: SystemTree(root: folder.path))
    #expect(
      mounts == [DaxMount(device: "/dev/pmem0", folder: "/mnt/a b", fileSystem: "ext4")])
  }
}

@Suite("Files and counters")
struct FileAndCounterTests {
  @Test func `kinds of file systems are told apart`() throws {
    #expect(try FileSystemKind.of(path: "/dev/shm") == .tmpfs)
    #expect(try FileSystemKind.of(path: "/proc/self") != .tmpfs)
    #expect(try !FileSystemKind.of(path: "/proc/self").isDirect)
    #expect(try FileSystemKind.of(path: "/dev/null").isDirect == false)
  }

  @Test func `a path that does not exist is an error that names it`() {
    let error = #expect(throws: PlatformError.self) {
      try FileSystemKind.of(path: "/nonexistent/file")
    }
    #expect(error?.code == .notFound)
    #expect(error?.description.contains("'/nonexistent/file'") == true)
    #expect(error?.description.contains("; check the path") == true)
  }

  @Test func `a machine without counters says so and reports no figure`() {
    var reader = CounterProbe.read(from: SystemTree(root: "/nonexistent")).makeReader()
    let first = reader.snapshot()
    #expect(first.source == .unavailable)
    #expect(first.imcWriteBytes == nil)
    #expect(first.mediaWriteBytes == nil)
    #expect(reader.reasonForAbsence?.contains("no persistent-memory module") == true)
    #expect(reader.snapshot().timeNanoseconds >= first.timeNanoseconds)
  }

  @Test func `units that do not describe themselves are named`() {
    let folder = fullTree()
    let probe = CounterProbe.read(
      from: SystemTree(root: folder.path),
      processor: ProcessorModel(vendor: "GenuineIntel", family: 6, model: 106, stepping: 6))
    #expect(probe.moduleNames == ["nmem0"])
    let choice = probe.choose(helper: nil)
    #expect(choice.refusals.map(\.source) == [.module, .memoryController])
    #expect(choice.refusals.last?.reason.contains("uncore_imc_0") == true)
    #expect(choice.reader.source == .unavailable)
  }
}

@Suite("Machine report")
struct MachineReportTests {
  static let plain = ProcessorFeatures(
    modelName: "Model", hasClwb: true, hasClflushopt: true, hasClflush: true,
    hasInvariantTSC: true, hypervisorName: nil)

  private func statuses(_ report: MachineReport) -> [String: Finding.Status] {
    Dictionary(uniqueKeysWithValues: report.findings.map { ($0.topic, $0.status) })
  }

  @Test func `an empty machine has nothing and says what follows`() {
    let report = MachineReport.gather(
      from: SystemTree(root: "/nonexistent"), processor: Self.plain)
    let statuses = statuses(report)
    for topic in [
      "regions", "namespaces", "dax_devices", "dax_mounts", "cxl_memory", "persistence_domain",
      "module_counters", "memory_controller_counters", "hypervisor", "interleave_sets",
      "bad_blocks", "unsafe_shutdowns", "deep_flush",
    ] { #expect(statuses[topic] == .absent, "\(topic)") }
    #expect(statuses["cores"] == .unknown)
    #expect(statuses["processor"] == .available)
    #expect(!report.hasSlowMemory)
    #expect(report.consequences.contains { $0.contains("simulator") })
    #expect(report.consequences.contains { $0.contains("inserts no delay") })
  }

  @Test func `a machine with everything has it found`() {
    let folder = fullTree()
    let report = MachineReport.gather(
      from: SystemTree(root: folder.path), processor: Self.plain)
    let statuses = statuses(report)
    for topic in [
      "regions", "namespaces", "dax_devices", "dax_mounts", "cxl_memory", "persistence_domain",
      "cores", "numa_nodes", "flush_instructions", "time_stamp_counter",
    ] { #expect(statuses[topic] == .available, "\(topic)") }
    #expect(statuses["module_counters"] == .unknown)
    #expect(report.hasSlowMemory)
    #expect(report.findings.contains { $0.sentence.contains("namespace0.0 fsdax 1GiB as pmem0") })
  }

  @Test func `every finding is one sentence under a topic of its own`() {
    let folder = fullTree()
    for root in ["/nonexistent", folder.path, "/"] {
      let report = MachineReport.gather(from: SystemTree(root: root), processor: .detect())
      let findings = report.findings + MachineReport.emulations
      #expect(Set(findings.map(\.topic)).count == findings.count)
      for finding in findings {
        #expect(finding.sentence.hasSuffix("."))
        #expect(!finding.sentence.dropLast().contains(". "), "\(finding.sentence)")
      }
    }
  }
}
