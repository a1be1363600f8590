// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterMetrics
import ArbiterProfiler
import Testing

/// Weights are whole numbers here, so that sums are exact in any order.
@Suite("Heat map")
struct HeatMapTests {
  private static func info(_ id: UInt64) -> HeatBandInfo {
    HeatBandInfo(name: "band \(id)", base: 0, byteCount: nil)
  }

  private static func run(
    _ position: UInt64, length: UInt64 = 64, at time: UInt64 = 0, count: UInt64 = 1,
    stride: Int64 = 0, span: UInt64 = 0, isStore: Bool = true
  ) -> HeatRun {
    HeatRun(
      position: position, length: length, count: count, stride: stride, timeNanoseconds: time,
      spanNanoseconds: span, isStore: isStore, isLoad: !isStore)
  }

  private static func random(_ random: inout SeededRandom) -> HeatRun {
    let scale = UInt64(1) << UInt64(random.below(30))
    let count = UInt64(1 + random.below(40))
    let stride = Int64(random.below(5)) * 4096 - 8192 + Int64(random.below(3))
    return run(
      (1 << 32) + UInt64(random.below(1 << 20)) * scale, length: UInt64(1 + random.below(5000)),
      at: UInt64(random.below(1 << 20)) << UInt64(random.below(20)), count: count,
      stride: stride, span: UInt64(random.below(3)) * UInt64(random.below(1 << 30)),
      isStore: random.below(2) == 0)
  }

  private static func sum(_ map: HeatMap, _ id: UInt64) -> Double {
    map.grid(of: id)?.rows.compactMap { $0 }.joined().reduce(0, +) ?? 0
  }

  /// What is seen of a map.
  private static func face(_ map: HeatMap, _ id: UInt64) -> [[Double]] {
    guard let grid = map.grid(of: id) else { return [] }
    return [[Double(map.startNanoseconds), Double(grid.start), Double(grid.rowBytes)]]
      + grid.rows.map { $0 ?? [] }
  }

  @Test(arguments: 1...40 as ClosedRange<UInt64>)
  func `folding conserves every weight, and the order of additions does not matter`(
    seed: UInt64
  ) {
    var random = SeededRandom(seed: seed)
    var runs = (0..<200).map { _ in Self.random(&random) }
    var map = HeatMap()
    for run in runs { map.add(run, to: 7) { Self.info(7) } }
    let expected = runs.reduce(0.0) { $0 + Double($1.length * $1.count) }
    #expect(map.refusedCount == 0)
    #expect(map.totals.weight == expected)
    #expect(Self.sum(map, 7) == expected)
    #expect(map.totals.storeWeight + map.totals.loadWeight == expected)
    for index in runs.indices.dropLast() {
      runs.swapAt(index, index + random.below(runs.count - index))
    }
    var other = HeatMap()
    for run in runs { other.add(run, to: 7) { Self.info(7) } }
    #expect(Self.face(map, 7) == Self.face(other, 7))
    #expect(map.summary(of: 7)?.touchedBytes == other.summary(of: 7)?.touchedBytes)
  }

  @Test(arguments: 1...12 as ClosedRange<UInt64>)
  func `a map that is short of rows and bands keeps every weight within its bounds`(
    seed: UInt64
  ) {
    var limits = HeatMap.Limits()
    limits.columnCountMax = 16
    limits.rowCountMax = 32
    limits.rowCountMin = 2
    limits.bandCountMax = 8
    limits.rowBudget = 24
    limits.fineBinCountMax = 64
    var random = SeededRandom(seed: seed)
    var map = HeatMap(limits: limits)
    var expected = 0.0
    for _ in 0..<2000 {
      let run = Self.random(&random)
      expected += Double(run.length * run.count)
      let id = UInt64(random.below(random.below(2) == 0 ? 6 : 20))
      map.add(run, to: id) { Self.info(id) }
    }
    let ids = map.hottestFirst
    #expect(ids.count == 8 && map.dissolvedCount > 0)
    #expect(map.totals.weight == expected)
    let kept = ids.reduce(0) { $0 + Self.sum(map, $1) }
    #expect(kept + map.others.weight == expected)
    for id in ids {
      #expect(map.summary(of: id)?.totals.weight == Self.sum(map, id))
    }
    let rows = ids.compactMap { map.grid(of: $0) }.flatMap(\.rows).count { $0 != nil }
    #expect(rows <= limits.rowBudget && map.columnCount <= 16)
  }

  /// Each run is compared with its accesses one by one.
  @Test(arguments: 1...60 as ClosedRange<UInt64>)
  func `a run is the same as its accesses`(seed: UInt64) {
    var random = SeededRandom(seed: seed, stream: 3)
    let count = UInt64(1 + random.below(300))
    let length = UInt64(1 + random.below(200))
    let stride = Int64(random.below(900)) - 450
    let span = UInt64(random.below(4)) * UInt64(random.below(100_000))
    let run = Self.run(
      1 << 30, length: length, at: 12_345, count: count, stride: stride, span: span)
    var whole = HeatMap()
    whole.add(run, to: 1) { Self.info(1) }
    var single = HeatMap()
    for index in 0..<count {
      let position = UInt64(Int64(1 << 30) + stride * Int64(index))
      let one = Self.run(position, length: length, at: 12_345 + span * index / count)
      single.add(one, to: 1) { Self.info(1) }
    }
    #expect(Self.face(whole, 1) == Self.face(single, 1), "seed \(seed)")
    #expect(whole.summary(of: 1)?.touchedBytes == single.summary(of: 1)?.touchedBytes)
  }

  @Test func `bins are the least powers of two that hold what was seen`() throws {
    var map = HeatMap()
    map.add(Self.run(0, at: 1000), to: 1) { Self.info(1) }
    #expect(map.timeAxis.binWidth == 1 && map.grid(of: 1)?.rowBytes == 64)
    map.add(Self.run(256 * 64 - 64, at: 1255), to: 1) { Self.info(1) }
    #expect(map.timeAxis.binWidth == 1 && map.grid(of: 1)?.rowBytes == 64)
    map.add(Self.run(256 * 64, at: 1256), to: 1) { Self.info(1) }
    #expect(map.timeAxis.binWidth == 2 && map.grid(of: 1)?.rowBytes == 128)
    // What comes before the first widens bins likewise, and keeps its place.
    map.add(Self.run(0, at: 0), to: 1) { Self.info(1) }
    #expect(map.timeAxis.binWidth == 8 && map.startNanoseconds == 0)
    let rows = try #require(map.grid(of: 1)).rows
    #expect(rows[0]?[0] == 64 && rows[0]?[125] == 64 && rows.last??[157] == 64)
  }

  @Test func `a sequential writer is a diagonal`() throws {
    var map = HeatMap()
    for line in 0..<4096 as Range<UInt64> {
      map.add(Self.run(line * 64, at: line * 1000), to: 1) { Self.info(1) }
    }
    let grid = try #require(map.grid(of: 1))
    #expect(grid.rows.count == 256 && grid.rowBytes == 1024)
    for (row, weights) in grid.rows.enumerated() {
      let hot = try #require(weights).enumerated().filter { $0.element > 0 }.map(\.offset)
      // Columns are 16,384 ns wide, a row lasts 16,000 ns.
      #expect(hot == Array(row * 16_000 / 16_384...(row * 16_000 + 15_000) / 16_384))
    }
  }

  @Test func `a summary tells hot memory from cold`() throws {
    var map = HeatMap()
    // 16 MiB, one byte in each 4 KiB; a MiB in the middle is ten times as hot.
    for page in 0..<4096 as Range<UInt64> {
      let isHot = 1792..<2048 ~= page
      map.add(Self.run(page * 4096, length: 1, at: page, count: isHot ? 10 : 1), to: 1) {
        HeatBandInfo(name: "a", base: 0, byteCount: 32 << 20)
      }
    }
    map.add(Self.run(1 << 40, length: 1, at: 9000, isStore: false), to: 2) { Self.info(2) }
    let summary = try #require(map.summary(of: 1))
    #expect(summary.touchedBytes == 16 << 20 && summary.extentBytes == 16 << 20)
    #expect(summary.binBytes == 4096)
    let total = Double(4096 + 256 * 9)
    #expect(summary.totals.weight == total && summary.share == total / (total + 1))
    let hottest = try #require(summary.hottest.value)
    #expect(hottest.share == Double(2560 + 256) / total)
    #expect(hottest.start <= 1792 * 4096 && hottest.start + hottest.byteCount >= 2048 * 4096)
    // A tenth of 4,096 bins is 410: the 256 hot ones and 154 others.
    #expect(summary.hottestTenthShare == Double(2560 + 154) / total)
    #expect(summary.totals.firstNanoseconds == 0 && summary.totals.lastNanoseconds == 4095)
    #expect(map.hottestFirst == [1, 2])
    #expect(map.summary(of: 2)?.totals.storeWeight == 0)
    #expect(map.summary(of: 2)?.totals.loadWeight == 1)
  }

  @Test func `a band that is too long for 2 MiB says so instead of guessing`() {
    var map = HeatMap()
    map.add(Self.run(0), to: 1) { Self.info(1) }
    map.add(Self.run(1 << 46), to: 1) { Self.info(1) }
    #expect(map.summary(of: 1)?.hottest.value == nil)
    #expect(map.summary(of: 1)?.hottest.reason?.contains("MiB wide") == true)
  }

  @Test func `what fits no memory is refused and counted`() {
    var map = HeatMap()
    for run in [
      Self.run(.max, length: 1), Self.run(.max - 10, length: 64), Self.run(0, length: 0),
      Self.run(100, length: 1, count: 3, stride: -64), Self.run(0, count: 0),
      Self.run(0, at: 1 << 63),
    ] {
      map.add(run, to: 1) { Self.info(1) }
    }
    var run = Self.run(0)
    run.weightPerByte = .nan
    map.add(run, to: 1) { Self.info(1) }
    #expect(map.refusedCount == 7 && map.totals.weight == 0 && map.hottestFirst.isEmpty)
  }

  @Test func `the tool's limits are below 4 MiB`() {
    #expect(HeatMap.Limits().byteCountMax <= 4 << 20)
  }
}
