// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The memory controllers' units of a machine, and which processors stand for which package.
package struct ControllerProbe: Sendable, Hashable {
  /// The units that can be used, in the order of the table's alternatives.
  private var units: [PerformanceUnit] = []
  private var events: ControllerEvents?
  /// Why there is nothing to be used; nil where there is.
  private var refusal: PerformanceUnit.Refusal?
  /// The package of each processor that the kernel shows.
  private var packages: [Int: Int] = [:]
  /// The processors of each NUMA node.
  private var nodes: [Int: [Int]] = [:]

  /// Reads the units of the first alternative that the kernel shows.
  package static func read(
    unitNames: [String], from tree: SystemTree, processor: ProcessorModel
  ) -> ControllerProbe {
    var probe = ControllerProbe()
    for name in tree.entries("/sys/devices/system/cpu") {
      guard SystemTree.isNumbered(name, "cpu"), let number = Int(name.dropFirst(3)),
        let package = tree.number("/sys/devices/system/cpu/\(name)/topology/physical_package_id")
      else { continue }
      probe.packages[number] = package
    }
    for name in tree.entries("/sys/devices/system/node")
    where SystemTree.isNumbered(name, "node") {
      guard let number = Int(name.dropFirst(4)) else { continue }
      let list = tree.text("/sys/devices/system/node/\(name)/cpulist") ?? ""
      probe.nodes[number] = SystemTree.numbers(inList: list)
    }
    probe.choose(unitNames, tree, processor)
    return probe
  }

  private mutating func choose(
    _ names: [String], _ tree: SystemTree, _ processor: ProcessorModel
  ) {
    guard let table = ControllerEventTable.table(for: processor) else {
      refusal = PerformanceUnit.Refusal(
        reason: "Arbiter knows no events of persistent memory on this processor "
          + "(\(processor.vendor) family \(processor.family) model \(processor.model) "
          + "stepping \(processor.stepping))")
      return
    }
    for alternative in table.alternatives {
      // Free-running units (uncore_imc_free_running_0) share the beginning of the name and count
      // other things.
      let mine = names.filter {
        $0 == alternative.unit || SystemTree.isNumbered($0, alternative.unit + "_")
      }
      if mine.isEmpty { continue }
      do throws(PerformanceUnit.Refusal) {
        for name in mine { units.append(try PerformanceUnit.read(name, from: tree)) }
        events = alternative
        refusal = nil
        return
      } catch {
        units = []
        refusal = refusal ?? error
      }
    }
    refusal =
      refusal
      ?? PerformanceUnit.Refusal(
        reason: "units \(names.joined(separator: ", ")) exist, but none is of the kind that counts "
          + "persistent memory on \(table.processorName)")
  }

  /// The events to open for a set: those of every unit of its package.
  package func plan(for set: InterleaveSet?) throws(PerformanceUnit.Refusal) -> [PlannedEvents] {
    if let refusal { throw refusal }
    guard let events else { throw PerformanceUnit.Refusal(reason: "there is no unit") }
    var plan: [PlannedEvents] = []
    for unit in units {
      let reads = try unit.configuration(of: events.reads)
      let writes = try unit.configuration(of: events.writes)
      for processor in try processors(of: unit, for: set) {
        plan.append(
          PlannedEvents(unit: unit.name, processor: processor, reads: reads, writes: writes))
      }
    }
    return plan
  }

  private func processors(
    of unit: PerformanceUnit, for set: InterleaveSet?
  ) throws(PerformanceUnit.Refusal) -> [Int] {
    // With one package there is nothing to choose.
    guard let set, unit.processors.count > 1 else { return unit.processors }
    guard let node = set.node else {
      throw PerformanceUnit.Refusal(
        reason: "the kernel does not tell the node of \(set.name), so its memory controllers "
          + "cannot be told from the others")
    }
    guard let package = nodes[node]?.lazy.compactMap({ packages[$0] }).first else {
      throw PerformanceUnit.Refusal(
        reason: "node \(node) of \(set.name) has no processor, so its package is unknown")
    }
    let processors = unit.processors.filter { packages[$0] == package }
    guard !processors.isEmpty else {
      throw PerformanceUnit.Refusal(
        reason: "unit \(unit.name) has no processor in package \(package), where \(set.name) lies")
    }
    return processors
  }
}
