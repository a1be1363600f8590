// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement
public import ArbiterPlatform
internal import CArbiter

/// What a machine's memory nodes offer to a program that is placed on two of them.
public struct NumaProbe: Sendable, Hashable {
  /// A node.
  public struct Node: Sendable, Hashable {
    /// The kernel's number of it.
    public var number: Int
    /// Its logical processors; empty for memory alone, as CXL memory and modules as system RAM.
    public var processors: [Int]
    /// Bytes of memory on it; 0 where there is none.
    public var memoryBytes: Int
    /// How far other nodes are, by their numbers, as the firmware says; 10 is the node itself.
    public var distances: [Int: Int]
  }

  /// The nodes, by rising number; empty where the kernel knows of none.
  public var nodes: [Node]
  /// What kernel.numa_balancing is: 0 off, 1 on, 2 between tiers; nil where there is no switch.
  public var balancing: Int?
  /// The nodes that this process may use, and so what it starts; nil where nothing limits them.
  public var allowedNodes: [Int]?

  /// Reads what a tree tells.
  public static func read(from tree: SystemTree = SystemTree()) -> NumaProbe {
    let base = "/sys/devices/system/node"
    let topology = MachineTopology.read(from: tree)
    let online = tree.text("\(base)/online").map { SystemTree.numbers(inList: $0) }
    // The columns of a node's distances are the nodes on line, in order.
    let columns = online ?? topology.nodes.map(\.number)
    let nodes = topology.nodes.map { node in
      let row = tree.text("\(base)/node\(node.number)/distance") ?? ""
      let values = row.split(separator: " ").compactMap { Int($0) }
      return Node(
        number: node.number, processors: node.processors, memoryBytes: node.memoryBytes ?? 0,
        distances: Dictionary(zip(columns, values)) { first, _ in first })
    }
    let status = tree.text("/proc/self/status") ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("Mems_allowed_list:") }
    return NumaProbe(
      nodes: nodes.sorted { $0.number < $1.number },
      balancing: tree.number("/proc/sys/kernel/numa_balancing"),
      allowedNodes: line?.split(separator: ":").last.map { SystemTree.numbers(inList: String($0)) })
  }

  /// Nodes that have memory and no processor: what slow memory usually is.
  public var memoryOnlyNodes: [Int] {
    nodes.filter { $0.processors.isEmpty && $0.memoryBytes > 0 }.map(\.number)
  }

  /// Chooses the nodes of both tiers.
  ///
  /// - Parameter slow: The node whose memory is the slow tier.
  /// - Returns: The nodes, and what is to be known about them.
  /// - Throws: ``PlatformError`` where there is no such node, nothing on it, no other one that has
  ///   processors, or where this process may not use it.
  public func places(slow: Int) throws(PlatformError) -> NumaPlaces {
    let path = "/sys/devices/system/node/node\(slow)"
    guard !nodes.isEmpty else {
      throw PlatformError(
        .unsupported, path: "/sys/devices/system/node", reason: "the kernel knows of no nodes",
        nextStep: "give a file as slow memory instead")
    }
    guard let node = nodes.first(where: { $0.number == slow }) else {
      throw PlatformError(
        .notFound, path: path, reason: "there is no node \(slow), only \(Self.list(nodes))",
        nextStep: "name one of them, make persistent memory a node with "
          + "'daxctl reconfigure-device --mode=system-ram', or give a file")
    }
    guard node.memoryBytes > 0 else {
      throw PlatformError(
        .unsupported, path: path, reason: "node \(slow) has no memory on line",
        nextStep: "switch it on with 'daxctl online-memory', or name another node")
    }
    let fast = nodes.filter {
      $0.number != slow && !$0.processors.isEmpty && $0.memoryBytes > 0
        && allowedNodes?.contains($0.number) != false
    }
    guard !fast.isEmpty else {
      throw PlatformError(
        .unsupported, path: path,
        reason: "beside node \(slow) no node has both processors and memory that may be used",
        nextStep: "name a node without processors as slow memory, or give a file")
    }
    if let allowedNodes, !allowedNodes.contains(slow) {
      throw PlatformError(
        .noPermission, path: path,
        reason: "this process's set of nodes leaves out node \(slow)",
        nextStep: "add it to the cpuset's cpuset.mems, or start Arbiter outside of the set")
    }
    let far = { (node: Node) in (node.distances[slow] ?? .max, node.number) }
    return NumaPlaces(
      fast: fast.sorted { far($0) < far($1) }.map { Int32($0.number) }, slow: Int32(slow),
      fastMemoryBytes: fast.reduce(0) { $0 + $1.memoryBytes }, slowMemoryBytes: node.memoryBytes,
      remarks: remarks(of: node))
  }

  private func remarks(of node: Node) -> [String] {
    var remarks: [String] = []
    if !node.processors.isEmpty {
      remarks.append(
        "node \(node.number) has processors of its own: for threads on them its memory is near")
    }
    if let balancing, balancing != 0 {
      remarks.append(
        "kernel.numa_balancing is \(balancing): programs that Arbiter starts are left alone by it")
    }
    if arb_pages_may_move_shared() < 0 {
      remarks.append(
        "memory that several processes map stays where it is: moving it takes CAP_SYS_NICE")
    }
    return remarks
  }

  private static func list(_ nodes: [Node]) -> String {
    nodes.count == 1
      ? "node \(nodes[0].number)" : "nodes \(nodes.map { "\($0.number)" }.joined(separator: ", "))"
  }
}

/// The nodes of two tiers.
public struct NumaPlaces: Sendable, Hashable {
  /// Nodes with processors, the nearest to the slow one first.
  public var fast: [Int32]
  /// The slow one.
  public var slow: Int32
  /// Bytes of memory on the fast nodes.
  public var fastMemoryBytes: Int
  /// Bytes of memory on the slow one.
  public var slowMemoryBytes: Int
  /// What else there is to know, one sentence each.
  public var remarks: [String]

  /// Makes a choice by hand.
  public init(
    fast: [Int32], slow: Int32, fastMemoryBytes: Int, slowMemoryBytes: Int, remarks: [String] = []
  ) {
    self.fast = fast
    self.slow = slow
    self.fastMemoryBytes = fastMemoryBytes
    self.slowMemoryBytes = slowMemoryBytes
    self.remarks = remarks
  }

  /// The tier of a node: what is not fast is slow.
  func tier(ofNode node: Int32) -> Tier { fast.contains(node) ? .fast : .slow }

  /// Runs a closure that starts a program, which then takes new memory from the node it runs on.
  ///
  /// An explicit policy, which a program inherits: the kernel's own balancing of nodes leaves
  /// threads with one alone, so that it does not undo what Arbiter does.
  public static func startingLocally<Result, Failure: Error>(
    _ start: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var before = ArbMemoryPolicy()
    let isChanged = unsafe arb_memory_policy_local(&before) >= 0
    defer { if isChanged { unsafe _ = arb_memory_policy_restore(&before) } }
    return try start()
  }
}
