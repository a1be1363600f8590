// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The modules over which addresses are spread together, and where they sit.
///
/// Amplification belongs to modules, so counters are read and controllers run once per set.
public struct InterleaveSet: Sendable, Hashable {
  /// One module of a set.
  public struct Module: Sendable, Hashable {
    /// The kernel's name, as nmem0.
    public var name: String
    /// The firmware's handle, by which libraries know the module; nil where the kernel hides it.
    public var handle: UInt32?

    /// Makes a module.
    public init(name: String, handle: UInt32?) {
      self.name = name
      self.handle = handle
    }
  }

  /// The kernel's name of the region, as region0.
  public var name: String
  /// The NUMA node; nil where unknown.
  public var node: Int?
  /// The modules.
  public var modules: [Module]

  /// Makes a set.
  public init(name: String, node: Int?, modules: [Module]) {
    self.name = name
    self.node = node
    self.modules = modules
  }

  /// Reads the sets of a machine.
  ///
  /// Source: Linux, drivers/nvdimm/region_devs.c: mappingN is `nmem0,start,size,position`;
  /// drivers/acpi/nfit/core.c: nfit/handle is a hexadecimal number.
  public static func read(from tree: SystemTree) -> [InterleaveSet] {
    let folder = "/sys/bus/nd/devices"
    return tree.entries(folder).filter { isNumbered($0, "region") }.map { region in
      let path = "\(folder)/\(region)"
      let mappings = tree.entries(path).filter { isNumbered($0, "mapping") }
      let modules = mappings.compactMap { mapping -> Module? in
        guard let name = tree.text("\(path)/\(mapping)")?.split(separator: ",").first,
          isNumbered(String(name), "nmem")
        else { return nil }
        let handle = tree.number("\(folder)/\(name)/nfit/handle")
        return Module(name: String(name), handle: handle.flatMap { UInt32(exactly: $0) })
      }
      return InterleaveSet(
        name: region, node: tree.number("\(path)/numa_node").flatMap { $0 < 0 ? nil : $0 },
        modules: modules)
    }
  }

  static func isNumbered(_ name: String, _ prefix: String) -> Bool {
    let digits = name.dropFirst(prefix.count)
    return name.hasPrefix(prefix) && !digits.isEmpty
      && digits.allSatisfy { $0.isASCII && $0.isNumber }
  }
}
