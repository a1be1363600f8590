// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlacement
import ArbiterPlatform
import ArbiterTestSupport
import ArbiterTiering
import Testing

/// Writes a tree of nodes: their processors, their memory and their distances.
func writeNodes(
  _ nodes: [(number: Int, processors: String, kibibytes: Int, distances: String)],
  allowed: String = "0-7", balancing: String? = nil, to folder: borrowing TemporaryFolder
) {
  let base = "sys/devices/system/node"
  folder.write(nodes.map { "\($0.number)" }.joined(separator: ","), to: "\(base)/online")
  for node in nodes {
    let place = "\(base)/node\(node.number)"
    folder.write(node.processors + "\n", to: "\(place)/cpulist")
    folder.write("Node \(node.number) MemTotal: \(node.kibibytes) kB\n", to: "\(place)/meminfo")
    folder.write(node.distances + "\n", to: "\(place)/distance")
  }
  folder.write("Name:\tarbiter\nMems_allowed_list:\t\(allowed)\n", to: "proc/self/status")
  if let balancing { folder.write(balancing, to: "proc/sys/kernel/numa_balancing") }
}

@Suite struct `memory nodes` {
  @Test(arguments: [
    ("[always] madvise never", MoveUnit.chunk), ("always [madvise] never", .island), ("", .island),
  ])
  func `move chunks whole where all of memory is huge pages`(setting: String, unit: MoveUnit) {
    let folder = TemporaryFolder()
    folder.write(setting, to: "sys/kernel/mm/transparent_hugepage/enabled")
    #expect(NumaBackEnd.moveUnit(SystemTree(root: folder.path)) == unit)
  }

  @Test func `two sockets and a node of memory alone`() throws {
    let folder = TemporaryFolder()
    writeNodes(
      [
        (0, "0-3", 1 << 20, "10 21 28"), (1, "4-7", 1 << 20, "21 10 17"),
        (2, "", 4 << 20, "28 17 10"),
      ], to: folder)
    let probe = NumaProbe.read(from: SystemTree(root: folder.path))
    #expect(probe.nodes.map(\.number) == [0, 1, 2])
    #expect(probe.memoryOnlyNodes == [2])
    #expect(probe.nodes[0].distances == [0: 10, 1: 21, 2: 28])
    #expect(probe.balancing == nil)
    let places = try probe.places(slow: 2)
    // Node 1 is the nearer one.
    #expect(places.fast == [1, 0])
    #expect(places.slow == 2)
    #expect(places.fastMemoryBytes == 2 << 30)
    #expect(places.slowMemoryBytes == 4 << 30)
    #expect(!places.remarks.contains { $0.contains("processors of its own") })
    let other = try probe.places(slow: 0)
    #expect(other.fast == [1])
    #expect(other.remarks.contains { $0.contains("processors of its own") })
  }

  @Test func `nodes that are not on line leave no gap in the distances`() {
    let folder = TemporaryFolder()
    writeNodes([(0, "0", 1 << 20, "10 40"), (3, "", 1 << 20, "40 10")], to: folder)
    let probe = NumaProbe.read(from: SystemTree(root: folder.path))
    #expect(probe.nodes[0].distances == [0: 10, 3: 40])
  }

  @Test(arguments: [
    (slow: 5, code: PlatformError.Code.notFound, says: "only nodes 0, 1, 2"),
    (slow: 1, code: .unsupported, says: "daxctl online-memory"),
    (slow: 0, code: .unsupported, says: "no node has both"),
    (slow: 2, code: .noPermission, says: "cpuset.mems"),
  ])
  func `a node that cannot be slow memory is refused with the next step`(
    slow: Int, code: PlatformError.Code, says: String
  ) {
    let folder = TemporaryFolder()
    writeNodes(
      [(0, "0-1", 1 << 20, "10 20 30"), (1, "", 0, "20 10 20"), (2, "", 1 << 20, "30 20 10")],
      allowed: "0-1", to: folder)
    let probe = NumaProbe.read(from: SystemTree(root: folder.path))
    let error = #expect(throws: PlatformError.self) { try probe.places(slow: slow) }
    #expect(error?.code == code)
    #expect(error?.description.contains(says) == true, "\(error?.description ?? "")")
  }

  @Test func `a kernel without nodes is refused`() {
    let folder = TemporaryFolder()
    let probe = NumaProbe.read(from: SystemTree(root: folder.path))
    let error = #expect(throws: PlatformError.self) { try probe.places(slow: 1) }
    #expect(error?.code == .unsupported)
  }

  @Test(arguments: ["0", "1", "2"])
  func `the kernel's own balancing is told`(mode: String) throws {
    let folder = TemporaryFolder()
    writeNodes(
      [(0, "0-1", 1 << 20, "10 20"), (1, "", 1 << 20, "20 10")], balancing: mode, to: folder)
    let places = try NumaProbe.read(from: SystemTree(root: folder.path)).places(slow: 1)
    #expect(places.remarks.contains { $0.contains("numa_balancing is \(mode)") } == (mode != "0"))
  }
}
