// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCommands
import ArbiterTestSupport
import CommandSpec
import Foundation
import Testing

@Suite("Variation")
struct VariationTests {
  @Test(arguments: [
    ("store_window_lines=8..12", [8.0, 9, 10, 11, 12]),
    ("store_window_lines=8..12/3", [8, 10, 12]),
    // More steps than whole numbers: each number once.
    ("store_window_lines=8..10/9", [8, 9, 10]),
    ("store_window_lines=1..16", [1, 5, 9, 12, 16]),
    ("store_window_lines=12,8,10", [12, 8, 10]),
    ("link_ns=5..7", [5, 5.5, 6, 6.5, 7]),
    ("link_ns=3.4..14/2", [3.4, 14]),
    ("link_ns=1..2/4", [1, 1.33333, 1.66667, 2]),
    ("core_jitter_ratio=0..0.3/4", [0, 0.1, 0.2, 0.3]),
    ("idle_media_writes_per_second=0..1e6/3", [0, 500_000, 1_000_000]),
    ("media_write_ns=449", [449]),
  ])
  func `a range is spelled out`(argument: String, values: [Double]) throws {
    let variation = try Variation(argument: argument)
    #expect(variation.values == values)
    #expect(argument.hasPrefix(variation.key + "="))
    #expect(try Variation(argument: variation.argumentText) == variation)
  }

  @Test(arguments: [
    "", "=", "=1..2", "wpq_lines", "wpq_lines=", "wpq_lines=..", "wpq_lines=1..", "wpq_lines=..2",
    "wpq_lines=1...2", "wpq_lines=2..2", "wpq_lines=1..2/", "wpq_lines=1..2/65", "wpq_lines=1,,2",
    "wpq_lines=1,1", "wpq_lines=1..8/x", "wpq_lines=nan", "link_ns=inf..9", "link_ns=1..2..3",
    "wpq_lines=1..2=3", "wpq_lines=\((1...65).map(String.init).joined(separator: ","))",
  ])
  func `what is no range is refused in one sentence`(argument: String) {
    #expect {
      try Variation(argument: argument)
    } throws: { error in
      guard let error = error as? UsageError else { return false }
      return !error.message.isEmpty && !error.message.contains("\n")
    }
  }

  @Test func `every value is a run with every thread count and scheme`() throws {
    let folder = TemporaryFolder()
    let line = "simulate --vary=buffer_blocks=16,64 --threads=1,8 --duration=500us --warm-up=500us"
    let json = try ResultsJSON(
      arbiter("\(line) --format=json --report=r -q", in: folder.path).output)
    let shown = json.results.map { result -> String in
      let parameters = result["parameters"] as? [String: Any] ?? [:]
      let value = parameters["varied_value"] as? Int ?? 0
      #expect(parameters["varied_parameter"] as? String == "buffer_blocks")
      #expect(parameters["vary"] as? String == "buffer_blocks=\(value)")
      return "\(value) \(result["threads"] ?? 0) \(result["scheme"] ?? "")"
    }
    #expect(
      shown == [
        "16 1 baseline", "16 1 arbiter", "16 8 baseline", "16 8 arbiter", "64 1 baseline",
        "64 1 arbiter", "64 8 baseline", "64 8 arbiter",
      ])
    let amplifications = json.results.compactMap { $0["write_amplification_ratio"] as? Double }
    try #require(amplifications.count == 8)
    #expect(amplifications[2] > amplifications[6] + 0.1, "a smaller buffer amplifies more")
    let page = try text(of: "\(folder.path)/r/index.html")
    #expect(page.components(separatedBy: "<figcaption>").count == 2 + 1)
    let table = try arbiter("\(line) -q", in: folder.path).output.split(separator: "\n")
    #expect(table.allSatisfy { $0.count <= 80 })
    #expect(
      table.suffix(8).map { $0.split(separator: " ").prefix(3).joined(separator: " ") } == shown)
  }

  @Test func `a dry run names each value`() throws {
    let run = try arbiter("simulate --vary=link_ns=5..7/2 --threads=1 --scheme=lock --dry-run -q")
    let lines = run.output.split(separator: "\n")
    #expect(lines.count == 2)
    #expect(lines.first?.contains(" --vary=link_ns=5 ") == true)
    #expect(lines.last?.contains(" --vary=link_ns=7 ") == true)
  }
}
