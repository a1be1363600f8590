// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

@Suite("Result documents")
struct DocumentTests {
  private let line = "simulate --threads=1,4 --duration=2ms --quiet --format=json"

  @Test func `a document has its keys in order, with the right types`() throws {
    let document = try ResultsJSON(arbiter(line).output)
    #expect(document.topKeys == ["schema", "tool", "command", "seed", "host", "results"])
    #expect(document.resultKeys == ResultsJSON.keys)
    #expect(document.top["schema"] as? String == "arbiter-results/1")
    #expect((document.top["tool"] as? [String: String])?["name"] == "arbiter")
    #expect(number(document.top["seed"]) == 1)
    #expect((document.top["command"] as? [String])?.prefix(2) == ["arbiter", "simulate"])
    #expect(document.results.count == 4)
    #expect(document.hostResults.count == 4)
    #expect(document.host["is_complete"] as? Bool == true)
    for host in document.hostResults {
      #expect(isNumber(host["wall_seconds"]) && isNumber(host["requests_per_wall_second"]))
    }
    for result in document.results {
      #expect(Set(result.keys) == Set(ResultsJSON.keys))
      for key in ResultsJSON.words { #expect(result[key] is String, "\(key)") }
      let latency = try #require(result["latency_ns"] as? [String: Any])
      #expect(Set(latency.keys) == ["p50", "p99", "p999", "max"])
      #expect(latency.values.allSatisfy(isNumber))
      // Nothing was repeated of a recording.
      let replay = try #require(result["replay"] as? [String: Any])
      #expect(replay.count == 6 && replay.values.allSatisfy { $0 is NSNull })
      let objects = ["parameters", "latency_ns", "replay"]
      for key in ResultsJSON.keys
      where !ResultsJSON.words.contains(key) && !objects.contains(key) {
        // Nothing was read, and what was not read has no amplification.
        let isNull = key == "read_amplification_ratio"
        #expect(isNull ? result[key] is NSNull : isNumber(result[key]), "\(key)")
      }
      #expect(result["counter_source"] as? String == "model")
    }
  }

  @Test func `parameters hold every option as this run resolved it`() throws {
    let document = try ResultsJSON(arbiter(line).output)
    let help = try arbiter("help simulate").output
    let options = help.split(separator: "\n").compactMap { line -> String? in
      guard line.hasPrefix("      --") || line.hasPrefix("  -"),
        let name = line.firstRange(of: "--")
      else { return nil }
      return String(line[name.upperBound...].prefix { $0.isLetter || $0 == "-" })
        .replacing("-", with: "_")
    }.filter { $0 != "help" }
    // What goes with `--tiers` means nothing to writers.
    let tiers: Set = [
      "fast", "footprint", "hot", "policies", "mechanism", "spare", "runs",
    ]
    #expect(tiers.isSubset(of: options))
    for (index, result) in document.results.enumerated() {
      let parameters = try #require(result["parameters"] as? [String: Any])
      #expect(Set(parameters.keys) == Set(options).subtracting(tiers))
      #expect(parameters["threads"] as? String == (index < 2 ? "1" : "4"))
      #expect(parameters["scheme"] as? String == result["scheme"] as? String)
      #expect(parameters["warm_up"] as? String == "12ms")
      #expect(parameters["delay"] is NSNull)
      #expect(parameters["dry_run"] as? Bool == false)
      #expect(parameters["quiet"] as? Bool == true)
    }
  }

  @Test func `the same seed gives the same bytes outside of host, another seed others`() throws {
    let random = "\(line) --pattern=random --seed="
    let first = try ResultsJSON(arbiter(random + "7").output)
    let again = try ResultsJSON(arbiter(random + "7").output)
    let other = try ResultsJSON(arbiter(random + "8").output)
    #expect(first.withoutHost == again.withoutHost)
    #expect(first.withoutHost.count > 1000 && !first.withoutHost.contains("wall_seconds"))
    let figures = first.results.map { "\($0["program_write_bytes"] ?? "")" }
    #expect(figures != other.results.map { "\($0["program_write_bytes"] ?? "")" })
  }

  @Test func `a seed beyond the signed numbers comes back exactly`() throws {
    let run = try arbiter(
      "simulate --threads=1 --duration=1ms -q --format=json --seed=18446744073709551615")
    #expect(run.output.contains("\"seed\": 18446744073709551615,"))
  }

  @Test func `a CSV file has a header, a row for each run and as many fields in each`() throws {
    let run = try arbiter("simulate --threads=1,4 --duration=1ms -q --format=csv")
    let rows = run.output.components(separatedBy: "\r\n")
    #expect(rows.count == 1 + 4 + 1 && rows.last == "")
    let header = rows[0].split(separator: ",", omittingEmptySubsequences: false)
    #expect(header.prefix(3) == ["scheme", "threads", "modules"])
    #expect(header.contains("latency_ns_p999") && header.contains("parameter_access"))
    for row in rows.dropFirst().dropLast() {
      #expect(row.split(separator: ",", omittingEmptySubsequences: false).count == header.count)
    }
  }

  @Test func `a profile of one's own is used and named`() throws {
    let source = try text(of: "\(Tool.root)/Sources/ArbiterProfiles/Profiles/optane-100-256g.json")
    let changed = source.replacing("\"optane-100-256g\"", with: "\"mine\"")
    let run = try shell(
      """
      f=$(mktemp --suffix=.json); cat > "$f" <<'END'
      \(changed)
      END
      "$arbiter" simulate --threads=1 --duration=1ms -q --format=json --profile="$f"; rm "$f"
      """)
    #expect(try ResultsJSON(run.output).results.first?["profile"] as? String == "mine")
  }
}
