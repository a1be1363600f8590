// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterTestSupport
import Glibc
import Testing

/// A tree of two regions of one interleave set and one of its own, with what lies on them.
private func regionTree() -> TemporaryFolder {
  let folder = TemporaryFolder()
  let nd = "sys/bus/nd/devices"
  let platform = "../../../devices/LNXSYSTM:00/ACPI0012:00/ndbus0"
  for (number, cookie) in [(0, "0xba96c9b0d4a3"), (1, "0xba96c9b0d4a3"), (2, "0")] {
    folder.put("\(nd)/region\(number)/set_cookie", cookie)
    folder.put("\(nd)/region\(number)/numa_node", "\(number)")
    folder.put("\(nd)/region\(number)/persistence_domain", "memory_controller")
    folder.put("\(nd)/region\(number)/mappings", "2")
  }
  folder.put("\(nd)/region0/mapping0", "nmem0,0,1073741824,1")
  folder.put("\(nd)/region0/mapping1", "nmem1,0,1073741824,0")
  folder.put("\(nd)/region1/mapping0", "nmem1,1073741824,4096")
  folder.put("\(nd)/region2/mapping0", "nmem2,0,4096,0")
  folder.put("\(nd)/region0/badblocks", "8 1\n4096 16\nnonsense")
  folder.put("\(nd)/region1/badblocks", "")
  folder.put("\(nd)/region0/deep_flush", "1")
  folder.put("\(nd)/region1/deep_flush", "0")
  folder.put("\(nd)/namespace2.0/mode", "memory")
  folder.put("\(nd)/namespace2.0/size", "4096")
  folder.put("\(nd)/namespace2.0/block/pmem2/badblocks", "2 2")
  folder.put("\(nd)/nmem0/nfit/dirty_shutdown", "5")
  folder.put("\(nd)/nmem0/nfit/id", "8680-56341200")
  folder.put("\(nd)/nmem1/nfit/dirty_shutdown", "7")
  folder.makeFolder("\(nd)/nmem2")
  folder.makeFolder("sys/dev/block")
  folder.makeFolder("sys/dev/char")
  folder.link("sys/dev/block/259:0", to: "\(platform)/region0/namespace0.0/block/pmem0")
  folder.link("sys/dev/block/259:1", to: "\(platform)/region0/pfn0.1/block/pmem0/pmem0p1")
  folder.link("sys/dev/block/259:2", to: "\(platform)/region1/namespace1.0/block/pmem1")
  folder.link("sys/dev/block/8:0", to: "../../devices/pci0000:00/ata1/block/sda")
  folder.link("sys/dev/block/253:0", to: "../../devices/virtual/block/dm-0")
  folder.link("sys/dev/block/253:1", to: "../../devices/virtual/block/dm-1")
  for (mapper, parts) in [
    ("dm-0", [("pmem0", 0), ("pmem0p1", 0)]), ("dm-1", [("pmem0", 0), ("pmem1", 1)]),
  ] {
    folder.makeFolder("sys/class/block/\(mapper)/slaves")
    for (part, region) in parts {
      folder.link(
        "sys/class/block/\(mapper)/slaves/\(part)", to: "\(platform)/region\(region)/block/\(part)")
    }
  }
  folder.link("sys/dev/char/252:0", to: "\(platform)/region1/dax1.1/dax1.0")
  folder.link(
    "sys/dev/char/252:1", to: "../../devices/platform/ACPI0017:00/root0/region0/dax_region0/dax0.0")
  return folder
}

@Suite("Persistent memory, looked up")
struct PersistentMemoryLookupTests {
  @Test func `interleave sets join the regions of one cookie`() {
    let folder = regionTree()
    let memory = PersistentMemory.read(from: SystemTree(root: folder.path))
    let sets = memory.interleaveSets
    #expect(sets.map(\.regions) == [["region0", "region1"], ["region2"]])
    #expect(sets.map { $0.modules.map(\.name) } == [["nmem1", "nmem0"], ["nmem2"]])
    #expect(sets.map(\.cookie) == [0xba96_c9b0_d4a3, nil])
    #expect(sets.map(\.node) == [0, 2])
    #expect(memory.interleaveSet(ofRegion: "region1") == sets[0])
    #expect(memory.interleaveSet(ofRegion: "region9") == nil)
    let mapping = memory.regions[1].mappings.first
    #expect(mapping?.offsetBytes == 1 << 30)
    #expect(mapping?.lengthBytes == 4096)
    #expect(mapping?.position == nil)
  }

  @Test func `bad blocks are read in bytes, and no list is not an empty one`() {
    typealias Run = PersistentMemory.BadBlocks
    let folder = regionTree()
    let memory = PersistentMemory.read(from: SystemTree(root: folder.path))
    #expect(
      memory.regions.map(\.badBlocks) == [
        [
          Run(offsetBytes: 4096, lengthBytes: 512),
          Run(offsetBytes: 4096 * 512, lengthBytes: 16 * 512),
        ], [], nil,
      ])
    #expect(memory.namespaces.map(\.badBlocks) == [[Run(offsetBytes: 1024, lengthBytes: 1024)]])
    #expect(memory.badByteCount == 17 * 512 + 1024)
    #expect(PersistentMemory.read(from: SystemTree(root: "/nonexistent")).badByteCount == nil)
  }

  @Test func `a count of unsafe shutdowns that is missing is not zero`() {
    let folder = regionTree()
    var memory = PersistentMemory.read(from: SystemTree(root: folder.path))
    #expect(memory.modules.map(\.unsafeShutdownCount) == [5, 7, nil])
    #expect(memory.modules.map(\.identifier) == ["8680-56341200", nil, nil])
    #expect(memory.unsafeShutdownCount == nil)
    memory.modules.removeLast()
    #expect(memory.unsafeShutdownCount == 12)
    memory.modules = []
    #expect(memory.unsafeShutdownCount == nil)
  }

  @Test func `a device leads to its region`() {
    let folder = regionTree()
    let tree = SystemTree(root: folder.path)
    func block(_ major: Int, _ minor: Int) -> String? {
      PersistentMemory.region(ofBlockDevice: major, minor: minor, in: tree)?.name
    }
    #expect(block(259, 0) == "region0")
    #expect(block(259, 1) == "region0")
    #expect(block(259, 2) == "region1")
    #expect(block(8, 0) == nil)
    #expect(block(1, 1) == nil)
    // A mapper belongs to a region only where all that lies below it does.
    #expect(block(253, 0) == "region0")
    #expect(block(253, 1) == nil)
    #expect(
      PersistentMemory.region(ofCharacterDevice: 252, minor: 0, in: tree)?.name == "region1")
    // A region of CXL is another matter.
    #expect(PersistentMemory.region(ofCharacterDevice: 252, minor: 1, in: tree) == nil)
  }

  @Test func `an open file leads to the region that holds it`() throws {
    let folder = regionTree()
    folder.write("x", to: "file")
    let descriptor = unsafe open("\(folder.path)/file", O_RDONLY)
    defer { close(descriptor) }
    var facts = stat()
    try #require(unsafe fstat(descriptor, &facts) == 0)
    let number = facts.st_dev
    let major = (number >> 8) & 0xFFF | (number >> 32) & ~0xFFF
    let minor = number & 0xFF | (number >> 12) & ~0xFF
    let tree = SystemTree(root: folder.path)
    #expect(PersistentMemory.region(ofOpenFile: descriptor, in: tree) == nil)
    folder.link(
      "sys/dev/block/\(major):\(minor)", to: "../../devices/ndbus0/region2/btt2.0/block/pmem2s")
    #expect(PersistentMemory.region(ofOpenFile: descriptor, in: tree)?.name == "region2")
    #expect(PersistentMemory.region(ofOpenFile: -1, in: tree) == nil)
  }

  @Test func `a deep flush writes the region's switch`() throws {
    let folder = regionTree()
    let tree = SystemTree(root: folder.path)
    #expect(
      PersistentMemory.read(from: tree).regions.map(\.hasDeepFlush) == [true, true, false])
    let switches = "/sys/bus/nd/devices"
    folder.put("sys/bus/nd/devices/region0/deep_flush", "2")
    try PersistentMemory.deepFlush(regionNamed: "region0", in: tree)
    #expect(tree.text("\(switches)/region0/deep_flush")?.hasPrefix("1") == true)
    // Without hints the switch cannot be written, by root neither.
    try PersistentMemory.deepFlush(regionNamed: "region1", in: tree)
    #expect(tree.text("\(switches)/region1/deep_flush") == "0")
    let error = #expect(throws: PlatformError.self) {
      try PersistentMemory.deepFlush(regionNamed: "region2", in: tree)
    }
    #expect(error?.code == .unsupported)
  }

  @Test func `findings name what was lost, counted and interleaved`() {
    let folder = regionTree()
    let report = MachineReport.gather(
      from: SystemTree(root: folder.path), processor: MachineReportTests.plain)
    let sentences = Dictionary(
      uniqueKeysWithValues: report.findings.map { ($0.topic, $0.sentence) })
    #expect(
      sentences["interleave_sets"]?.contains(
        "set 0xba96c9b0d4a3 of nmem1 and nmem0 on node 0 (region0 and region1)") == true)
    #expect(sentences["bad_blocks"]?.contains("region0 from 4096 on 512B") == true)
    #expect(sentences["bad_blocks"]?.contains("pmem2 from 1024 on 1KiB") == true)
    #expect(
      sentences["unsafe_shutdowns"]
        == "Unsafe shutdowns so far: nmem0 5, nmem1 7; 1 more modules do not count.")
    #expect(sentences["deep_flush"]?.hasSuffix("queues for region0.") == true)
    #expect(report.consequences.contains { $0.contains("raises SIGBUS") })
  }

  @Test func `modules that count nothing are unknown, not zero`() {
    let folder = TemporaryFolder()
    folder.makeFolder("sys/bus/nd/devices/nmem0")
    folder.put("sys/bus/nd/devices/region0/size", "4096")
    let report = MachineReport.gather(
      from: SystemTree(root: folder.path), processor: MachineReportTests.plain)
    let statuses = Dictionary(uniqueKeysWithValues: report.findings.map { ($0.topic, $0.status) })
    #expect(statuses["unsafe_shutdowns"] == .unknown)
    #expect(statuses["bad_blocks"] == .unknown)
    #expect(statuses["deep_flush"] == .absent)
  }
}
