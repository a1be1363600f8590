// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterScheduler
import Testing

@Suite("Pace")
struct PaceTests {
  private func pace(
    _ delay: Double, _ point: DelayPoint, _ anchor: DelayAnchor = .arrival,
    fenced: Bool = false, maximum: Int64 = 1_000_000
  ) -> Pace {
    var pace = Pace(maximumWaitTicks: maximum)
    pace.apply(
      GateSettings(
        delayNanoseconds: delay, point: point, anchor: anchor, isFencedAtBlocks: fenced),
      ticksPerNanosecond: 1)
    return pace
  }

  @Test func `an open gate asks for nothing`() {
    var pace = Pace(maximumWaitTicks: 100)
    for step in 0..<UInt64(23) {
      let admission = pace.admit(address: step * 64, length: 64, now: Int64(step))
      #expect(admission == Admission(waitTicks: 0, fenceFirst: false))
    }
  }

  @Test func `a delay per access falls due before every access`() {
    var pace = pace(100, .access)
    for step in 0..<UInt64(23) {
      #expect(pace.admit(address: step * 64, length: 64, now: 0).waitTicks == 100)
    }
  }

  @Test func `a delay per block falls due on entering a block`() {
    var pace = pace(100, .block)
    let waits = (0..<UInt64(12)).map {
      pace.admit(address: 1024 + $0 * 64, length: 64, now: 0).waitTicks
    }
    #expect(waits == [100, 0, 0, 0, 100, 0, 0, 0, 100, 0, 0, 0])
  }

  /// Every start and length of up to four blocks, after an access in another or the same block.
  @Test func `an access owes a delay for every block that it begins`() {
    for start in stride(from: UInt64(0), to: 512, by: 64) {
      for lines in UInt64(1)...16 {
        for before in [UInt64(0), 256, 4096] {
          var pace = pace(100, .block)
          _ = pace.admit(address: before, length: 64, now: 0)
          let blocks = Set((0..<lines).map { (start + $0 * 64) >> 8 })
          // The block that the previous access ended in has been paid for.
          let isContinued = start >> 8 == before >> 8
          let owed = Int64(blocks.count) - (isContinued ? 1 : 0)
          let wait = pace.admit(address: start, length: lines * 64, now: 0).waitTicks
          #expect(wait == 100 * owed, "start \(start), \(lines) lines, after \(before)")
        }
      }
    }
  }

  @Test func `coming back to a block that was left owes a delay again`() {
    var pace = pace(100, .block)
    let waits = [0, 256, 0, 64, 256].map {
      pace.admit(address: $0, length: 64, now: 0).waitTicks
    }
    #expect(waits == [100, 100, 100, 0, 100])
  }

  @Test func `a delay from the previous access counts time that has passed`() {
    var pace = pace(100, .access, .previous)
    // The first owes nothing; then the distance between two accesses is 100, whatever was waited.
    #expect(pace.admit(address: 0, length: 64, now: 1000).waitTicks == 0)
    #expect(pace.admit(address: 64, length: 64, now: 1030).waitTicks == 70)
    #expect(pace.admit(address: 128, length: 64, now: 1150).waitTicks == 50)
    // A slow thread pays nothing and saves nothing up.
    #expect(pace.admit(address: 192, length: 64, now: 9000).waitTicks == 0)
    #expect(pace.admit(address: 256, length: 64, now: 9001).waitTicks == 99)
  }

  @Test func `a long access makes the next one wait for all its blocks`() {
    var pace = pace(100, .block, .previous)
    #expect(pace.admit(address: 0, length: 1024, now: 0).waitTicks == 0)
    #expect(pace.admit(address: 1024, length: 64, now: 10).waitTicks == 390)
  }

  @Test func `a fence stands where a block begins and nowhere else`() {
    var pace = pace(0, .block, fenced: true)
    let fences = (0..<UInt64(9)).map {
      pace.admit(address: $0 * 64, length: 64, now: 0).fenceFirst
    }
    #expect(fences == [true, false, false, false, true, false, false, false, true])
  }

  @Test func `no wait exceeds the maximum or is negative, whatever comes`() {
    var random = SeededRandom(seed: 11)
    for _ in 0..<2003 {
      let maximum = Int64(random.below(3000))
      let delays = [0, 1, 999.5, 1e6, 1e18, .infinity, -5]
      var pace = Pace(maximumWaitTicks: maximum)
      var now: Int64 = 0
      for step in 0..<30 {
        if step % 7 == 0 {
          pace.apply(
            GateSettings(
              delayNanoseconds: delays[random.below(delays.count)],
              point: random.below(2) == 0 ? .access : .block,
              anchor: random.below(2) == 0 ? .arrival : .previous,
              isFencedAtBlocks: random.below(2) == 0),
            ticksPerNanosecond: 2.5)
        }
        let length = UInt64(1 + random.below(1 << 20))
        let address = random.next() >> UInt64(random.below(40))
        let wait = pace.admit(address: address, length: length, now: now).waitTicks
        #expect(wait >= 0 && wait <= maximum)
        now += Int64(random.below(5000))
      }
    }
  }

  @Test func `closing and opening the gate leaves no debt`() {
    var pace = pace(1000, .access, .previous)
    _ = pace.admit(address: 0, length: 64, now: 0)
    pace.apply(.open, ticksPerNanosecond: 1)
    #expect(pace.admit(address: 64, length: 64, now: 1).waitTicks == 0)
  }
}
