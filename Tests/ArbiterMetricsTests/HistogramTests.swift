// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterMetrics
import Testing

/// Ways to draw values that stress different parts of the range.
enum Spread: CaseIterable {
  case small
  case wide
  case clustered
  case powers

  func draw(_ random: inout SeededRandom) -> UInt64 {
    switch self {
    case .small: UInt64(random.below(50))
    case .wide: (random.next() >> 16) >> UInt64(random.below(48))
    case .clustered: 1000 + UInt64(random.below(9))
    case .powers:
      (1 << UInt64(random.below(47))) + UInt64(random.below(3)) - (random.below(2) == 0 ? 0 : 1)
    }
  }
}

@Suite("Histogram")
struct HistogramTests {
  @Test(arguments: Spread.allCases, [1, 2, 23, 1009])
  func `a quantile lies at most 1/32 above the exact one`(spread: Spread, count: Int) {
    var random = SeededRandom(seed: UInt64(count))
    var histogram = Histogram()
    var values: [UInt64] = []
    for _ in 0..<count {
      let value = spread.draw(&random)
      values.append(value)
      histogram.record(value)
    }
    values.sort()
    #expect(histogram.count == UInt64(count))
    #expect(histogram.maximum == values[count - 1])
    #expect(histogram.sum == values.reduce(0, &+))
    for share in [0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1] {
      let rank = max(1, Int((share * Double(count)).rounded(.up)))
      let exact = values[rank - 1]
      let shown = histogram.quantile(share) ?? 0
      #expect(shown >= exact)
      #expect(Double(shown) <= Double(exact) * (1 + 1 / 32))
    }
  }

  @Test func `small values are exact`() {
    for value in UInt64(0)..<64 {
      var histogram = Histogram()
      histogram.record(value)
      histogram.record(1 << 40)
      #expect(histogram.quantile(0.5) == value)
    }
  }

  @Test func `values beyond the range are counted and the largest stays exact`() {
    var histogram = Histogram()
    for value: UInt64 in [1 << 47, 1 << 49, 1 << 63, .max] { histogram.record(value) }
    #expect(histogram.count == 4)
    #expect(histogram.maximum == .max)
    #expect(histogram.quantile(0.25).map { $0 >= 1 << 47 && $0 < 1 << 48 } == true)
  }

  @Test func `an empty histogram has no quantile and no mean`() {
    var histogram = Histogram()
    #expect(histogram.quantile(0.5) == nil)
    #expect(histogram.mean == nil)
    histogram.record(7)
    #expect(histogram.mean == 7)
    histogram.reset()
    #expect(histogram.quantile(1) == nil)
    #expect(histogram.maximum == 0)
  }

  @Test func `merging is recording both`() {
    var random = SeededRandom(seed: 5)
    var left = Histogram()
    var right = Histogram()
    var both = Histogram()
    for step in 0..<1009 {
      let value = Spread.wide.draw(&random)
      both.record(value)
      if step % 3 == 0 { left.record(value) } else { right.record(value) }
    }
    left.merge(right)
    #expect(left.count == both.count)
    #expect(left.sum == both.sum)
    #expect(left.maximum == both.maximum)
    for share in [0.01, 0.5, 0.99] { #expect(left.quantile(share) == both.quantile(share)) }
  }
}
