// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import Testing

@Suite("Universal time")
struct UniversalTimeTests {
  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00Z"), (951_782_399, "2000-02-28T23:59:59Z"),
      (951_782_400, "2000-02-29T00:00:00Z"), (1_709_164_800, "2024-02-29T00:00:00Z"),
      (1_795_293_124, "2026-11-21T20:32:04Z"), (4_107_542_400, "2100-03-01T00:00:00Z"),
      (253_402_300_799, "9999-12-31T23:59:59Z"),
    ] as [(Int64, String)])
  func `known moments are written and read`(seconds: Int64, text: String) {
    let time = UniversalTime(secondsSinceEpoch: seconds)
    #expect(time.description == text)
    #expect(UniversalTime(text) == time)
    #expect(time.day == String(text.prefix(10)))
  }

  @Test func `every day of eight centuries comes back, each the next of the one before`() {
    var previous = ""
    for day in stride(from: Int64(0), to: 8 * 146_097, by: 1) {
      let time = UniversalTime(secondsSinceEpoch: day * 86_400 + day % 86_400)
      let text = time.description
      guard UniversalTime(text) == time, text > previous else {
        Issue.record("day \(day): \(text) after \(previous)")
        return
      }
      previous = text
    }
  }

  @Test(arguments: [
    "", "2026-11-21", "2026-11-21 20:32:04Z", "2026-11-21T20:32:04", "2026-11-31T00:00:00Z",
    "2025-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-10T00:00:00Z",
    "2026-11-21T24:00:00Z", "2026-11-21T20:60:04Z", "2026-11-21T20:32:61Z", "1969-12-31T23:59:59Z",
    "2026-1a-21T20:32:04Z", "+026-11-21T20:32:04Z",
  ])
  func `what is no such time is refused`(text: String) {
    #expect(UniversalTime(text) == nil)
  }

  @Test func `moments outside are moved to the nearest end`() {
    #expect(UniversalTime(secondsSinceEpoch: -5).secondsSinceEpoch == 0)
    #expect(UniversalTime(secondsSinceEpoch: .max).description == "9999-12-31T23:59:59Z")
  }
}
