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
    /// Whether the kernel offers a deep flush of the region at all.
    public var hasDeepFlush: Bool
    /// The cookie by which the platform knows the interleave set; nil where it gives none.
    public var setCookie: UInt64?
    /// The parts of modules over which the region is spread, in their order.
    public var mappings: [Mapping]
    /// What the medium is known to have lost, relative to the region; nil where nobody says.
    public var badBlocks: [BadBlocks]?
  }

  /// A module's part in a region.
  public struct Mapping: Sendable, Hashable {
    /// The kernel's name of the module, as nmem0.
    public var module: String
    /// Where the part begins in the module, in bytes; nil where the kernel does not say.
    public var offsetBytes: Int?
    /// Bytes of the part; nil where the kernel does not say.
    public var lengthBytes: Int?
    /// The part's place in the order of the interleave; nil where the kernel does not say.
    public var position: Int?
  }

  /// A run of bytes that the medium has lost.
  public struct BadBlocks: Sendable, Hashable {
    /// Where the run begins, in bytes.
    public var offsetBytes: Int
    /// Bytes of the run.
    public var lengthBytes: Int

    /// Makes a run.
    public init(offsetBytes: Int, lengthBytes: Int) {
      self.offsetBytes = offsetBytes
      self.lengthBytes = lengthBytes
    }
  }

  /// A DIMM of persistent memory.
  public struct Module: Sendable, Hashable {
    /// The kernel's name, as nmem0.
    public var name: String
    /// The module's own number, as vendor, place and date and serial; nil where it has none.
    public var identifier: String?
    /// How often power was lost before the module had written all it had accepted; nil where the
    /// platform does not count that, which says nothing about whether it has happened.
    public var unsafeShutdownCount: Int?
    /// The firmware's handle, by which libraries know the module; nil where the kernel hides it.
    public var handle: UInt32?

    /// Makes a module.
    public init(
      name: String, identifier: String? = nil, unsafeShutdownCount: Int? = nil,
      handle: UInt32? = nil
    ) {
      self.name = name
      self.identifier = identifier
      self.unsafeShutdownCount = unsafeShutdownCount
      self.handle = handle
    }
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
    /// What the medium is known to have lost, relative to the block device; nil where nobody says.
    public var badBlocks: [BadBlocks]?
    /// The region that holds the namespace.
    public var region: String?
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
    /// The region that holds the device; nil where it is no persistent memory.
    public var region: String?
  }

  /// The regions.
  public var regions: [Region]
  /// The namespaces that hold memory; empty seeds are left out.
  public var namespaces: [Namespace]
  /// The dax devices.
  public var daxDevices: [DaxDevice]
  /// The modules.
  public var modules: [Module]

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
}
