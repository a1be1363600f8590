// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlacement
import ArbiterPlatform
import ArbiterTestSupport
import ArbiterTiering
import Glibc
import Testing

// A process has tiered memory once, so that all of it is one test.
@Suite struct `tiered memory of one's own` {
  @Test func `keeps every word while random chunks move, and is there once`() throws {
    let folder = TemporaryFolder()
    let seed = UInt64.random(in: 1...UInt64.max)
    let policy = RandomPlacement(seed: seed)
    let memory: TieredMemory
    do {
      memory = try TieredMemory(
        fastBytes: 8 << 20, slow: .path(folder.path), slowBytes: 64 << 20, policy: policy)
    } catch {
      // Sampling may be forbidden where tests run; what forbids it says so itself.
      #expect(error.code == .noPermission, "\(error)")
      return
    }
    defer { memory.stop() }
    #expect(throws: PlatformError.self) {
      try TieredMemory(fastBytes: 8 << 20, slow: .path(folder.path))
    }
    let buffer = try unsafe memory.allocate(byteCount: 16 << 20)
    let words = unsafe buffer.bindMemory(to: UInt64.self)
    var expected: UInt64 = 0
    for index in words.indices {
      unsafe words[index] = UInt64(index)
      expected &+= UInt64(index)
    }
    let end = SystemClock.monotonicRawNanoseconds() + 3_000_000_000
    var wrongCount = 0
    while SystemClock.monotonicRawNanoseconds() < end {
      var sum: UInt64 = 0
      for index in words.indices {
        unsafe words[index] &+= 1
        unsafe sum &+= words[index] &- 1
      }
      if sum != expected { wrongCount += 1 }
      expected &+= UInt64(words.count)
    }
    #expect(wrongCount == 0, "seed \(seed)")
    usleep(300_000)
    let reading = memory.reading
    #expect(reading.fastBytes + reading.slowBytes == 16 << 20)
    #expect(reading.processes == [getpid()])
    for remark in memory.takeRemarks() where remark.contains("never moved") { return }
    #expect(reading.promotionCount + reading.demotionCount > 0, "seed \(seed)")
    unsafe memory.deallocate(buffer)
  }
}
