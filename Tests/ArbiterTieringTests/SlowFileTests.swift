// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterTestSupport
import ArbiterTiering
import Glibc
import Testing

@Suite struct `slow memory` {
  @Test func `is a node or a path`() {
    #expect(SlowMemory("node:3") == .node(3))
    #expect(SlowMemory("/mnt/pmem") == .path("/mnt/pmem"))
    #expect(SlowMemory("./node:3") == .path("./node:3"))
    for text in ["node:", "node:x", "node:-1", "node:4096", ""] {
      #expect(SlowMemory(text) == nil, "\(text)")
    }
    #expect(SlowMemory("node:3")?.description == "node:3")
  }

  @Test func `is made in a folder without a name`() throws {
    let folder = TemporaryFolder()
    let file = try SlowFile(path: folder.path, bytes: 5 << 20, fastBytes: 1 << 30)
    #expect(file.byteCount == 4 << 20)
    #expect(file.slotCount == 2)
    #expect(file.isNameless)
    #expect(SystemTree().entries(folder.path).isEmpty)
  }

  @Test func `is a new file for its owner alone, and given back at the end`() throws {
    let folder = TemporaryFolder()
    let path = "\(folder.path)/slow"
    let file = try SlowFile(path: path, bytes: 4 << 20, fastBytes: 1 << 30)
    var facts = stat()
    #expect(unsafe stat(path, &facts) == 0)
    #expect(facts.st_mode & 0o777 == 0o600)
    #expect(facts.st_size == 4 << 20)
    file.empty()
    #expect(unsafe stat(path, &facts) == 0)
    #expect(facts.st_size == 0)
  }

  @Test func `never overwrites what a file holds`() throws {
    let folder = TemporaryFolder()
    let path = "\(folder.path)/precious"
    let descriptor = unsafe open(path, O_RDWR | O_CREAT, 0o600)
    #expect(unsafe write(descriptor, "data", 4) == 4)
    close(descriptor)
    let error = #expect(throws: PlatformError.self) {
      try SlowFile(path: path, bytes: 4 << 20, fastBytes: 1 << 30)
    }
    #expect(error?.code == .invalidArgument)
  }

  @Test func `has one session at a time where it has a name`() throws {
    let folder = TemporaryFolder()
    let path = "\(folder.path)/slow"
    do {
      let new = try SlowFile(path: path, bytes: 4 << 20, fastBytes: 1 << 30)
      // Empty again, so that nothing but the lock keeps others away.
      new.empty()
      let error = #expect(throws: PlatformError.self) {
        try SlowFile(path: path, bytes: 4 << 20, fastBytes: 1 << 30)
      }
      #expect(error?.reason.contains("another session") == true)
      withExtendedLifetime(new) {}
    }
    let next = try SlowFile(path: path, bytes: 4 << 20, fastBytes: 1 << 30)
    #expect(next.slotCount == 2)
  }

  @Test func `has one session at a time where it is a device`() throws {
    // A device of the machine that is described as device-DAX: it is opened and never mapped.
    let folder = TemporaryFolder()
    folder.makeFolder("sys/dev/char")
    folder.makeFolder("sys/devices/dax0.0")
    folder.link("sys/devices/dax0.0/subsystem", to: "../../bus/dax")
    // The numbers of /dev/full: Linux, Documentation/admin-guide/devices.txt.
    folder.link("sys/dev/char/1:7", to: "../../devices/dax0.0")
    folder.write("8388608", to: "sys/bus/dax/devices/dax0.0/size")
    let tree = SystemTree(root: folder.path)
    let first = try SlowFile(path: "/dev/full", bytes: nil, fastBytes: 1 << 30, tree: tree)
    #expect(first.kind == .deviceDax && first.slotCount == 4)
    let error = #expect(throws: PlatformError.self) {
      try SlowFile(path: "/dev/full", bytes: nil, fastBytes: 1 << 30, tree: tree)
    }
    #expect(error?.reason.contains("another session") == true)
    withExtendedLifetime(first) {}
  }

  @Test func `refuses what is no file, and more than there is`() throws {
    #expect(throws: PlatformError.self) {
      try SlowFile(path: "/dev/null", bytes: nil, fastBytes: 1 << 30)
    }
    let folder = TemporaryFolder()
    let error = #expect(throws: PlatformError.self) {
      try SlowFile(path: folder.path, bytes: 1 << 60, fastBytes: 1 << 30)
    }
    #expect(error?.code == .noSpace)
    #expect(throws: PlatformError.self) {
      try SlowFile(path: "\(folder.path)/no/such/folder", bytes: nil, fastBytes: 1 << 30)
    }
  }

  @Test func `is eight times fast memory where nobody says, as far as there is room`() throws {
    let folder = TemporaryFolder()
    let file = try SlowFile(path: folder.path, bytes: nil, fastBytes: 8 << 20)
    #expect(file.byteCount == 64 << 20)
    let large = try SlowFile(path: folder.path, bytes: nil, fastBytes: 1 << 50)
    var facts = statvfs()
    #expect(unsafe statvfs(folder.path, &facts) == 0)
    let free = UInt64(facts.f_bavail) * UInt64(facts.f_frsize)
    #expect(large.byteCount <= free)
    #expect(large.byteCount > 0)
  }
}
