// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice

extension MachineReport {
  /// Every finding, in the order in which people ask.
  public var findings: [Finding] {
    [
      processorFinding, coreFinding, nodeFinding, flushFinding, clockFinding,
      virtualisationFinding, domainFinding, regionFinding, interleaveFinding, namespaceFinding,
      daxDeviceFinding, badBlockFinding, shutdownFinding, deepFlushFinding, daxMountFinding,
      cxlFinding, moduleCounterFinding, controllerCounterFinding,
    ]
  }

  /// What the findings mean for the use of Arbiter, one sentence each.
  public var consequences: [String] {
    var sentences: [String] = []
    if !hasSlowMemory {
      sentences.append(
        "Nothing here is slower than DRAM: use the simulator for figures of persistent memory and "
          + "real runs for function only.")
    }
    if counterTrial.bestSource == .memoryController {
      sentences.append(
        "The memory controller's counts give the modules' bandwidth; write amplification is "
          + "unavailable, so a controller that goes by it inserts no delay.")
    }
    if counterTrial.bestSource == .unavailable {
      sentences.append(
        "Nothing counts media writes: a real run reports program bytes, its device figures are "
          + "unavailable, and a controller inserts no delay, unless arbiter run is told by "
          + "--profile which kind of module to estimate with.")
    }
    if persistentMemory.persistenceDomain == .processorCache {
      sentences.append("Caches survive a loss of power: a fence persists, flushes can be left out.")
    }
    if persistentMemory.badByteCount ?? 0 > 0 {
      sentences.append(
        "Some memory is lost: a load from it raises SIGBUS, so read through the checked calls and "
          + "restore what lay there.")
    }
    if processor.hypervisorName != nil {
      sentences.append(
        "The machine is virtual: other guests disturb timings, so compare pairs taken in turn.")
    }
    if !processor.hasInvariantTSC {
      sentences.append(
        "The time-stamp counter may change its rate: delays of gates are not exact in time.")
    }
    return sentences
  }

  static func bytes(_ count: Int?) -> String {
    count.map { ByteCount(bytes: max(0, $0)).description } ?? "unknown size"
  }

  private var processorFinding: Finding {
    let name = processor.modelName
    return name.isEmpty
      ? Finding(topic: "processor", status: .unknown, sentence: "The processor gives no name.")
      : Finding(topic: "processor", status: .available, sentence: "The processor is \(name).")
  }

  private var coreFinding: Finding {
    let logical = topology.logicalProcessorCount
    guard logical > 0 else {
      return Finding(
        topic: "cores", status: .unknown, sentence: "The kernel does not list its processors.")
    }
    let cores = topology.coreCount.map { " on \($0) cores" } ?? ""
    return Finding(
      topic: "cores", status: .available,
      sentence: "Logical processors on line: \(logical)\(cores).")
  }

  private var nodeFinding: Finding {
    guard !topology.nodes.isEmpty else {
      return Finding(
        topic: "numa_nodes", status: .unknown, sentence: "The kernel lists no memory node.")
    }
    let list = topology.nodes.map { "node \($0.number) \(Self.bytes($0.memoryBytes))" }
    return Finding(
      topic: "numa_nodes", status: .available,
      sentence: "Memory nodes: \(list.joined(separator: ", ")).")
  }

  private var flushFinding: Finding {
    let list = processor.flushInstructions.map(\.rawValue)
    guard !list.isEmpty else {
      return Finding(
        topic: "flush_instructions", status: .absent,
        sentence: "The processor has no instruction that writes a line back.")
    }
    return Finding(
      topic: "flush_instructions", status: .available,
      sentence: "Lines are written back by \(list.joined(separator: ", ")), the first is used.")
  }

  private var clockFinding: Finding {
    guard let clock else {
      return Finding(
        topic: "time_stamp_counter", status: .absent,
        sentence: "The time-stamp counter does not advance, so gates cannot delay.")
    }
    let megahertz = Int((clock.ticksPerNanosecond * 1000).rounded())
    let kind = processor.hasInvariantTSC ? "an invariant rate" : "a rate that may change"
    return Finding(
      topic: "time_stamp_counter", status: .available,
      sentence: "The time-stamp counter runs at \(megahertz) MHz, \(kind).")
  }

  private var virtualisationFinding: Finding {
    guard let name = processor.hypervisorName else {
      return Finding(
        topic: "hypervisor", status: .absent, sentence: "The machine runs on bare metal.")
    }
    return Finding(
      topic: "hypervisor", status: .available,
      sentence: "The machine is virtual (\(name.isEmpty ? "unnamed hypervisor" : name)).")
  }

  private var daxMountFinding: Finding {
    Self.listing(
      "dax_mounts", daxMounts.map { "\($0.folder) (\($0.fileSystem) on \($0.device))" },
      none: "No file system is mounted with DAX.")
  }

  private var cxlFinding: Finding {
    let nodes = memoryOnlyNodes.map {
      "memory-only node \($0.number) \(Self.bytes($0.memoryBytes))"
    }
    return Self.listing(
      "cxl_memory", cxlDevices + nodes,
      none: "There is no CXL memory device and no memory node without processors.")
  }

  private var moduleCounterFinding: Finding {
    if let reason = counterTrial.moduleRefusal {
      return Finding(
        topic: "module_counters", status: counters.moduleNames.isEmpty ? .absent : .unknown,
        sentence: "The modules' own counters cannot be read: \(reason).")
    }
    return Finding(
      topic: "module_counters", status: .available,
      sentence: "The modules' own counters are read through libipmctl, once a second "
        + "(\(counters.moduleNames.joined(separator: ", "))).")
  }

  private var controllerCounterFinding: Finding {
    if let reason = counterTrial.controllerRefusal {
      return Finding(
        topic: "memory_controller_counters",
        status: counters.memoryControllerUnits.isEmpty ? .absent : .unknown,
        sentence: "The memory controller's counters cannot be read: \(reason).")
    }
    return Finding(
      topic: "memory_controller_counters", status: .available,
      sentence: "The memory controller's counts of commands to persistent memory are read "
        + "(\(counters.memoryControllerUnits.joined(separator: ", "))).")
  }

  static func listing(_ topic: String, _ list: [String], none: String) -> Finding {
    list.isEmpty
      ? Finding(topic: topic, status: .absent, sentence: none)
      : Finding(
        topic: topic, status: .available,
        sentence: "Found: \(list.joined(separator: ", ")).")
  }
}
