// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

@Suite("Pages on the model", .serialized)
struct ResultPageTests {
  private let folder = "\(Tool.root)/Documentation/results"

  @Test(arguments: ["fidelity", "sensitivity"])
  func `every picture of a page is there, well-formed, and used`(name: String) throws {
    let page = try text(of: "\(folder)/\(name).md")
    let linked = page.components(separatedBy: "src=\"").dropFirst().compactMap {
      $0.split(separator: "\"").first.map(String.init)
    }
    #expect(linked.count >= 4 && Set(linked).count == linked.count)
    let pictures = try names(in: "\(folder)/\(name)")
    #expect(Set(linked) == Set(pictures.map { "\(name)/\($0)" }))
    #expect(try complaints(ofXML: pictures, in: "\(folder)/\(name)") == "")
    #expect(page.components(separatedBy: "<td ").count == linked.count + 1)
  }

  @Test func `the page on fidelity says what the model says`() throws {
    let page = try text(of: "\(folder)/fidelity.md")
    let now = try ResultsJSON(arbiter("fidelity --format=json -q").output)
    let targets = now.top["targets"] as? [[String: Any]] ?? []
    #expect(!targets.isEmpty)
    for target in targets {
      let number = try #require(target["number"] as? Int)
      let points = try #require(target["points_count"] as? Int)
      let reproduced = try #require(target["reproduced_count"] as? Int)
      let row = page.split(separator: "\n").first { $0.hasPrefix("| \(number) | ") }
      #expect(
        row?.contains(" | \(points) | \(reproduced) | ") == true,
        "target \(number) has changed; run Documentation/results/regenerate")
    }
  }

  @Test func `regenerate is the one way to write them`() throws {
    let script = try text(of: "\(folder)/regenerate")
    #expect(script.contains("write-results"))
    for name in ["fidelity", "sensitivity"] {
      #expect(
        try text(of: "\(folder)/\(name).md").contains(
          "Written by `Documentation/results/regenerate`"))
    }
  }
}
