// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import CArbiterGate

/// An interleave set that a run is to control: which memory belongs to it.
public struct PlannedSet: Sendable, Hashable {
  /// A device, by the numbers that stat(2) tells of files on it.
  public struct Device: Sendable, Hashable {
    /// The major number.
    public var major: UInt32
    /// The minor number.
    public var minor: UInt32

    /// Makes a device from its numbers.
    public init(major: UInt32, minor: UInt32) {
      self.major = major
      self.minor = minor
    }

    /// Reads `259:0`, as the kernel writes it in sysfs.
    init?(_ text: String?) {
      let parts = (text ?? "").split(separator: ":").compactMap { UInt32($0) }
      guard parts.count == 2 else { return nil }
      self.init(major: parts[0], minor: parts[1])
    }
  }

  /// The names of the set's regions, or the profile's; as much of it as a page holds.
  public var name: String
  /// Modules; 0 where unknown.
  public var moduleCount: Int
  /// Block and character devices whose memory lies in the set.
  public var devices: [Device]
  /// Whether memory that belongs to no other set belongs to this one.
  public var matchesAll: Bool
  /// The set as this machine shows it; nil where a named profile stands for all memory.
  public var interleaveSet: InterleaveSet?

  /// Permits of the set under the lock scheme; nil for the page's.
  public var permitCount: Int?

  /// Whether the set is one of this machine, and not a named profile alone.
  public var isDetected: Bool { interleaveSet != nil }

  /// Makes a set.
  public init(
    name: String, moduleCount: Int, devices: [Device], matchesAll: Bool,
    interleaveSet: InterleaveSet? = nil
  ) {
    self.name = String(decoding: name.utf8.prefix(31), as: UTF8.self)
    self.moduleCount = moduleCount
    self.devices = devices
    self.matchesAll = matchesAll
    self.interleaveSet = interleaveSet
  }

  /// The sets of this machine.
  ///
  /// Sets that no device presents are left out: no program can map them.
  ///
  /// - Parameters:
  ///   - memory: The persistent memory.
  ///   - profile: The profile that the user has named: where the machine has no set, all memory is
  ///     taken for such a device.
  ///   - tree: Where the kernel's files are read.
  /// - Returns: The sets, at most as many as a page holds.
  public static func plan(
    memory: PersistentMemory, profile: String?, from tree: SystemTree = SystemTree()
  ) -> [PlannedSet] {
    let detected = memory.interleaveSets.compactMap { set -> PlannedSet? in
      let regions = memory.regions.filter { set.regions.contains($0.name) }
      let devices = regions.flatMap { Self.devices(of: $0, in: memory, tree) }
      guard !devices.isEmpty else { return nil }
      // The kernel may count modules that it does not name.
      let counted = regions.compactMap(\.moduleCount).max() ?? 0
      return PlannedSet(
        name: set.name, moduleCount: max(set.modules.count, counted), devices: devices,
        matchesAll: false, interleaveSet: set)
    }
    if detected.isEmpty, let profile {
      return [
        PlannedSet(name: profile, moduleCount: 1, devices: [], matchesAll: true)
      ]
    }
    return Array(detected.prefix(ControlPage.setCountMax))
  }

  /// Source: Linux, drivers/nvdimm: namespaceN.M and daxN.M lie in regionN.
  private static func devices(
    of region: PersistentMemory.Region, in memory: PersistentMemory, _ tree: SystemTree
  ) -> [Device] {
    let number = region.name.drop { !$0.isNumber }
    var found: [Device] = []
    for space in memory.namespaces where space.name.hasPrefix("namespace\(number).") {
      guard let block = space.blockDevice else { continue }
      let folder = "/sys/class/block"
      found += [Device(tree.text("\(folder)/\(block)/dev"))].compactMap(\.self)
      // Partitions are folders of the disk; volumes on it name it as their slave.
      for entry in tree.entries(folder) where entry != block {
        let isPart =
          tree.text("\(folder)/\(block)/\(entry)/partition") != nil
          || tree.entries("\(folder)/\(entry)/slaves").contains(block)
        if isPart { found += [Device(tree.text("\(folder)/\(entry)/dev"))].compactMap(\.self) }
      }
    }
    for device in memory.daxDevices
    where device.name.hasPrefix("dax\(number).") && !device.isSystemMemory {
      found += [Device(tree.text("/sys/bus/dax/devices/\(device.name)/dev"))].compactMap(\.self)
    }
    return found
  }
}

extension ControlPage {
  /// Puts planned sets into a page that has none yet, in their order from place 1 on.
  public func addSets(_ sets: [PlannedSet]) {
    for (index, set) in sets.enumerated() {
      addSet(
        at: index + 1, name: set.name, moduleCount: set.moduleCount,
        devices: set.devices.map { ($0.major, $0.minor) }, matchesAll: set.matchesAll,
        permitCount: set.permitCount)
    }
  }

  /// The name of a set, as region0.
  public func setName(at index: Int) -> String {
    precondition((0...Self.setCountMax).contains(index), "no such set")
    return unsafe withUnsafeBytes(of: arb_page_set(page, UInt32(index)).pointee.name) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}
