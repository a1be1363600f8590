// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterMetrics
import ArbiterProfiler
import ArbiterTestSupport
import Testing

@Suite("Ledger")
struct LedgerTests {
  private static func mapping(_ number: Int) -> MappingIdentity {
    MappingIdentity(.file, name: "/file\(number)")
  }

  @Test(arguments: 1...8)
  func `whatever is charged, sums are kept and limits too`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let (rowMax, taskMax) = (random.below(40), random.below(6))
    var ledger = Ledger(rowCountMax: rowMax, taskCountMax: taskMax)
    var (written, read, unresolved) = (0.0, 0.0, 0.0)
    var count: UInt64 = 0
    for _ in 0..<2000 {
      let task = AccountTask(
        process: Int32(random.below(9) + 1), startTicks: UInt64(random.below(2)))
      let weight = Double(random.below(1000))
      if random.below(5) == 0 {
        ledger.chargeUnresolved(task, weight: weight)
        unresolved += weight
        continue
      }
      let (isStore, isLoad) = (random.below(2) == 0, random.below(2) == 0)
      ledger.charge(
        task, Self.mapping(random.below(30)), isStore: isStore, isLoad: isLoad, weight: weight)
      count += 1
      written += isStore ? weight : 0
      read += isLoad ? weight : 0
      let others = ledger.rows.keys.count { $0.mapping.kind == .others }
      #expect(ledger.rows.count - others <= rowMax && others <= taskMax + 1, "seed \(seed)")
    }
    let total = ledger.total
    #expect(total.sampleCount == count, "seed \(seed)")
    #expect(total.written.total == written && total.read.total == read, "seed \(seed)")
    #expect(ledger.unresolvedTotal.total == unresolved, "seed \(seed)")
    let folded = ledger.rows.filter { $0.key.mapping.kind == .others }
    #expect(folded.values.reduce(0) { $0 + $1.sampleCount } == ledger.foldedCount)
    #expect(Set(ledger.rows.keys.map(\.task)).count <= taskMax + 1, "seed \(seed)")
  }

  @Test func `a task of the same number that started later is another task`() {
    var ledger = Ledger()
    for start: UInt64 in [1, 2] {
      ledger.charge(
        AccountTask(process: 7, startTicks: start), Self.mapping(1), isStore: true, isLoad: false,
        weight: Double(start))
    }
    #expect(ledger.rows.count == 2)
  }

  @Test func `the error of many samples is that of the square root of their number`() throws {
    var sum = WeightSum()
    for _ in 0..<10_000 { sum.add(64) }
    let relative = try #require(sum.estimate(isExact: false).relativeError)
    #expect(relative > 0.01 && relative < 0.0102)
    #expect(sum.estimate(isExact: true) == .exact(640_000))
  }

  @Test func `few samples are not surer than they can be, and none are not sure of nothing`() {
    var sum = WeightSum()
    // Gehrels 1986, table 1: the upper limits of 0 and 1 events at 84.13 % are 1.841 and 3.300.
    #expect(abs(sum.estimate(isExact: false, typicalWeight: 10).standardError - 18.41) < 0.3)
    sum.add(10)
    #expect(abs(sum.estimate(isExact: false).standardError - 23.0) < 0.4)
  }

  @Test(arguments: 1...4)
  func `the true sum lies within two errors nearly always`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var hits = 0
    let trials = 400
    for _ in 0..<trials {
      var sum = WeightSum()
      // 5,000 stores of 8 or 64 bytes, each sampled with a probability of 1 in 50.
      var truth = 0.0
      for _ in 0..<5000 {
        let width = random.below(2) == 0 ? 8.0 : 64.0
        truth += width
        if random.below(50) == 0 { sum.add(width * 50) }
      }
      let estimate = sum.estimate(isExact: false)
      hits += abs(estimate.value - truth) <= 2 * estimate.standardError ? 1 : 0
    }
    #expect(Double(hits) / Double(trials) > 0.95, "seed \(seed): \(hits) of \(trials)")
  }
}
