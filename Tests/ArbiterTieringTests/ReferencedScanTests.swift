// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlacement
import ArbiterPlatform
import ArbiterTestSupport
import ArbiterTiering
import Glibc
import Testing

private typealias Referenced = [(addresses: Range<UInt64>, kibibytes: Int)]

@Suite struct `windows of idleness` {
  private let one: Range<UInt64> = 0x40_0000..<0x80_0000

  /// What windows tell of one mapping that was touched so much in each, a second apart.
  private func told(_ kibibytes: [Int]) -> [Int64?] {
    var windows = ReferencedWindows()
    return kibibytes.enumerated().map { turn, count in
      var idle: Int64?
      windows.close([(one, count)], now: Int64(turn + 1) * 1_000_000_000) { _, time in
        idle = time
      }
      return idle
    }
  }

  @Test func `two windows without a touch prove it, and time adds up`() {
    // What was before the first window nobody knows, and one window alone proves nothing.
    #expect(told([0, 0, 0, 0]) == [nil, nil, 2_000_000_000, 3_000_000_000])
    #expect(told([4, 0, 0, 0]) == [nil, nil, 2_000_000_000, 3_000_000_000])
    #expect(told([0, 0, 0, 4, 0, 0]) == [nil, nil, 2_000_000_000, nil, nil, 2_000_000_000])
    #expect(told([4, 4, 4]) == [nil, nil, nil])
  }

  @Test func `a mapping that changed begins anew`() {
    var windows = ReferencedWindows()
    var count = 0
    for turn in 0..<3 { windows.close([(one, 0)], now: Int64(turn)) { _, _ in count += 1 } }
    #expect(count == 1)
    windows.close([(0x40_0000..<0xA0_0000, 0)], now: 9) { _, _ in count += 1 }
    windows.close([(one, 0)], now: 10) { _, _ in count += 1 }
    #expect(count == 1)
  }

  @Test func `mappings large enough are read with what was touched`() {
    let found = ReferencedWindows.referenced(
      inMap: """
        7f0000000000-7f0000400000 rw-p 00000000 00:00 0 
        Size:               4096 kB
        Referenced:          128 kB
        VmFlags: rd wr mr mw me ac
        7f0000400000-7f0000401000 ---p 00000000 00:00 0 
        Referenced:            0 kB
        7f0000401000-7f0000801000 rw-p 00000000 00:00 0                          [heap]
        Referenced:            0 kB
        Anonymous:             4 kB
        """)
    #expect(found.map(\.kibibytes) == [128, 0])
    #expect(found.map(\.addresses.lowerBound) == [0x7f00_0000_0000, 0x7f00_0040_1000])
  }
}

/// Whether the kernel has accessed bits for asking.
private let canAsk =
  LiveMemory.program != nil && Shell.succeeds("echo 1 >/proc/self/clear_refs")

@Suite(.enabled(if: canAsk), .timeLimit(.minutes(1)))
struct `accessed bits of live memory` {
  @Test func `an idle mapping is named and one that is written to is not`() throws {
    let memory = try LiveMemory()
    let bytes = 2 * UInt64(TierUnit.chunkBytes)
    let busy = try memory.ask("map \(bytes) small")
    let idle = try memory.ask("map \(bytes) small")
    _ = try memory.ask("churn \(busy) \(bytes)")
    var table = ChunkTable()
    var places: [Int: UInt64] = [:]
    for start in [busy, idle] {
      for address in stride(from: start, to: start + bytes, by: TierUnit.chunkBytes) {
        let chunk = ManagedChunk(process: memory.process, address: address, slowIslands: [])
        places[table.insert(chunk)] = address
      }
    }
    let scan = try ReferencedScan()
    var named: [UInt64: Int64] = [:]
    // Three scans, about a second apart; a busy machine may take longer.
    for _ in 0..<200 where named.isEmpty {
      scan.look(at: table, now: 0) { index, islands, nanoseconds in
        #expect(islands == .all)
        places[index].map { named[$0] = nanoseconds }
      }
      usleep(100_000)
    }
    #expect(named.keys.sorted() == [idle, idle + UInt64(TierUnit.chunkBytes)])
    #expect(named.values.allSatisfy { $0 >= 1_000_000_000 })
    #expect(scan.takeRemarks() == [])
    #expect(scan.cpuNanoseconds > 0)
  }

  @Test func `a process that is gone is no remark`() throws {
    var table = ChunkTable()
    table.insert(ManagedChunk(process: 1 << 30, address: 0x40_0000, slowIslands: []))
    let scan = try ReferencedScan()
    scan.look(at: table, now: 0) { _, _, _ in Issue.record("told of nobody") }
    usleep(100_000)
    #expect(scan.takeRemarks() == [])
  }
}
