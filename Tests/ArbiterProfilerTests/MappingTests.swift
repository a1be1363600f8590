// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterProfiler
import ArbiterTestSupport
import Testing

/// A machine with a region of persistent memory, a dax device and one process.
struct FakeMachine: ~Copyable {
  let folder = TemporaryFolder()

  init() {
    let bus = "sys/bus/nd/devices"
    folder.write("2\n", to: "\(bus)/region0/mappings")
    folder.write("4096\n", to: "sys/bus/dax/devices/dax1.0/size")
    folder.write(
      """
      /dev/pmem0 /mnt/pm ext4 rw,dax=always 0 0
      hugetlbfs /dev/hugepages hugetlbfs rw 0 0
      /dev/sda1 / ext4 rw 0 0

      """, to: "proc/self/mounts")
  }

  var tree: SystemTree { SystemTree(root: folder.path) }

  func setMaps(_ process: Int32, _ lines: [String]) {
    folder.write(lines.map { $0 + "\n" }.joined(), to: "proc/\(process)/maps")
  }

  func setFacts(_ process: Int32, _ name: String, start: UInt64, state: String = "S") {
    let zeros = Array(repeating: "0", count: 17).joined(separator: " ")
    folder.write(
      "\(process) (\(name)) \(state) 1 \(zeros) \(start) 0 0\n", to: "proc/\(process)/stat")
  }
}

@Suite("Mappings")
struct MappingTests {
  @Test(arguments: [
    ("/mnt/pm/pool", MappingIdentity.Kind.persistentMemory), ("/mnt/pmother", .file),
    ("/dev/dax1.0", .deviceDax), ("/dev/hugepages/x", .hugePages),
    ("/anon_hugepage (deleted)", .hugePages), ("/memfd:queue (deleted)", .memoryFile),
    ("/SYSV00000000 (deleted)", .memoryFile), ("/dev/zero (deleted)", .memoryFile),
    ("[heap]", .heap), ("[stack]", .stack), ("[vdso]", .kernel), ("[anon:pool]", .anonymous),
    ("", .anonymous), ("/usr/lib/x.so", .file), ("/srv/a b.db", .file),
  ])
  func `a mapping is what its line says`(name: String, kind: MappingIdentity.Kind) throws {
    let machine = FakeMachine()
    machine.setMaps(5, ["1000-3000 rw-s 00001000 08:01 99 \(name)"])
    let mapping = try #require(ProcessMapping.read(ofProcess: 5, from: machine.tree)?.first)
    var classifier = MappingClassifier(tree: machine.tree)
    let identity = classifier.identity(of: mapping)
    #expect(identity.kind == kind)
    #expect(identity.kind.isSlow == [.persistentMemory, .deviceDax].contains(kind))
    #expect(classifier.hasSlowMemory)
  }

  @Test func `files are told apart by device and number, and not by where they are mapped`() {
    let machine = FakeMachine()
    machine.setMaps(
      5,
      [
        "1000-2000 rw-s 00000000 08:01 99 /a", "5000-6000 r--s 00001000 08:01 99 /a",
        "7000-8000 rw-s 00000000 08:01 98 /a",
      ])
    var classifier = MappingClassifier(tree: machine.tree)
    var table = MappingTable(process: 5, tree: machine.tree)
    let found = [0x1000, 0x5FFF, 0x7000].map {
      table.identity(of: UInt64($0), now: 0, classifier: &classifier)
    }
    #expect(found[0] == found[1] && found[0] != found[2] && found[2]?.inode == 98)
  }

  @Test func `ends of mappings are exact`() {
    let machine = FakeMachine()
    machine.setMaps(5, ["1000-2000 rw-p 0 00:00 0", "2000-3000 rw-p 0 08:01 4 /b"])
    var classifier = MappingClassifier(tree: machine.tree)
    var table = MappingTable(process: 5, tree: machine.tree)
    func kind(_ address: UInt64) -> MappingIdentity.Kind? {
      table.identity(of: address, now: 0, classifier: &classifier)?.kind
    }
    #expect(kind(0xFFF) == nil && kind(0x1000) == .anonymous && kind(0x1FFF) == .anonymous)
    #expect(kind(0x2000) == .file && kind(0x2FFF) == .file && kind(0x3000) == nil)
  }

  @Test func `the map is read again for a missing address, but not more often than every 100 ms`() {
    let machine = FakeMachine()
    machine.setMaps(5, ["1000-2000 rw-p 0 00:00 0"])
    var classifier = MappingClassifier(tree: machine.tree)
    var table = MappingTable(process: 5, tree: machine.tree)
    func isFound(_ now: Int64) -> Bool {
      table.identity(of: 0x9000, now: now, classifier: &classifier) != nil
    }
    #expect(!isFound(1000))
    machine.setMaps(5, ["1000-2000 rw-p 0 00:00 0", "9000-a000 rw-p 0 00:00 0"])
    #expect(!isFound(1000 + MappingTable.rereadNanoseconds - 1))
    #expect(isFound(1000 + MappingTable.rereadNanoseconds))
    machine.setMaps(5, ["1000-2000 rw-p 0 00:00 0", "b000-c000 rw-p 0 00:00 0"])
    table.invalidate()
    #expect(!isFound(1001 + MappingTable.rereadNanoseconds))
  }

  @Test func `nameless memory that grows stays itself, and other memory does not become it`() {
    let machine = FakeMachine()
    var classifier = MappingClassifier(tree: machine.tree)
    var table = MappingTable(process: 5, tree: machine.tree)
    func serial(_ address: UInt64) -> Int? {
      table.identity(of: address, now: 0, classifier: &classifier)?.serial
    }
    machine.setMaps(5, ["1000-2000 rw-p 0 00:00 0", "8000-9000 rw-p 0 00:00 0"])
    let (first, second) = (serial(0x1000), serial(0x8000))
    #expect(first != nil && second != nil && first != second)
    machine.setMaps(
      5, ["1000-4000 rw-p 0 00:00 0", "6000-9000 rw-p 0 00:00 0", "b000-c000 rw-p 0 00:00 0"])
    table.invalidate()
    #expect(serial(0x3000) == first && serial(0x6000) == second)
    #expect(![first, second].contains(serial(0xB000)))
    // One that was split: the first part keeps the number, the other is new.
    machine.setMaps(5, ["1000-2000 rw-p 0 00:00 0", "3000-4000 rw-p 0 00:00 0"])
    table.invalidate()
    #expect(serial(0x1000) == first && serial(0x3000) != first)
  }

  @Test func `what the kernel tells of mappings counts until the map is read again`() throws {
    let machine = FakeMachine()
    machine.setMaps(5, ["1000-5000 rw-p 0 00:00 0"])
    var classifier = MappingClassifier(tree: machine.tree)
    var table = MappingTable(process: 5, tree: machine.tree)
    table.refresh(now: 100, classifier: &classifier)
    machine.setMaps(6, ["2000-3000 rw-s 00000000 08:01 7 /x"])
    let mapping = try #require(ProcessMapping.read(ofProcess: 6, from: machine.tree)?.first)
    table.learn(mapping, at: 99, classifier: &classifier)
    #expect(table.identity(of: 0x2000, now: 100, classifier: &classifier)?.kind == .anonymous)
    table.learn(mapping, at: 101, classifier: &classifier)
    let kinds = [0x1FFF, 0x2000, 0x2FFF, 0x3000].map {
      table.identity(of: UInt64($0), now: 101, classifier: &classifier)?.kind
    }
    #expect(kinds == [.anonymous, .file, .file, .anonymous])
    table.clear(at: 101)
    #expect(table.count == 0)
  }
}
