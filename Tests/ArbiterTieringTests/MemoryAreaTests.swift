// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterTestSupport
import ArbiterTiering
import Testing

/// The areas of a memory map, as the kernel writes them.
private func areas(_ lines: String) throws -> [MemoryArea] {
  let folder = TemporaryFolder()
  folder.write(lines, to: "proc/7/maps")
  return MemoryArea.areas(
    of: try #require(
      ProcessMapping.read(ofProcess: 7, from: SystemTree(root: folder.path))))
}

@Suite struct `areas of a memory map` {
  @Test func `anonymous memory from 2 MiB up is managed and files are not`() throws {
    let found = try areas(
      """
      55d000000000-55d000800000 r-xp 00000000 08:01 77 /usr/bin/program
      55d001000000-55d002100000 rw-p 00000000 00:00 0 [heap]
      7f0000000000-7f0000400000 rw-p 00000000 00:00 0 
      7f1000000000-7f1000400000 rw-s 00000000 08:01 99 /data/file
      7f2000000000-7f20001ff000 rw-p 00000000 00:00 0 
      7f3000100000-7f3000500000 rw-p 00000000 00:00 0 [anon:arena]
      7ffd00000000-7ffd00800000 rw-p 00000000 00:00 0 [stack]
      """)
    #expect(
      found.map(\.addresses.lowerBound) == [0x55d0_0100_0000, 0x7f00_0000_0000, 0x7f30_0010_0000])
    #expect(found.map(\.chunkCount) == [8, 2, 1])
    #expect(Array(found[2].chunks) == [0x7f30_0020_0000])
  }

  @Test func `neighbours that the kernel split by advice are one area`() throws {
    let found = try areas(
      """
      7f0000100000-7f0000300000 rw-p 00000000 00:00 0 
      7f0000300000-7f0000500000 r--p 00000000 00:00 0 
      """)
    #expect(found.count == 1)
    #expect(Array(found[0].chunks) == [0x7f00_0020_0000])
  }

  @Test func `stacks of threads, reserved room and guards are left out`() throws {
    let found = try areas(
      """
      7f0000000000-7f0000001000 ---p 00000000 00:00 0 
      7f0000001000-7f0000801000 rw-p 00000000 00:00 0 
      7f1000000000-7f1004000000 ---p 00000000 00:00 0 
      7f1004000000-7f1004400000 rw-p 00000000 00:00 0 
      7f2000000000-7f2000800000 rw-p 00000000 00:00 0 [anon: glibc: pthread stack: 12]
      7f3000000000-7f3000800000 rw-p 00000000 00:00 0 [anon:thread stack guard]
      """)
    // Above reserved room, which is larger than a guard, lies a heap that grows.
    #expect(found.map(\.addresses.lowerBound) == [0x7f10_0400_0000])
  }

  @Test func `shared memory is known by its number and its place in it`() throws {
    let found = try areas(
      """
      7f0000000000-7f0000400000 rw-s 00000000 00:01 41 /dev/zero (deleted)
      7f0000400000-7f0000800000 rw-s 00400000 00:01 41 /dev/zero (deleted)
      7f1000000000-7f1000400000 rw-s 00000000 00:01 42 /memfd:name (deleted)
      7f1000400000-7f1000800000 rw-s 00000000 00:01 42 /memfd:name (deleted)
      7f2000000000-7f2000400000 rw-s 00000000 00:05 9 /SYSV00000000 (deleted)
      7f3000000000-7f3000400000 rw-s 00000000 00:19 9 /dev/shm/named
      """)
    // The second half of 41 goes on where the first ends; 42 is mapped twice.
    #expect(found.map(\.chunkCount) == [4, 2, 2, 2])
    #expect(found.map { $0.identity?.inode } == [41, 42, 42, 9])
  }
}
