// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterProfiles
import ArbiterReport
import Testing

@Suite("Calibration documents")
struct CalibrationDocumentTests {
  private static func book() throws -> CalibrationBook {
    let machine = MachineIdentity(identifier: nil, processor: "A \"B\" C", processorCount: 2)
    let set = RegionIdentity(
      kind: .interleaveSet, name: "region0+region1", identifier: "ba96c9b0d4a3", moduleCount: 6)
    let points = [(4, 2.5e9), (1, 1.0 / 3), (2, 2.4e9)].map {
      ThreadCalibration.Point(threads: $0.0, bytesPerSecond: $0.1)
    }
    var book = CalibrationBook()
    for (region, store) in [
      (set, ThreadCalibration.Store.nt), (set, .clwb), (.profile("optane-100-256g"), .nt),
    ] {
      book.add(
        try #require(
          ThreadCalibration(
            region: region, store: store, accessBytes: 256, curve: points,
            date: UniversalTime(secondsSinceEpoch: 1_795_293_124), toolVersion: "0.1.0",
            machine: machine)))
    }
    return book
  }

  private static func text() throws -> String {
    try book().json(schema: CalibrationDocument.schema).document()
  }

  private func read(_ text: String) throws(CalibrationError) -> CalibrationBook {
    try CalibrationDocument.read(Array(text.utf8), path: "/p/calibration.json")
  }

  @Test func `what is written reads back the same`() throws {
    let book = try Self.book()
    #expect(try read(try Self.text()) == book)
    #expect(
      try read(CalibrationBook().json(schema: CalibrationDocument.schema).document())
        == CalibrationBook())
  }

  @Test(arguments: [
    ("\"arbiter-calibration/1\"", "\"arbiter-calibration/2\"", 2, "the schema is 'arbiter-cal"),
    ("\"arbiter-calibration/1\"", "7", 2, "'schema' must be a text"),
    ("\"schema\"", "\"scheme\"", 1, "the key 'schema' is missing"),
    ("\"store\": \"nt\"", "\"store\": \"movnti\"", 11, "'store' is 'movnti' and none of nt, clwb"),
    ("\"store\": \"nt\"", "\"shop\": \"nt\"", 11, "the key 'shop' is none of region, store"),
    ("\"access_bytes\": 256", "\"access_bytes\": 0", 12, "'access_bytes' must be a whole number"),
    (
      "\"thread_count\": 2", "\"thread_count\": 3", 13, "'thread_count' is 3, and the curve gives 2"
    ),
    ("\"thread_count\": 2", "\"thread_count\": 2.5", 13, "'thread_count' must be a whole number"),
    ("\"threads\": 4", "\"threads\": 0", 0, "'threads' must be a whole number from 1 to 4096"),
    ("2500000000", "-1", 0, "'bytes_per_second' must be above 0"),
    ("2026-11-21T", "2026-11-31T", 0, "'measured_at' is '2026-11-31T20:32:04Z' and no time"),
    ("\"module_count\": 6", "\"module_count\": \"6\"", 0, "'module_count' must be a number"),
    ("\"interleave-set\"", "\"disk\"", 0, "'kind' is 'disk' and none of interleave-set, device"),
    ("\"store\": \"clwb\"", "\"store\": \"nt\"", 0, "'region0+region1' with 'nt' is there twice"),
    ("{\n", "[{\n", 0, ""), ("\n}\n", "\n", 0, ""),
  ])
  func `a broken file is refused with its line`(
    good: String, bad: String, line: Int, reason: String
  ) throws {
    var text = try Self.text()
    let place = try #require(text.firstRange(of: good))
    text.replaceSubrange(place, with: bad)
    let broken = text
    let error = #expect(throws: CalibrationError.self) { try read(broken) }
    let found = try #require(error)
    #expect(found.path == "/p/calibration.json")
    #expect(found.reason.hasPrefix(reason), "\(found)")
    if line > 0 { #expect(found.line == line, "\(found)") }
    #expect(
      found.description.hasPrefix("calibration file '/p/calibration.json', line \(found.line): "))
    #expect(found.nextStep.contains("arbiter measure"))
  }

  @Test func `no key may be left out`() throws {
    let whole = try Self.text()
    for line in whole.split(separator: "\n") where line.contains("\": ") && !line.contains("{") {
      guard !line.hasSuffix("[") else { continue }
      // The last member has no comma behind it: one is taken from the line before.
      let text = whole.replacing(",\n\(line)\n", with: "\n", maxReplacements: 1)
        .replacing("\(line)\n", with: "", maxReplacements: line.hasSuffix(",") ? 1 : 0)
      guard text != whole else { continue }
      #expect(throws: CalibrationError.self, "without \(line)") { try read(text) }
    }
  }

  @Test(
    arguments: [
      (["ARBITER_STATE_DIR": "/a", "XDG_STATE_HOME": "/x", "HOME": "/h"], "/a/calibration.json"),
      (
        ["ARBITER_STATE_DIR": "", "XDG_STATE_HOME": "/x", "HOME": "/h"],
        "/x/arbiter/calibration.json"
      ),
      (["XDG_STATE_HOME": "x", "HOME": "/h"], "/h/.local/state/arbiter/calibration.json"),
      (["HOME": "/h"], "/h/.local/state/arbiter/calibration.json"), (["HOME": ""], nil), ([:], nil),
    ] as [([String: String], String?)])
  func `the place follows the environment`(variables: [String: String], path: String?) {
    #expect(CalibrationDocument.path { variables[$0] } == path)
  }
}
