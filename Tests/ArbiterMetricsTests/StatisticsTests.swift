// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterMetrics
import Testing

@Suite("Statistics")
struct StatisticsTests {
  @Test func `the median is the middle or the mean of the two in the middle`() {
    #expect(Statistics.median([]) == nil)
    #expect(Statistics.median([3]) == 3)
    #expect(Statistics.median([9, 1, 5]) == 5)
    #expect(Statistics.median([9, 1, 5, 7]) == 6)
  }

  @Test func `quantiles interpolate between neighbours`() {
    #expect(Statistics.quantile([0, 10], 0.25) == 2.5)
    #expect(Statistics.quantile([4, 2, 0, 8, 6], 0) == 0)
    #expect(Statistics.quantile([4, 2, 0, 8, 6], 1) == 8)
  }

  @Test func `fairness is 1 for equal shares and 1/n where one has all`() {
    #expect(Statistics.fairness([]) == nil)
    #expect(Statistics.fairness([0, 0]) == nil)
    #expect(Statistics.fairness([5, 5, 5]) == 1)
    #expect(Statistics.fairness([0, 7, 0, 0]) == 0.25)
  }

  @Test func `the interval of the median covers it at least 95 times in 100`() {
    var random = SeededRandom(seed: 3)
    var covered = 0
    let trials = 2003
    for _ in 0..<trials {
      let samples = (0..<23).map { _ in Double(random.below(1_000_001)) }
      if Statistics.medianInterval(samples)?.contains(500_000) == true { covered += 1 }
    }
    #expect(Double(covered) / Double(trials) > 0.94)
    #expect(Statistics.medianInterval([1, 2, 3, 4, 5]) == nil)
  }

  @Test func `a moving average starts at its first sample and forgets by its weight`() {
    var average = MovingAverage(weight: 0.25)
    #expect(average.value == nil)
    #expect(average.add(8) == 8)
    #expect(average.add(4) == 7)
    #expect(average.add(7) == 7)
  }
}
