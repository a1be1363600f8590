// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlacement
import Testing

@Suite struct `a table of chunks` {
  @Test func `a number is used again once its chunk is gone`() {
    var table = ChunkTable()
    let first = table.insert(ManagedChunk(process: 1, address: 0x200000, slowIslands: []))
    let second = table.insert(ManagedChunk(process: 1, address: 0x400000, slowIslands: .all))
    #expect(first != second)
    #expect(table.index(process: 1, address: 0x2f_ffff) == first)
    #expect(table.index(process: 2, address: 0x20_0000) == nil)
    table.remove(first)
    #expect(table[first] == nil)
    #expect(table.index(process: 1, address: 0x200000) == nil)
    let third = table.insert(ManagedChunk(process: 2, address: 0x200000, slowIslands: []))
    #expect(third == first)
    #expect(table.count == 2)
    #expect(table.capacity == 2)
    #expect(table.fastBytes == TierUnit.chunkBytes)
  }

  @Test func `what was never touched takes no fast memory`() {
    var chunk = ManagedChunk(process: 1, address: 0, slowIslands: IslandSet(island: 3))
    chunk.presentIslands = [IslandSet(island: 3), IslandSet(island: 4)]
    #expect(chunk.fastBytes == TierUnit.islandBytes)
  }
}

@Suite struct `a set of islands` {
  @Test(
    arguments: [
      (0, []), (1, [0..<1]), (UInt64.max, [0..<64]), (0xf0, [4..<8]),
      (1 << 63, [63..<64]), (0x8000_0000_0000_0001, [0..<1, 63..<64]), (0b1101, [0..<1, 2..<4]),
    ] as [(UInt64, [Range<Int>])])
  func `runs of neighbours`(_ bits: UInt64, _ expected: [Range<Int>]) {
    var runs: [Range<Int>] = []
    IslandSet(rawValue: bits).forEachRun { runs.append($0) }
    #expect(runs == expected)
  }
}
