// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The persistent memory that the kernel's nvdimm and dax drivers know of.
///
/// Read from sysfs alone; a machine without the drivers has none, which is not an error.
public struct PersistentMemory: Sendable, Hashable {
  /// What survives a loss of power.
  public enum PersistenceDomain: String, Sendable, Hashable {
    /// Everything from the memory controller's queues on (ADR): lines must be written back.
    case memoryController = "memory_controller"
    /// The processor's caches too (eADR): a fence is enough.
    case processorCache = "cpu_cache"
    /// The platform does not say.
    case unknown
  }

  /// How a namespace presents its memory.
  public enum Mode: String, Sendable, Hashable {
    /// A block device whose file systems can map memory directly.
    case fsdax
    /// A character device that is mapped directly.
    case devdax
    /// A block device with atomic sectors, never mapped directly.
    case sector
    /// A block device without metadata.
    case raw
    /// A mode that this version does not know.
    case unknown
  }

  /// An interleave set or a single module.
  public struct Region: Sendable, Hashable {
    /// The kernel's name, as region0.
    public var name: String
    /// Bytes of the region; nil where the kernel does not say.
    public var sizeBytes: Int?
    /// The NUMA node; nil where unknown.
    public var node: Int?
    /// Modules over which the region is spread.
    public var moduleCount: Int?
    /// What survives a loss of power.
    public var persistenceDomain: PersistenceDomain
    /// Whether the region has flush hints, so that a deep flush reaches the medium.
    public var hasFlushHints: Bool?
  }

  /// A part of a region with a mode.
  public struct Namespace: Sendable, Hashable {
    /// The kernel's name, as namespace0.0.
    public var name: String
    /// Bytes of the namespace; nil where the kernel does not say.
    public var sizeBytes: Int?
    /// The NUMA node; nil where unknown.
    public var node: Int?
    /// How the memory is presented.
    public var mode: Mode
    /// The block device, as pmem0; nil where there is none.
    public var blockDevice: String?
  }

  /// A character device of directly mapped memory.
  public struct DaxDevice: Sendable, Hashable {
    /// The kernel's name, as dax0.0; the device file lies in /dev.
    public var name: String
    /// Bytes of the device; nil where the kernel does not say.
    public var sizeBytes: Int?
    /// Bytes to which mappings are aligned; nil where the kernel does not say.
    public var alignmentBytes: Int?
    /// The NUMA node that the memory would be on line as.
    public var targetNode: Int?
    /// Whether the kernel uses the memory as ordinary system memory.
    public var isSystemMemory: Bool
  }

  /// The regions.
  public var regions: [Region]
  /// The namespaces that hold memory; empty seeds are left out.
  public var namespaces: [Namespace]
  /// The dax devices.
  public var daxDevices: [DaxDevice]

  /// Whether there is none at all.
  public var isAbsent: Bool { regions.isEmpty && namespaces.isEmpty && daxDevices.isEmpty }

  /// What survives on this machine: caches count only where every region says so.
  public var persistenceDomain: PersistenceDomain? {
    guard !regions.isEmpty else { return nil }
    if regions.contains(where: { $0.persistenceDomain == .unknown }) { return .unknown }
    if regions.contains(where: { $0.persistenceDomain == .memoryController }) {
      return .memoryController
    }
    return .processorCache
  }

  /// Reads what the tree shows.
  public static func read(from tree: SystemTree = SystemTree()) -> PersistentMemory {
    let folder = "/sys/bus/nd/devices"
    let names = tree.entries(folder)
    return PersistentMemory(
      regions: names.filter { isNumbered($0, "region") }.map { region(tree, folder, $0) },
      namespaces: names.filter { isNumbered($0, "namespace") }
        .compactMap { namespace(tree, folder, $0) },
      daxDevices: tree.entries("/sys/bus/dax/devices").filter { isNumbered($0, "dax") }
        .map { daxDevice(tree, "/sys/bus/dax/devices/\($0)", $0) })
  }

  private static func isNumbered(_ name: String, _ prefix: String) -> Bool {
    name.hasPrefix(prefix) && (name.dropFirst(prefix.count).first?.isNumber ?? false)
  }

  private static func region(_ tree: SystemTree, _ folder: String, _ name: String) -> Region {
    let path = "\(folder)/\(name)"
    let domain = tree.text("\(path)/persistence_domain") ?? ""
    return Region(
      name: name, sizeBytes: tree.number("\(path)/size"), node: node(tree, path),
      moduleCount: tree.number("\(path)/mappings"),
      persistenceDomain: PersistenceDomain(rawValue: domain) ?? .unknown,
      hasFlushHints: tree.number("\(path)/deep_flush").map { $0 != 0 })
  }

  private static func namespace(
    _ tree: SystemTree, _ folder: String, _ name: String
  )
    -> Namespace?
  {
    let path = "\(folder)/\(name)"
    let size = tree.number("\(path)/size")
    // The kernel keeps an empty seed namespace per region, from which the next one is made.
    if size == 0 { return nil }
    let holder = tree.text("\(path)/holder").flatMap { $0.isEmpty ? nil : $0 }
    let blockFolders = [path] + (holder.map { ["\(folder)/\($0)"] } ?? [])
    let blockDevice = blockFolders.lazy.compactMap { tree.entries("\($0)/block").first }.first
    return Namespace(
      name: name, sizeBytes: size, node: node(tree, path),
      mode: mode(tree.text("\(path)/mode") ?? ""), blockDevice: blockDevice)
  }

  /// The kernel's words for the modes (drivers/nvdimm/namespace_devs.c) and ndctl's.
  private static func mode(_ word: String) -> Mode {
    switch word {
    case "memory", "fsdax": .fsdax
    case "dax", "devdax": .devdax
    case "safe", "sector": .sector
    case "raw": .raw
    default: .unknown
    }
  }

  private static func daxDevice(_ tree: SystemTree, _ path: String, _ name: String) -> DaxDevice {
    DaxDevice(
      name: name, sizeBytes: tree.number("\(path)/size"),
      alignmentBytes: tree.number("\(path)/align"),
      targetNode: tree.number("\(path)/target_node").flatMap { $0 < 0 ? nil : $0 },
      isSystemMemory: tree.linkTargetName("\(path)/driver") == "kmem")
  }

  private static func node(_ tree: SystemTree, _ path: String) -> Int? {
    tree.number("\(path)/numa_node").flatMap { $0 < 0 ? nil : $0 }
  }
}
