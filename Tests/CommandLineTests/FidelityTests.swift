// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

@Suite("Fidelity", .serialized)
struct FidelityTests {
  private let quick = "fidelity --target=1,9 --seeds=1"

  @Test func `the table fits 80 columns and names what is missed`() throws {
    let run = try arbiter("\(quick)")
    #expect(run.code == 0)
    let lines = run.output.split(separator: "\n")
    #expect(lines.allSatisfy { $0.count <= 80 })
    #expect(
      lines[0].split(separator: " ") == [
        "#", "measurement", "points", "within", "worst", "at", "misses",
      ])
    #expect(run.output.contains("published figures are reproduced"))
    #expect(run.output.contains("\n1 peak write bandwidth, one thread "))
    #expect(run.error.hasSuffix("seed 1; repeat with: arbiter \(quick)\n"))
  }

  @Test func `JSON and CSV have every point, and two runs agree`() throws {
    let first = try ResultsJSON(arbiter("\(quick) --format=json -q").output)
    #expect(
      first.topKeys == [
        "schema", "tool", "command", "seed", "host", "points_count", "reproduced_count", "targets",
        "vans",
      ])
    #expect(first.top["schema"] as? String == "arbiter-fidelity/1")
    let targets = first.top["targets"] as? [[String: Any]] ?? []
    #expect(targets.map { $0["number"] as? Int } == [1, 9])
    let points = targets.flatMap { $0["points"] as? [[String: Any]] ?? [] }
    #expect(points.count == 1 + 12)
    for point in points {
      let model = try #require(point["model"] as? Double)
      let low = try #require(point["measured_low"] as? Double)
      #expect(model > low / 4 && model < low * 4)
    }
    #expect((first.top["vans"] as? [Any])?.isEmpty == true)
    let again = try ResultsJSON(arbiter("\(quick) --format=json -q").output)
    #expect(first.withoutHost == again.withoutHost)
    let csv = try arbiter("\(quick) --format=csv -q").output
    #expect(csv.components(separatedBy: "\r\n").count == 1 + points.count + 1)
  }

  @Test func `a page has a picture for every quantity, and nothing dangles`() throws {
    let folder = TemporaryFolder()
    let run = try arbiter("\(quick) --report=r -q", in: folder.path)
    #expect(
      run.code == 0 && run.output.hasSuffix("\nReport: r/index.html\n") || !Machine.hasGnuplot)
    let found = try names(in: "\(folder.path)/r")
    let plots = ["target-1-bandwidth", "target-9-bandwidth"]
    var expected = [".arbiter-report", "fidelity.csv", "fidelity.json", "index.html"]
    for plot in plots {
      expected += ["\(plot).csv", "\(plot).gnuplot"] + (Machine.hasGnuplot ? ["\(plot).svg"] : [])
    }
    #expect(found == expected.sorted())
    let page = try text(of: "\(folder.path)/r/index.html")
    #expect(page.components(separatedBy: "<figcaption>").count == plots.count + 1)
    #expect(page.contains("Source: PB results/dimms/1dimms.json."))
    for heading in ["Targets", "Known misses", "Measured and modelled", "Every figure"] {
      #expect(page.contains("<h2>\(heading)</h2>"))
    }
    let xml = found.filter { $0.hasSuffix(".svg") || $0.hasSuffix(".html") }
    #expect(try complaints(ofXML: xml, in: "\(folder.path)/r") == "")
  }

  @Test func `your own profile is judged by the targets of what it extends`() throws {
    let folder = TemporaryFolder()
    folder.write(
      """
      {"schema": "arbiter-profile/1", "name": "mine", "summary": "Mine.",
       "extends": "optane-100-256g-perma",
       "parameters": {"media_write_ns": {"value": 900, "source": "a slow one of mine"}}}
      """, to: "mine.json")
    let own = try ResultsJSON(
      arbiter("fidelity --profile=./mine.json --seeds=1 --format=json -q", in: folder.path).output)
    let targets = own.top["targets"] as? [[String: Any]] ?? []
    #expect(!targets.isEmpty && targets.allSatisfy { $0["profile"] as? String == "mine" })
    #expect(targets.contains { $0["number"] as? Int == 9 })
    #expect(!targets.contains { $0["number"] as? Int == 2 })
    // A medium of half the speed misses what the other reached.
    let reproduced = try #require(own.top["reproduced_count"] as? Int)
    let count = try #require(own.top["points_count"] as? Int)
    #expect(reproduced < count)
    #expect((own.top["vans"] as? [[String: Any]] ?? []).count == 20)
  }
}

@Suite("Sensitivity", .serialized)
struct SensitivityTests {
  @Test func `a parameter that matters moves the headline`() throws {
    let folder = TemporaryFolder()
    let line = "sensitivity --parameter=buffer_blocks --draws=0"
    let run = try arbiter("\(line) --report=r", in: folder.path)
    #expect(run.code == 0)
    #expect(run.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
    #expect(run.output.contains("conclusions read the same"))
    let json = try ResultsJSON(text(of: "\(folder.path)/r/sensitivity.json"))
    #expect(json.top["schema"] as? String == "arbiter-sensitivity/1")
    // Both ends and the middle, without the profile's own value.
    #expect(json.top["variants_count"] as? Int == 2)
    let conclusions = json.top["conclusions"] as? [[String: Any]] ?? []
    let gain = try #require(
      conclusions.first { $0["name"] as? String == "arbiter ÷ baseline, 26 threads, 64 B" })
    let value = try #require(gain["value"] as? Double)
    let highest = try #require(gain["highest"] as? Double)
    #expect(value > 1.5 && highest > value + 0.05)
    #expect(gain["word"] as? String == "wins" && gain["is_surviving"] as? Bool == true)
    let page = try text(of: "\(folder.path)/r/index.html")
    for heading in ["Conclusions", "Flips", "What moves the gain"] {
      #expect(page.contains("<h2>\(heading)</h2>"))
    }
  }

  @Test func `a profile that conclusions hang on is seen to flip them`() throws {
    let folder = TemporaryFolder()
    // A window of one store has nothing to release out of order: no amplification, no gain.
    folder.write(
      """
      {"schema": "arbiter-profile/1", "name": "mine", "summary": "Mine.",
       "extends": "optane-100-256g",
       "plausible": {"store_window_lines": {"range": [1, 10], "source": "a planted one"}}}
      """, to: "mine.json")
    let run = try arbiter(
      "sensitivity --profile=./mine.json --parameter=store_window_lines --draws=0 --format=json -q",
      in: folder.path)
    let json = try ResultsJSON(run.output)
    let conclusions = json.top["conclusions"] as? [[String: Any]] ?? []
    let gain = try #require(
      conclusions.first { $0["name"] as? String == "arbiter ÷ baseline, 26 threads, 64 B" })
    #expect(gain["is_surviving"] as? Bool == false)
    let flips = gain["flips"] as? [[String: Any]] ?? []
    #expect(flips.contains { $0["parameter_value"] as? Int == 1 })
    #expect(flips.allSatisfy { $0["parameter"] as? String == "store_window_lines" })
  }
}
