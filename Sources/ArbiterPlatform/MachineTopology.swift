// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The processors and the memory nodes of the machine.
public struct MachineTopology: Sendable, Hashable {
  /// A NUMA node.
  public struct Node: Sendable, Hashable {
    /// The kernel's number of the node.
    public var number: Int
    /// The logical processors of the node; empty for memory without processors.
    public var processors: [Int]
    /// Bytes of memory on the node; nil where the kernel does not say.
    public var memoryBytes: Int?

    /// Makes a node.
    public init(number: Int, processors: [Int], memoryBytes: Int?) {
      self.number = number
      self.processors = processors
      self.memoryBytes = memoryBytes
    }

    /// Whether the node has memory and no processor, as CXL and kmem-onlined modules do.
    public var isMemoryOnly: Bool { processors.isEmpty && (memoryBytes ?? 0) > 0 }
  }

  /// Logical processors that are on line.
  public var logicalProcessorCount: Int
  /// Cores; nil where the kernel does not say.
  public var coreCount: Int?
  /// The NUMA nodes; empty where the kernel does not say.
  public var nodes: [Node]

  /// Reads the topology; what the tree does not tell is nil or empty.
  public static func read(from tree: SystemTree = SystemTree()) -> MachineTopology {
    let base = "/sys/devices/system"
    let online = SystemTree.numbers(inList: tree.text("\(base)/cpu/online") ?? "")
    var cores: Set<String> = []
    for processor in online {
      let folder = "\(base)/cpu/cpu\(processor)/topology"
      if let core = tree.text("\(folder)/core_id"),
        let package = tree.text("\(folder)/physical_package_id")
      {
        cores.insert("\(package)/\(core)")
      }
    }
    var nodes: [Node] = []
    for name in tree.entries("\(base)/node") where name.hasPrefix("node") {
      guard let number = Int(name.dropFirst(4)) else { continue }
      let list = tree.text("\(base)/node/\(name)/cpulist") ?? ""
      let bytes = memoryBytes(tree.text("\(base)/node/\(name)/meminfo") ?? "")
      nodes.append(
        Node(number: number, processors: SystemTree.numbers(inList: list), memoryBytes: bytes))
    }
    return MachineTopology(
      logicalProcessorCount: online.count, coreCount: cores.isEmpty ? nil : cores.count,
      nodes: nodes)
  }

  /// The size in a line such as `Node 0 MemTotal: 24 kB`.
  private static func memoryBytes(_ meminfo: String) -> Int? {
    for line in meminfo.split(separator: "\n") {
      let words = line.split(separator: " ")
      if let place = words.firstIndex(of: "MemTotal:"), place + 1 < words.count {
        return Int(words[place + 1]).map { $0 * 1024 }
      }
    }
    return nil
  }
}
