// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiter

extension PersistentMemory {
  /// Unsafe shutdowns of all modules together; nil where not every module counts them.
  public var unsafeShutdownCount: Int? {
    let counts = modules.compactMap(\.unsafeShutdownCount)
    return counts.isEmpty || counts.count < modules.count ? nil : counts.reduce(0, +)
  }

  /// The region behind a block device, a partition of one, or a mapper over several of one region.
  ///
  /// - Parameters:
  ///   - major: The device's major number, as stat gives it for a file (st_dev).
  ///   - minor: The device's minor number.
  ///   - tree: Where the kernel describes the machine.
  /// - Returns: The region; nil where the device is no persistent memory or spans regions.
  public static func region(
    ofBlockDevice major: Int, minor: Int, in tree: SystemTree = SystemTree()
  ) -> Region? {
    guard let target = tree.linkTarget("/sys/dev/block/\(major):\(minor)") else { return nil }
    return regionName(ofBlockDevicePath: target, in: tree, depth: 0)
      .map { region(tree, "/sys/bus/nd/devices", $0) }
  }

  /// The region behind a character device of directly mapped memory; nil where there is none.
  public static func region(
    ofCharacterDevice major: Int, minor: Int, in tree: SystemTree = SystemTree()
  ) -> Region? {
    guard let target = tree.linkTarget("/sys/dev/char/\(major):\(minor)"),
      let name = regionName(inDevicePath: target)
    else { return nil }
    return region(tree, "/sys/bus/nd/devices", name)
  }

  /// The region that holds an open file, or that an open dax device is; nil where there is none.
  public static func region(
    ofOpenFile descriptor: Int32, in tree: SystemTree = SystemTree()
  ) -> Region? {
    let device = arb_file_device(descriptor)
    if device >= 0 {
      return region(
        ofCharacterDevice: Int(device >> 32), minor: Int(device & 0xFFFF_FFFF), in: tree)
    }
    let holder = arb_file_holder(descriptor)
    guard holder >= 0 else { return nil }
    return region(ofBlockDevice: Int(holder >> 32), minor: Int(holder & 0xFFFF_FFFF), in: tree)
  }

  /// Empties the memory controller's queues towards a region, for all of the machine.
  ///
  /// A region without flush hints (its switch reads 0 and cannot be written) has nothing that could
  /// be told to empty: there this does nothing.
  ///
  /// - Parameters:
  ///   - name: The region, as region0.
  ///   - tree: Where the kernel describes the machine.
  /// - Throws: ``PlatformError``: `unsupported` where the kernel offers none, `noPermission` where
  ///   this user may not write the switch.
  public static func deepFlush(
    regionNamed name: String, in tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    let path = "/sys/bus/nd/devices/\(name)/deep_flush"
    guard let hints = tree.text(path) else {
      throw PlatformError(
        .unsupported, path: tree.root + path,
        reason: "does not exist, so \(name) has no deep flush",
        nextStep: "rely on persist alone")
    }
    if hints != "0" { try tree.write("1", to: path) }
  }

  /// Mappers lie over mappers; more layers than this are taken for a loop.
  private static let layersMax = 4

  private static func regionName(
    ofBlockDevicePath target: String, in tree: SystemTree, depth: Int
  ) -> String? {
    if let name = regionName(inDevicePath: target) { return name }
    guard depth < layersMax, let device = target.split(separator: "/").last else { return nil }
    let folder = "/sys/class/block/\(device)/slaves"
    let below = tree.entries(folder).map { part in
      tree.linkTarget("\(folder)/\(part)")
        .flatMap { regionName(ofBlockDevicePath: $0, in: tree, depth: depth + 1) }
    }
    guard let first = below.first, below.allSatisfy({ $0 == first }) else { return nil }
    return first
  }

  /// The region in a path of the kernel's device tree: the part `regionN` behind `ndbusN`.
  ///
  /// CXL has regions of its own, which lie behind no such bus.
  static func regionName(inDevicePath path: String) -> String? {
    let parts = path.split(separator: "/")
    guard let bus = parts.firstIndex(where: { isNumbered(String($0), "ndbus") }),
      bus + 1 < parts.count, isNumbered(String(parts[bus + 1]), "region")
    else { return nil }
    return String(parts[bus + 1])
  }
}
