// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// One thing that Arbiter looked for on the machine.
public struct Finding: Sendable, Hashable {
  /// What came of the search.
  public enum Status: String, Sendable, Hashable, CaseIterable {
    /// It is there and can be used.
    case available
    /// It is not there.
    case absent
    /// The machine does not say.
    case unknown
  }

  /// What was looked for, as a key of documents: words with underscores.
  public var topic: String
  /// What came of it.
  public var status: Status
  /// One sentence for people.
  public var sentence: String

  /// Makes a finding.
  public init(topic: String, status: Status, sentence: String) {
    self.topic = topic
    self.status = status
    self.sentence = sentence
  }
}

/// Everything that Arbiter knows about the machine it runs on, and what follows from it.
public struct MachineReport: Sendable {
  /// The processor.
  public var processor: ProcessorFeatures
  /// Processors and memory nodes.
  public var topology: MachineTopology
  /// Persistent memory.
  public var persistentMemory: PersistentMemory
  /// File systems with direct mapping.
  public var daxMounts: [DaxMount]
  /// CXL memory devices (memN).
  public var cxlDevices: [String]
  /// What could be counted.
  public var counters: CounterProbe
  /// Which of it was read when it was tried.
  public var counterTrial: CounterTrial
  /// The rate of the time-stamp counter; nil where it could not be measured.
  public var clock: TimeStampClock?

  /// Makes a report from its parts.
  public init(
    processor: ProcessorFeatures, topology: MachineTopology, persistentMemory: PersistentMemory,
    daxMounts: [DaxMount], cxlDevices: [String], counters: CounterProbe,
    counterTrial: CounterTrial, clock: TimeStampClock?
  ) {
    self.processor = processor
    self.topology = topology
    self.persistentMemory = persistentMemory
    self.daxMounts = daxMounts
    self.cxlDevices = cxlDevices
    self.counters = counters
    self.counterTrial = counterTrial
    self.clock = clock
  }

  /// Examines this machine; takes about 10 ms, for the clock.
  ///
  /// Where there are persistent-memory modules their counters are read once, which takes as long as
  /// libipmctl takes, at most 5 s.
  ///
  /// - Parameters:
  ///   - tree: Where the kernel's files are read.
  ///   - processor: The processor; by default this one.
  /// - Returns: The report; what could not be found out is absent or unknown in it.
  public static func gather(
    from tree: SystemTree = SystemTree(), processor: ProcessorFeatures = .detect()
  ) -> MachineReport {
    let counters = CounterProbe.read(from: tree)
    return MachineReport(
      processor: processor, topology: .read(from: tree), persistentMemory: .read(from: tree),
      daxMounts: DaxMount.read(from: tree),
      cxlDevices: tree.entries("/sys/bus/cxl/devices").filter { name in
        name.hasPrefix("mem") && (name.dropFirst(3).first?.isNumber ?? false)
      },
      counters: counters, counterTrial: CounterTrial(of: counters),
      clock: try? TimeStampClock.calibrate())
  }

  /// Memory nodes without processors: where CXL memory and kmem-onlined modules appear.
  public var memoryOnlyNodes: [MachineTopology.Node] { topology.nodes.filter(\.isMemoryOnly) }

  /// Whether anything on this machine is slower than DRAM and can be mapped.
  public var hasSlowMemory: Bool {
    !persistentMemory.isAbsent || !memoryOnlyNodes.isEmpty || !cxlDevices.isEmpty
  }

  /// Ways to get memory that behaves as persistent memory where there is none.
  public static let emulations: [Finding] = [
    Finding(
      topic: "emulation_memmap", status: .unknown,
      sentence: "The kernel option memmap=4G!12G presents 4 GiB of DRAM from address 12 GiB on as "
        + "/dev/pmem0; it shows function and API, not the speed of persistent memory."),
    Finding(
      topic: "emulation_qemu", status: .unknown,
      sentence: "QEMU presents a file as a module with -machine nvdimm=on, -object "
        + "memory-backend-file and -device nvdimm; DAX and persistence domains work as on hardware."
    ),
    Finding(
      topic: "emulation_tmpfs", status: .available,
      sentence: "A file on tmpfs such as /dev/shm maps without any set-up; it is DRAM, so only the "
        + "function is shown and nothing survives."),
  ]
}
