// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlatform
import ArbiterRuntime
import ArbiterScheduler
import CArbiterGate
import Glibc
import Testing

@Suite("Delegation pool")
struct DelegationTests {
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
              if error.code == .resourceLimit { refused.change { $0 += 1 } }
            }
            // Would never return if an accepted request were dropped.
            try lane.fence()
            let isLost = lane.completedCount != lane.submittedCount
            if isLost { lost.change { $0 += 1 } }
          } catch {
            lost.change { $0 += 1 }
          }
        }
      }
      #expect(eventually { accepted.value > 10 * round })
      #expect(pool.isAlive)
      pool.shutdown()
      crew.join()
      #expect(refused.value == threadCount)
      #expect(lost.value == 0)
      #expect(!pool.isAlive)
      pool.shutdown()
    }
  }

  @Test func `every method stores the bytes, and the last request wins`() throws {
    let pool = try DelegationPool(
      DelegationParameters(ringCount: 1, slotCount: 4), laneCapacity: 1)
    var lane = try pool.makeLane()
    let raw = UnsafeMutableRawPointer.allocate(byteCount: 1024, alignment: 64)
    defer { unsafe raw.deallocate() }
    let flush = ProcessorFeatures.detect().bestFlush
    for (index, method) in [StoreMethod.nonTemporal, .plain, .writeBack(flush)].enumerated() {
      for byte in 0..<512 {
        unsafe raw.storeBytes(
          of: UInt8(truncatingIfNeeded: byte &+ index), toByteOffset: byte, as: UInt8.self)
      }
      unsafe try lane.submit(from: raw + 256, to: raw + 512, byteCount: 256, method: method)
      unsafe try lane.submit(from: raw, to: raw + 512, byteCount: 256, method: method)
      try lane.fence()
      #expect(unsafe memcmp(raw, raw + 512, 256) == 0)
    }
    #expect(lane.completedCount == 6)
    #expect(lane.submittedCount == 6)
  }

  @Test func `a pool without free lanes says so, and lanes that ended make room`() throws {
    let pool = try DelegationPool(
      DelegationParameters(ringCount: 1, slotCount: 1), laneCapacity: 1)
    for _ in 0..<3 {
      let lane = try pool.makeLane()
      do throws(PlatformError) {
        _ = try pool.makeLane()
        Issue.record("a second lane was made")
      } catch {
        #expect(error.code == .resourceLimit)
      }
      #expect(lane.submittedCount == 0)
    }
  }

  @Test func `idle workers sleep`() throws {
    let pool = try DelegationPool(
      DelegationParameters(ringCount: 4, slotCount: 8), laneCapacity: 1)
    usleep(300_000)
    pool.shutdown()
    let used = pool.workerCPUNanoseconds
    #expect(used > 0)
    #expect(used < 60_000_000, "four workers used \(used) ns of CPU in 300 ms without work")
  }

  @Test func `requests of a worker that dies end in an error, soon`() throws {
    var best = Int64.max
    for _ in 0..<5 {
      let pool = try CPool(DelegationParameters(ringCount: 2, slotCount: 8), laneCapacity: 3)
      var lanes = unsafe [ArbLane(), ArbLane(), ArbLane()]
      for index in 0..<3 { #expect(unsafe arb_lane_open(pool.pool, &lanes[index]) == 0) }
      // Lanes 0 and 2 share a ring.
      #expect(unsafe lanes[0].ring == lanes[2].ring && lanes[0].ring != lanes[1].ring)
      var word: UInt64 = 0
      unsafe withUnsafeMutablePointer(to: &word) { target in
        var fatal = unsafe ArbRequest(
          target: UnsafeMutableRawPointer(target), source: nil, byte_count: 0, value: 0, flags: 0,
          store: { _, _, _, _, _ in
            usleep(20_000)
            pthread_exit(nil)
          }, start_ticks: 0)
        var harmless = unsafe fatal
        unsafe harmless.store = { target, _, _, _, _ in
          unsafe target.storeBytes(of: 7, as: UInt64.self)
        }
        #expect(unsafe arb_lane_submit(&lanes[0], &fatal) == 0)
        #expect(unsafe arb_lane_submit(&lanes[2], &harmless) == 0)
        let start = SystemClock.monotonicRawNanoseconds()
        #expect(unsafe arb_lane_wait(&lanes[0], 1) == Int64(-EOWNERDEAD))
        #expect(unsafe arb_lane_wait(&lanes[2], 1) == Int64(-EOWNERDEAD))
        best = min(best, SystemClock.monotonicRawNanoseconds() - start)
        #expect(unsafe arb_lane_submit(&lanes[2], &harmless) == Int64(-EOWNERDEAD))
        #expect(unsafe arb_delegation_dead_count(pool.pool) == 1)
        // The other worker goes on, and new lanes find it.
        #expect(unsafe arb_lane_submit(&lanes[1], &harmless) == 0)
        #expect(unsafe arb_lane_wait(&lanes[1], 1) == 0)
        unsafe arb_lane_close(&lanes[0])
        #expect(unsafe arb_lane_open(pool.pool, &lanes[0]) == 0)
        #expect(unsafe lanes[0].ring == lanes[1].ring)
        #expect(unsafe arb_delegation_is_alive(pool.pool) != 0)
        for index in 0..<3 { unsafe arb_lane_close(&lanes[index]) }
      }
    }
    // Its 20 ms of life, and 100 ms; the best of five, since other programs run as well.
    #expect(best < 120_000_000, "an error came after \(best) ns")
  }

  @Test func `latencies lie in the cells of a histogram`() {
    for shift in 0..<48 {
      for offset in [UInt64(0), 1, 7, 12345] {
        let value = (UInt64(1) << UInt64(shift)) &+ offset
        var expected = Histogram()
        expected.record(value)
        expected.record(.max)
        var cells = [UInt64](repeating: 0, count: Int(ARB_LATENCY_CELLS))
        cells[Int(arb_latency_cell(value))] += 1
        cells[Int(arb_latency_cell(.max))] += 1
        let found = Histogram(cellCounts: cells, sum: value &+ .max, maximum: .max)
        #expect(found.count == 2 && found.sum == expected.sum)
        #expect(found.quantile(0.5) == expected.quantile(0.5), "\(value)")
      }
    }
  }
}
