// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterPlatform
import ArbiterTestSupport
import Glibc
import Testing

/// The numbers of the device that holds a path, as sysfs writes them.
private func deviceNumbers(_ path: String) -> String {
  var facts = stat()
  guard unsafe stat(path, &facts) == 0 else { return "none" }
  let device = UInt64(facts.st_dev)
  // Source: glibc, bits/sysmacros.h.
  let major = (device >> 8 & 0xFFF) | (device >> 32 & 0xFFFF_F000)
  let minor = (device & 0xFF) | (device >> 12 & 0xFFFF_FF00)
  return "\(major):\(minor)"
}

@Suite("Whose memory a path is")
struct RegionIdentityTests {
  /// A tree in which the device of a real folder lies in region0.
  private func tree(around folder: String) -> TemporaryFolder {
    let tree = TemporaryFolder()
    let nd = "sys/bus/nd/devices"
    for number in 0...1 {
      tree.put("\(nd)/region\(number)/set_cookie", "0xba96c9b0d4a3")
      tree.put("\(nd)/region\(number)/mappings", "2")
      tree.put("\(nd)/region\(number)/mapping0", "nmem0,0,1024,0")
      tree.put("\(nd)/region\(number)/mapping1", "nmem1,0,1024,1")
    }
    tree.makeFolder("\(nd)/nmem0")
    tree.makeFolder("\(nd)/nmem1")
    tree.makeFolder("sys/dev/block")
    tree.link(
      "sys/dev/block/\(deviceNumbers(folder))",
      to: "../../../devices/LNXSYSTM:00/ACPI0012:00/ndbus0/region1/namespace1.0/block/pmem1")
    return tree
  }

  @Test func `a file on persistent memory belongs to its interleave set, even before it exists`()
    throws
  {
    let folder = TemporaryFolder()
    folder.write("text", to: "file")
    let fake = tree(around: folder.path)
    for name in ["file", "new", ""] {
      let region = try RegionIdentity.of(
        path: "\(folder.path)/\(name)", tree: SystemTree(root: fake.path))
      #expect(region.kind == .interleaveSet && region.name == "region0+region1")
      #expect(region.identifier == "ba96c9b0d4a3" && region.moduleCount == 2)
    }
    #expect(throws: PlatformError.self) {
      try RegionIdentity.of(path: "\(folder.path)/no/file", tree: SystemTree(root: fake.path))
    }
  }

  @Test func `a file elsewhere belongs to its file system, by UUID where udev knows one`() throws {
    let folder = TemporaryFolder()
    let numbers = deviceNumbers(folder.path)
    let fake = TemporaryFolder()
    let tree = SystemTree(root: fake.path)
    let plain = try RegionIdentity.of(path: folder.path, tree: tree)
    guard try FileSystemKind.of(path: folder.path) != .tmpfs else { return }
    #expect(plain.kind == .fileSystem && plain.identifier == nil)
    #expect(plain.name.hasSuffix(" on \(numbers)"))
    fake.makeFolder("sys/dev/block")
    fake.link("sys/dev/block/\(numbers)", to: "../../devices/pci0/block/vda1")
    fake.makeFolder("dev/disk/by-uuid")
    fake.link("dev/disk/by-uuid/0f0f", to: "../../vdb")
    fake.link("dev/disk/by-uuid/beef-01", to: "../../vda1")
    #expect(try RegionIdentity.of(path: folder.path, tree: tree).identifier == "beef-01")
  }

  @Test func `all of tmpfs is one memory`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let region = try RegionIdentity.of(path: "\(folder.path)/new")
    #expect(region == RegionIdentity(kind: .fileSystem, name: "tmpfs (DRAM)"))
  }

  @Test func `a set without a cookie has its name alone, and modules that are only counted`() {
    let set = InterleaveSet(cookie: 0, regions: ["region3"], modules: [], node: nil)
    let region = RegionIdentity(set, moduleCount: 6)
    #expect(region.identifier == nil && region.name == "region3" && region.moduleCount == 6)
    #expect(RegionIdentity(set).moduleCount == nil)
  }

  @Test func `a machine is told by a digest, never by its own number`() {
    let folder = TemporaryFolder()
    folder.put("etc/machine-id", "0123456789abcdef0123456789abcdef")
    folder.put("sys/devices/system/cpu/online", "0-5")
    let tree = SystemTree(root: folder.path)
    let machine = MachineIdentity.read(from: tree)
    #expect(machine.identifier?.count == 16)
    #expect(!"0123456789abcdef0123456789abcdef".contains(machine.identifier ?? ""))
    #expect(machine.processorCount == 6 && !machine.processor.isEmpty)
    #expect(MachineIdentity.read(from: tree) == machine)
    folder.put("etc/machine-id", "0123456789abcdef0123456789abcdee")
    #expect(!MachineIdentity.read(from: tree).matches(machine))
    #expect(MachineIdentity.read(from: SystemTree(root: "/no/such")).identifier == nil)
  }
}
