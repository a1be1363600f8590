// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform

/// Tells which mappings of processes are slow memory, and remembers what it found.
struct SlowMemoryMaps: Sendable {
  /// What a process maps.
  struct Finding: Sendable, Hashable {
    /// Bytes of slow memory.
    var slowBytes: UInt64 = 0
    /// Whether a control page is mapped, so that the process has gates.
    var hasControlPage = false
  }

  private struct File: Hashable {
    var major: UInt32
    var minor: UInt32
    var inode: UInt64
  }

  private let tree: SystemTree
  private let daxDevices: Set<String>
  /// Devices of which somebody has asked; whether they are persistent memory.
  private var isSlowDevice: [UInt64: Bool] = [:]
  private var isDirect: [File: Bool] = [:]

  /// Files whose kind is remembered; all are forgotten when more are asked for.
  private static let rememberedMax = 4096

  init(memory: PersistentMemory, tree: SystemTree) {
    self.tree = tree
    daxDevices = Set(memory.daxDevices.filter { !$0.isSystemMemory }.map { "/dev/\($0.name)" })
  }

  /// Sums up a memory map.
  mutating func look(at mappings: [ProcessMapping]) -> Finding {
    var finding = Finding()
    for mapping in mappings where mapping.inode != 0 {
      if mapping.name.hasPrefix("/memfd:arbiter-control") {
        finding.hasControlPage = true
      } else if isSlow(mapping) {
        finding.slowBytes &+= mapping.addresses.upperBound - mapping.addresses.lowerBound
      }
    }
    return finding
  }

  private mutating func isSlow(_ mapping: ProcessMapping) -> Bool {
    if daxDevices.contains(mapping.name) { return true }
    guard mapping.name.hasPrefix("/"), isPersistent(mapping.deviceMajor, mapping.deviceMinor)
    else { return false }
    // A file system on such a device may still keep its pages in DRAM.
    let file = File(
      major: mapping.deviceMajor, minor: mapping.deviceMinor, inode: mapping.inode)
    if let known = isDirect[file] { return known }
    if isDirect.count >= Self.rememberedMax { isDirect = [:] }
    let kind = try? FileSystemKind.of(path: mapping.name, tree: tree)
    // A file that cannot be asked any more lies where others do: on a mount with the option.
    let answer = kind?.isDirect ?? !DaxMount.read(from: tree).isEmpty
    isDirect[file] = answer
    return answer
  }

  private mutating func isPersistent(_ major: UInt32, _ minor: UInt32) -> Bool {
    let key = UInt64(major) << 32 | UInt64(minor)
    if let known = isSlowDevice[key] { return known }
    if isSlowDevice.count >= Self.rememberedMax { isSlowDevice = [:] }
    let region = PersistentMemory.region(
      ofBlockDevice: Int(major), minor: Int(minor), in: tree)
    isSlowDevice[key] = region != nil
    return region != nil
  }
}
