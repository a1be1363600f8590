// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import Testing

@Suite("Seeded random numbers")
struct SeededRandomTests {
  /// The first numbers of a source.
  private func numbers(_ count: Int, seed: UInt64, stream: UInt64 = 0) -> [UInt64] {
    var random = SeededRandom(seed: seed, stream: stream)
    return (0..<count).map { _ in random.next() }
  }

  /// Pearson's statistic of how unevenly the counts are spread.
  private func chiSquared(_ counts: [Int]) -> Double {
    let expected = Double(counts.reduce(0, +)) / Double(counts.count)
    return counts.reduce(0) { sum, count in
      let difference = Double(count) - expected
      return sum + difference * difference / expected
    }
  }

  @Test(arguments: [0, 1, 42, UInt64.max])
  func `the same seed gives the same numbers`(seed: UInt64) {
    #expect(numbers(1009, seed: seed) == numbers(1009, seed: seed))
  }

  @Test func `the numbers are those of SplitMix64`() {
    // The reference sequence for state 0 begins with these two. The source starts from the first
    // of them, so what it returns is the reference sequence of that state.
    let first: UInt64 = 0xE220_A839_7B1D_CDAF
    var reference = first
    func step() -> UInt64 {
      reference &+= 0x9E37_79B9_7F4A_7C15
      var mixed = reference
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
    let expected = (0..<23).map { _ in step() }
    #expect(numbers(23, seed: 0) == expected)
  }

  @Test func `neighbouring seeds and streams share no numbers`() {
    var seen: Set<UInt64> = []
    for seed in 0..<UInt64(23) {
      for stream in 0..<UInt64(23) {
        seen.formUnion(numbers(4, seed: seed, stream: stream))
      }
    }
    #expect(seen.count == 23 * 23 * 4)
  }

  @Test func `half of all bits change between neighbouring seeds`() {
    let changed = (0..<UInt64(1009)).reduce(0) { sum, seed in
      sum + (numbers(1, seed: seed)[0] ^ numbers(1, seed: seed + 1)[0]).nonzeroBitCount
    }
    // 64,576 bits: the standard deviation of the share is 0.002.
    let share = Double(changed) / Double(1009 * 64)
    #expect(abs(share - 0.5) < 0.01)
  }

  @Test(arguments: [1, 2, 3, 7, 64, 100, 1009])
  func `numbers below a bound are uniform over all of them`(bound: Int) {
    var random = SeededRandom(seed: 17)
    var counts = [Int](repeating: 0, count: bound)
    for _ in 0..<(200 * bound) { counts[random.below(bound)] += 1 }
    // Five standard deviations of chi-squared with bound - 1 degrees of freedom.
    let freedom = Double(bound - 1)
    #expect(chiSquared(counts) <= freedom + 5 * (2 * freedom).squareRoot())
  }

  @Test(arguments: [(1 << 32) - 1, 1 << 31, (1 << 31) + 1])
  func `numbers below a large bound reach both ends`(bound: Int) {
    var random = SeededRandom(seed: 19)
    let drawn = (0..<10_007).map { _ in random.below(bound) }
    #expect(drawn.allSatisfy { (0..<bound).contains($0) })
    #expect((drawn.min() ?? bound) < bound / 100)
    #expect((drawn.max() ?? 0) > bound / 100 * 99)
  }

  @Test(arguments: [0, 1, 5, 100])
  func `symmetric numbers are uniform from one end to the other`(range: Int64) {
    var random = SeededRandom(seed: 31)
    let width = Int(range) * 2 + 1
    var counts = [Int](repeating: 0, count: width)
    for _ in 0..<(200 * width) { counts[Int(random.symmetric(range) + range)] += 1 }
    let freedom = Double(width - 1)
    #expect(chiSquared(counts) <= freedom + 5 * (2 * freedom).squareRoot())
  }

  @Test func `every bit of a number is set half of the time`() {
    var counts = [Int](repeating: 0, count: 64)
    for number in numbers(10_007, seed: 37) {
      for bit in 0..<64 where number & (1 << UInt64(bit)) != 0 { counts[bit] += 1 }
    }
    // The standard deviation of a count is 50.
    for count in counts { #expect(abs(count - 5003) < 250) }
  }
}
