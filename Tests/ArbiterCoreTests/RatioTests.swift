// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import Testing

@Suite("Ratio and plain number")
struct RatioTests {
  @Test(arguments: [
    ("0", 0.0), ("0.25", 0.25), ("25%", 0.25), ("1/4", 0.25), ("4", 4.0), ("150%", 1.5),
    ("0%", 0.0), ("3/2", 1.5), ("0/7", 0.0), ("1_0%", 0.1), (".5", 0.5), ("0.5/2", 0.25),
  ])
  func `a ratio is read in each of its three forms`(text: String, ratio: Double) throws {
    #expect(try Quantity.ratio(parsing: text) == ratio)
  }

  @Test(arguments: [
    "", "%", "/", "1/", "/4", "1/0", "1/2/3", "-1", "-5%", "+1", "1e2", "inf", "nan", "0x1", "1 ",
    "25%%", "25 %", "1/4%", "a/b", "0,25",
  ])
  func `a text that is no ratio is refused with the three forms`(text: String) {
    let error = #expect(throws: QuantityError.self) { try Quantity.ratio(parsing: text) }
    #expect(error == QuantityError(text: text, reason: "is not a ratio: write 0.25, 25% or 1/4"))
  }

  @Test func `a number beyond the range of floating point is refused`() {
    let huge = String(repeating: "9", count: 400)
    #expect(Quantity.plainNumber(Substring(huge)) == nil)
    let tiny = "0." + String(repeating: "0", count: 310) + "1"
    for text in [huge, "\(huge)%", "\(huge)/\(huge)", "1000/\(tiny)"] {
      #expect(throws: QuantityError.self) { try Quantity.ratio(parsing: text) }
    }
  }

  @Test(arguments: [("12", 12.0), ("1_2", 12.0), ("12.5", 12.5), (".5", 0.5), ("007", 7.0)])
  func `a plain number is digits, underscores and one point`(text: String, number: Double) {
    #expect(Quantity.plainNumber(Substring(text)) == number)
  }

  @Test(arguments: ["", ".", "_1", "-1", "+1", "1e5", "1.2.3", "inf", "nan", "0x1F", "1 ", "½"])
  func `anything else is no plain number`(text: String) {
    #expect(Quantity.plainNumber(Substring(text)) == nil)
  }
}
