// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice
internal import CArbiter
internal import Glibc

extension RegionIdentity {
  /// The identity of an interleave set.
  ///
  /// - Parameters:
  ///   - set: The set.
  ///   - moduleCount: Modules as the kernel counts them, where it does not name each; 0 or nil
  ///     where unknown.
  public init(_ set: InterleaveSet, moduleCount: Int? = nil) {
    let count = max(set.modules.count, moduleCount ?? 0)
    // The kernel has the cookie 0 for what belongs to no set.
    let cookie = set.cookie.flatMap { $0 == 0 ? nil : String($0, radix: 16) }
    self.init(
      kind: .interleaveSet, name: set.name, identifier: cookie,
      moduleCount: count == 0 ? nil : count)
  }

  /// The memory behind a path: the interleave set of a device or of a file system on one, else the
  /// file system.
  ///
  /// - Parameters:
  ///   - path: A file, a folder or a dax device; where nothing is there, the folder above counts.
  ///   - tree: Where the kernel describes the machine.
  /// - Returns: The identity.
  /// - Throws: ``PlatformError`` where neither the path nor the folder above it can be opened.
  public static func of(
    path: String, tree: SystemTree = SystemTree()
  ) throws(PlatformError) -> RegionIdentity {
    var place = path
    var descriptor = unsafe open(place, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    if descriptor < 0, errno == ENOENT {
      place = folder(of: path)
      descriptor = unsafe open(place, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    }
    guard descriptor >= 0 else {
      throw PlatformError(errorNumber: errno, path: place, action: "look at the path")
    }
    defer { close(descriptor) }
    if let region = PersistentMemory.region(ofOpenFile: descriptor, in: tree) {
      let set = PersistentMemory.read(from: tree).interleaveSet(ofRegion: region.name)
      return RegionIdentity(
        set
          ?? InterleaveSet(
            cookie: region.setCookie, regions: [region.name], modules: [], node: region.node),
        moduleCount: region.moduleCount)
    }
    let kind = try FileSystemKind.of(path: place, tree: tree)
    if case .deviceDax(let name) = kind { return RegionIdentity(kind: .device, name: name) }
    // All of tmpfs is the machine's DRAM.
    if kind == .tmpfs { return RegionIdentity(kind: .fileSystem, name: "\(kind)") }
    let holder = arb_file_holder(descriptor)
    guard holder >= 0 else {
      throw PlatformError(
        errorNumber: Int32(truncatingIfNeeded: -holder), path: place, action: "look at the path")
    }
    let numbers = "\(holder >> 32):\(holder & 0xFFFF_FFFF)"
    return RegionIdentity(
      kind: .fileSystem, name: "\(kind) on \(numbers)",
      identifier: uuid(ofBlockDevice: numbers, in: tree))
  }

  private static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// The UUID of the file system on a device; nil where udev has left none.
  private static func uuid(ofBlockDevice numbers: String, in tree: SystemTree) -> String? {
    guard let device = tree.linkTargetName("/sys/dev/block/\(numbers)") else { return nil }
    let folder = "/dev/disk/by-uuid"
    return tree.entries(folder).first { tree.linkTargetName("\(folder)/\($0)") == device }
  }
}

extension MachineIdentity {
  /// The machine that this program runs on.
  ///
  /// The installation's own number (/etc/machine-id) is to be kept from others, so that only a
  /// digest of it is used.
  public static func read(
    from tree: SystemTree = SystemTree(), processor: ProcessorFeatures = .detect()
  ) -> MachineIdentity {
    let number = tree.text("/etc/machine-id").flatMap { $0.isEmpty ? nil : $0 }
    let name = processor.modelName
    return MachineIdentity(
      identifier: number.map { digest("arbiter machine \($0)") },
      processor: name.isEmpty ? "unknown" : name,
      processorCount: max(1, MachineTopology.read(from: tree).logicalProcessorCount))
  }

  /// FNV-1a over 64 bits, as 16 hexadecimal digits.
  private static func digest(_ text: String) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
