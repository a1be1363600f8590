// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import Testing

@Suite("Time span")
struct TimeSpanTests {
  @Test(arguments: [
    ("0", 0),
    ("0ns", 0),
    ("1ps", 1),
    ("200ns", 200_000),
    ("5us", 5_000_000),
    ("2ms", 2_000_000_000),
    ("1s", 1_000_000_000_000),
    ("0.1ns", 100),
    ("1.5us", 1_500_000),
    ("1_000ns", 1_000_000),
    ("1000000s", 1_000_000_000_000_000_000),
    // Beyond 2^53 a floating-point number would silently lose the last digit.
    ("9007199254740993ps", 9_007_199_254_740_993),
    ("9007199254740.993ns", 9_007_199_254_740_993),
  ])
  func `a duration with a unit is read exactly`(text: String, picoseconds: Int64) throws {
    #expect(try TimeSpan(parsing: text).picoseconds == picoseconds)
  }

  @Test(arguments: [("0.4ps", 0), ("0.5ps", 1), ("1.4999ps", 1), ("0.0015ns", 2), ("2.6ps", 3)])
  func `a part of a picosecond is rounded to the nearest`(text: String, picoseconds: Int64) throws {
    #expect(try TimeSpan(parsing: text).picoseconds == picoseconds)
  }

  @Test(arguments: [
    "", "5", "ns", "-5ns", "5 ns", "5NS", "5sec", "5m", "5h", "1e3ns", "5µs", "infs", "00", ".s",
  ])
  func `a text that is no duration is refused with the units that would do`(text: String) {
    let error = #expect(throws: QuantityError.self) { try TimeSpan(parsing: text) }
    #expect(error?.text == text)
    #expect(error?.reason == "is not a duration: write digits and ns, us, ms or s, as 200ns")
  }

  @Test(arguments: ["1000000.000000000001s", "1000001s", "99999999999999999999s"])
  func `a duration of more than a million seconds is refused`(text: String) {
    let error = #expect(throws: QuantityError.self) { try TimeSpan(parsing: text) }
    #expect(error?.reason == "is longer than 1000000s")
  }

  @Test(arguments: [
    (0, "0"), (1, "1ps"), (999, "999ps"), (1000, "1ns"), (1500, "1500ps"), (2_000_000, "2us"),
    (3_000_000_000, "3ms"), (1_000_000_000_000, "1s"), (60_000_000_000_000, "60s"),
    (-1000, "-1ns"),
  ])
  func `a span prints with the largest unit that is exact`(picoseconds: Int64, text: String) {
    #expect(TimeSpan(picoseconds: picoseconds).description == text)
  }

  @Test func `what is printed is read back`() throws {
    var random = SeededRandom(seed: 29)
    for _ in 0..<1009 {
      let limit: UInt64 = 1_000_000_000_000_000_001
      let picoseconds = Int64((random.next() >> UInt64(random.below(63))) % limit)
      let span = TimeSpan(picoseconds: picoseconds)
      #expect(try TimeSpan(parsing: span.description) == span)
    }
  }

  @Test func `spans add, subtract and compare by length`() {
    let short = TimeSpan.nanoseconds(200)
    let long = TimeSpan.microseconds(1)
    #expect(short < long)
    #expect((long + short).picoseconds == 1_200_000)
    #expect((short - long).picoseconds == -800_000)
    #expect(TimeSpan.zero + long == long)
  }

  @Test func `each unit is a thousand of the one below`() {
    #expect(TimeSpan.nanoseconds(1).picoseconds == 1000)
    #expect(TimeSpan.microseconds(1) == .nanoseconds(1000))
    #expect(TimeSpan.milliseconds(1) == .microseconds(1000))
    #expect(TimeSpan.seconds(1) == .milliseconds(1000))
    #expect(TimeSpan.nanoseconds(0.0015).picoseconds == 2)
    #expect(TimeSpan.milliseconds(250).seconds == 0.25)
    #expect(TimeSpan.microseconds(3).nanoseconds == 3000)
  }
}
