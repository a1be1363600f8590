// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform

/// What a task's addresses belong to, so that the same memory is one row however it is mapped.
public struct MappingIdentity: Sendable, Hashable {
  /// What kind of memory it is.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// A file that is mapped directly from persistent memory (fs-DAX).
    case persistentMemory = "pm-file"
    /// A device of directly mapped memory (device-DAX).
    case deviceDax = "device-dax"
    /// A file in the page cache or in memory.
    case file
    /// Memory of huge pages that were set aside.
    case hugePages = "huge-pages"
    /// A file without a name (memfd), or shared memory.
    case memoryFile = "memory-file"
    /// The heap below the program break.
    case heap
    /// The first thread's stack.
    case stack
    /// Memory without a file.
    case anonymous
    /// What the kernel puts into every process, such as its clock's code.
    case kernel
    /// Memory that gates count for an interleave set, whatever was mapped.
    case gates
    /// Addresses that no mapping had when they were looked up.
    case unknown
    /// What found no place of its own.
    case others

    /// Whether it is memory slower than DRAM.
    public var isSlow: Bool { self == .persistentMemory || self == .deviceDax }
  }

  /// What kind of memory it is.
  public var kind: Kind
  /// The path, or a word where there is none.
  public var name: String
  /// The file's device and number; 0 without a file.
  public var deviceMajor: UInt32 = 0
  /// The file's device and number; 0 without a file.
  public var deviceMinor: UInt32 = 0
  /// The file's device and number; 0 without a file.
  public var inode: UInt64 = 0
  /// Tells anonymous memory apart within a process; 0 for everything else.
  public var serial: Int = 0
  /// The region of persistent memory that holds it; nil where none does.
  public var region: String?

  /// Makes an identity.
  public init(_ kind: Kind, name: String) {
    self.kind = kind
    self.name = name
  }

  /// What found no place of its own.
  public static let others = MappingIdentity(.others, name: "others")
  /// Addresses that no mapping had.
  public static let unknown = MappingIdentity(.unknown, name: "unmapped")
}

/// Tells what mappings are; remembers what it has learned of devices.
public struct MappingClassifier: Sendable {
  private let tree: SystemTree
  private let daxFolders: [String]
  private let hugeFolders: [String]
  private let memory: PersistentMemory
  private var regions: [UInt64: String?] = [:]

  /// The most devices that are remembered.
  private static let deviceCountMax = 1024

  /// Looks at the machine's mounts and persistent memory.
  public init(tree: SystemTree = SystemTree(), memory: PersistentMemory? = nil) {
    self.tree = tree
    self.memory = memory ?? .read(from: tree)
    daxFolders = DaxMount.read(from: tree).map(\.folder)
    hugeFolders = (tree.text("/proc/self/mounts") ?? "").split(separator: "\n").compactMap {
      let words = $0.split(separator: " ")
      return words.count > 2 && words[2] == "hugetlbfs" ? String(words[1]) : nil
    }
  }

  /// Whether this machine has memory that ``MappingIdentity/Kind/isSlow`` would tell of.
  public var hasSlowMemory: Bool { !memory.isAbsent || !daxFolders.isEmpty }

  /// What a mapping is; anonymous memory still needs its serial number.
  public mutating func identity(of mapping: ProcessMapping) -> MappingIdentity {
    let path = mapping.name
    if path.hasPrefix("[") { return bracketed(path) }
    if path.isEmpty || path.hasPrefix("//anon") {
      return MappingIdentity(.anonymous, name: "anonymous")
    }
    var identity = MappingIdentity(.file, name: path)
    identity.deviceMajor = mapping.deviceMajor
    identity.deviceMinor = mapping.deviceMinor
    identity.inode = mapping.inode
    if path.hasPrefix("/dev/dax") {
      identity.kind = .deviceDax
      let name = path.dropFirst("/dev/".count)
      identity.region = memory.daxDevices.first { $0.name == name }?.region
    } else if path.hasPrefix("/anon_hugepage") || isBelow(hugeFolders, path) {
      identity.kind = .hugePages
    } else if path.hasPrefix("/memfd:") || path.hasPrefix("/SYSV") || path.hasPrefix("/dev/zero") {
      identity.kind = .memoryFile
    } else {
      identity.region = region(major: mapping.deviceMajor, minor: mapping.deviceMinor)
      if isBelow(daxFolders, path) { identity.kind = .persistentMemory }
    }
    return identity
  }

  private func bracketed(_ name: String) -> MappingIdentity {
    if name == "[heap]" { return MappingIdentity(.heap, name: name) }
    if name.hasPrefix("[stack") { return MappingIdentity(.stack, name: name) }
    if name.hasPrefix("[anon") { return MappingIdentity(.anonymous, name: name) }
    return MappingIdentity(.kernel, name: name)
  }

  private func isBelow(_ folders: [String], _ path: String) -> Bool {
    folders.contains { $0 == "/" || path.hasPrefix($0 + "/") }
  }

  private mutating func region(major: UInt32, minor: UInt32) -> String? {
    let device = UInt64(major) << 32 | UInt64(minor)
    if let known = regions[device] { return known }
    let found = PersistentMemory.region(
      ofBlockDevice: Int(major), minor: Int(minor), in: tree)?.name
    if regions.count < Self.deviceCountMax { regions[device] = .some(found) }
    return found
  }
}
