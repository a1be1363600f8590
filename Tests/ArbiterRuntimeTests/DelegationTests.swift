// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterRuntime
import ArbiterScheduler
import Glibc
import Testing

@Suite("Delegation pool")
struct DelegationTests {
  static let lineWords = 8

  @Test(arguments: [(1, 1), (1, 3), (2, 64), (3, 5)])
  func `requests of a lane are served in order and completed`(
    ringCount: Int, slotCount: Int
  ) throws {
    let threadCount = 8
    let pool = try DelegationPool(
      DelegationParameters(ringCount: ringCount, slotCount: slotCount), laneCapacity: threadCount)
    let wrong = Shared(0)
    try Crew.run(threadCount) { thread in
      // All requests of a lane go to one line: the last must win, whatever the others do.
      let raw = UnsafeMutableRawPointer.allocate(byteCount: 201 * 64, alignment: 64)
      defer { unsafe raw.deallocate() }
      let target = unsafe raw + 200 * 64
      do throws(PlatformError) {
        var lane = try pool.makeLane()
        for request in 0..<200 {
          for word in 0..<Self.lineWords {
            unsafe (raw + request * 64 + word * 8).storeBytes(
              of: UInt64(thread * 1000 + request), as: UInt64.self)
          }
          unsafe try lane.submit(
            from: raw + request * 64, to: target, byteCount: 64, method: .nonTemporal)
          if request % 50 == 49 {
            lane.fence()
            let found = unsafe target.load(as: UInt64.self)
            if found != UInt64(thread * 1000 + request) { wrong.change { $0 += 1 } }
          }
        }
        let (completed, submitted) = (lane.completedCount, lane.submittedCount)
        if completed != 200 || submitted != 200 { wrong.change { $0 += 1 } }
      } catch {
        wrong.change { $0 += 1 }
      }
    }
    pool.shutdown()
    #expect(wrong.value == 0)
  }

  @Test func `shutdown completes every accepted request and refuses the rest`() throws {
    for round in 0..<20 {
      let threadCount = 6
      let pool = try DelegationPool(
        DelegationParameters(ringCount: 2, slotCount: 3), laneCapacity: threadCount)
      let lost = Shared(0)
      let refused = Shared(0)
      let accepted = Shared(0)
      let crew = Crew()
      for _ in 0..<threadCount {
        try crew.add {
          let raw = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 64)
          defer { unsafe raw.deallocate() }
          unsafe raw.initializeMemory(as: UInt8.self, repeating: 7, count: 128)
          do throws(PlatformError) {
            var lane = try pool.makeLane()
            do throws(PlatformError) {
              for _ in 0..<1_000_000 {
                unsafe try lane.submit(
                  from: raw, to: raw + 64, byteCount: 64, method: .nonTemporal)
                accepted.change { $0 += 1 }
              }
            } catch {
              refused.change { $0 += 1 }
            }
            // Would never return if an accepted request were dropped.
            lane.fence()
            let isLost = lane.completedCount != lane.submittedCount
            if isLost { lost.change { $0 += 1 } }
          } catch {
            lost.change { $0 += 1 }
          }
        }
      }
      #expect(eventually { accepted.value > 10 * round })
      pool.shutdown()
      crew.join()
      #expect(refused.value == threadCount)
      #expect(lost.value == 0)
      pool.shutdown()
    }
  }

  @Test func `a pool without free lanes says so`() throws {
    let pool = try DelegationPool(
      DelegationParameters(ringCount: 1, slotCount: 1), laneCapacity: 1)
    _ = try pool.makeLane()
    do throws(PlatformError) {
      _ = try pool.makeLane()
      Issue.record("a second lane was made")
    } catch {
      #expect(error.code == .resourceLimit)
    }
  }
}
