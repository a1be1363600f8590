// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What this machine could count, found without opening anything.
public struct CounterProbe: Sendable, Hashable {
  /// Modules that the nvdimm bus knows (nmem devices).
  public var moduleNames: [String]
  /// Performance-monitoring units of memory controllers (uncore_imc and its relatives).
  public var memoryControllerUnits: [String]
  /// Whether the processor has a performance-monitoring unit that the kernel uses.
  public var hasProcessorUnit: Bool
  /// The kernel's limit on measuring by users (kernel.perf_event_paranoid); nil where unknown.
  public var perfEventParanoid: Int?

  /// Looks at the tree.
  public static func read(from tree: SystemTree = SystemTree()) -> CounterProbe {
    let units = tree.entries("/sys/bus/event_source/devices")
    let controllers = units.filter { name in
      ["uncore_imc", "uncore_hbm", "amd_umc", "cxl_pmu"].contains { name.hasPrefix($0) }
    }
    let modules = tree.entries("/sys/bus/nd/devices").filter { name in
      name.hasPrefix("nmem") && (name.dropFirst(4).first?.isNumber ?? false)
    }
    return CounterProbe(
      moduleNames: modules, memoryControllerUnits: controllers,
      hasProcessorUnit: units.contains { $0 == "cpu" || $0 == "cpu_core" },
      perfEventParanoid: tree.number("/proc/sys/kernel/perf_event_paranoid"))
  }

  /// Why the modules' own counters cannot be read.
  public var reasonForNoModuleCounters: String {
    if moduleNames.isEmpty { return "the kernel knows no persistent-memory module" }
    return "modules \(moduleNames.joined(separator: ", ")) exist, but this version of Arbiter has "
      + "no reader for their counters"
  }

  /// Why the memory controller's counters cannot be read.
  public var reasonForNoMemoryControllerCounters: String {
    if memoryControllerUnits.isEmpty {
      return "the kernel offers no performance-monitoring unit of a memory controller"
    }
    return "units \(memoryControllerUnits.joined(separator: ", ")) exist, but this version of "
      + "Arbiter has no reader for them"
  }

  /// The best reader for this machine; today always the one without figures.
  public func makeReader() -> any CounterReader {
    UnavailableCounters(
      reason: "\(reasonForNoModuleCounters); \(reasonForNoMemoryControllerCounters)")
  }
}
