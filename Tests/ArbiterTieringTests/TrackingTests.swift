// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlacement
import ArbiterPlatform
import ArbiterProfiler
import ArbiterRuntime
import ArbiterTiering
import Glibc
import Testing

@Suite struct `hit shares` {
  @Test func `are missing without samples and never certain with few`() throws {
    var share = HitShare()
    #expect(share.overall.value == nil)
    share.record(weight: 5, isFast: true)
    let one = try #require(share.overall.value)
    #expect(one.value == 1)
    #expect(one.standardError > 0.3)
    for _ in 0..<9_999 { share.record(weight: 5, isFast: true) }
    let many = try #require(share.overall.value)
    #expect(many.standardError < 0.001)
  }

  @Test func `have the error of a binomial share, and a larger one of uneven weights`() throws {
    var even = HitShare()
    var uneven = HitShare()
    for number in 0..<1000 {
      even.record(weight: 1, isFast: number % 4 != 0)
      uneven.record(weight: number % 10 == 0 ? 50 : 1, isFast: number % 4 != 0)
    }
    let first = try #require(even.overall.value)
    #expect(abs(first.value - 0.75) < 1e-9)
    #expect(abs(first.standardError - (0.75 * 0.25 / 1000).squareRoot()) < 1e-4)
    let second = try #require(uneven.overall.value)
    #expect(second.standardError > 2 * first.standardError)
  }

  @Test func `of the last seconds forget what was before`() throws {
    var share = HitShare()
    share.advance(to: 0)
    for _ in 0..<100 { share.record(weight: 1, isFast: false) }
    share.advance(to: 3_000_000_000)
    for _ in 0..<100 { share.record(weight: 1, isFast: true) }
    #expect(try #require(share.recent.value).value == 0.5)
    share.advance(to: 6_000_000_000)
    #expect(try #require(share.recent.value).value == 1)
    share.advance(to: 60_000_000_000)
    #expect(share.recent.value == nil)
    #expect(try #require(share.overall.value).value == 0.5)
  }
}

@Suite struct `costs of migrations` {
  private static func outcome(bytes: Int, nanoseconds: Int64) -> MigrationOutcome {
    MigrationOutcome(
      Migration(chunk: 0, islands: .all, to: .fast, because: .hot), status: .moved,
      bytesCopied: bytes, cpuNanoseconds: nanoseconds)
  }

  @Test func `are a line through what was measured`() {
    var costs = MigrationCosts(usualNanoseconds: 25_000)
    #expect(costs.migrationNanoseconds(bytesPerSecond: 1e9, at: 0) == 25_000)
    for number in 1...2000 {
      let bytes = (number % 64 + 1) << 15
      costs.record(
        Self.outcome(bytes: bytes, nanoseconds: Int64(bytes / 4) + 45_000), at: Int64(number))
    }
    // Eight of the usual cost beside two thousand.
    let cost = costs.migrationNanoseconds(bytesPerSecond: 1e9, at: 2000)
    #expect(abs(cost - (45_000 - 20_000 * 8 / 2008)) < 500, "\(cost)")
  }

  @Test func `take the copy at the bandwidth where all are of one size`() {
    var costs = MigrationCosts(usualNanoseconds: 0)
    for _ in 0..<24 { costs.record(Self.outcome(bytes: 2 << 20, nanoseconds: 1_100_000), at: 0) }
    let cost = costs.migrationNanoseconds(bytesPerSecond: 4e9, at: 0)
    #expect(abs(cost - (1_100_000 - Double(2 << 20) / 4) * 24 / 32) < 1, "\(cost)")
  }

  @Test func `of a while ago are forgotten`() {
    var costs = MigrationCosts(usualNanoseconds: 100_000)
    for _ in 0..<40 { costs.record(Self.outcome(bytes: 2 << 20, nanoseconds: 8_000_000), at: 0) }
    func cost(_ seconds: Int64) -> Double {
      costs.migrationNanoseconds(bytesPerSecond: 5e9, at: seconds * 1_000_000_000)
    }
    #expect(cost(0) > 6_000_000)
    #expect(cost(3) < 2_000_000)
    #expect(cost(10) < 110_000)
    // As what moves now costs, as soon as some of it has moved.
    for _ in 0..<40 {
      costs.record(Self.outcome(bytes: 2 << 20, nanoseconds: 600_000), at: 2_000_000_000)
    }
    #expect(cost(2) < 1_200_000)
  }
}

@Suite struct `sampling for tiers` {
  /// Stores into a buffer, round and round, for some time.
  private static func store(into buffer: UnsafeMutableRawBufferPointer, milliseconds: Int64) {
    let end = SystemClock.monotonicRawNanoseconds() + milliseconds * 1_000_000
    var round: UInt64 = 0
    while SystemClock.monotonicRawNanoseconds() < end {
      for offset in stride(from: 0, to: buffer.count, by: 64) {
        unsafe buffer.storeBytes(of: round, toByteOffset: offset, as: UInt64.self)
      }
      round += 1
    }
  }

  @Test(
    .enabled(if: SamplingProbe.read().timer.value != nil, "a clock cannot be sampled here"))
  func `changes its period while threads run`() throws {
    let tracker = try SampleTracker(.timer, period: 1_000_000)
    defer { tracker.stop() }
    try tracker.add(process: getpid())
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 << 20, alignment: 4096)
    defer { unsafe buffer.deallocate() }
    func weights(milliseconds: Int64) -> [Double] {
      tracker.drain { _ in }
      unsafe Self.store(into: buffer, milliseconds: milliseconds)
      var weights: [Double] = []
      tracker.drain { weights.append($0.weight) }
      return weights
    }
    let first = weights(milliseconds: 200)
    #expect(tracker.periodNanoseconds == 1_000_000)
    #expect(!first.isEmpty && first.allSatisfy { $0 == 1_000_000 })
    tracker.select(periodNanoseconds: 15_000_000, now: 1_000_000_000)
    #expect(tracker.periodNanoseconds == 4_000_000)
    let second = weights(milliseconds: 200)
    #expect(!second.isEmpty && second.allSatisfy { $0 == 4_000_000 })
    // A second change comes too soon, a third one does not.
    tracker.select(periodNanoseconds: 1_000_000, now: 1_050_000_000)
    #expect(tracker.periodNanoseconds == 4_000_000)
    tracker.select(periodNanoseconds: 300_000, now: 1_500_000_000)
    #expect(tracker.periodNanoseconds == 250_000)
    let third = weights(milliseconds: 100)
    #expect(!third.isEmpty && third.allSatisfy { $0 == 250_000 })
  }

  @Test func `refuses back-ends that see no accesses`() {
    #expect(throws: PlatformError.self) { try SampleTracker(.faults, period: 1_000_000) }
    #expect(throws: PlatformError.self) { try SampleTracker(.gates, period: 1_000_000) }
  }
}
