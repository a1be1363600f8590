// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCommands
import ArbiterTestSupport
import Foundation
import Testing

@Suite("Verbs")
struct VerbTests {
  @Test func `the tool alone prints its verbs and two examples`() throws {
    let run = try arbiter("")
    #expect(run.code == 0 && run.error.isEmpty)
    for verb in [
      "compare", "simulate", "fidelity", "sensitivity", "top", "record", "trace", "run", "tier",
      "bench", "doctor", "explain", "completions", "version",
    ] {
      #expect(run.output.contains("\n  \(verb) "))
    }
    let examples = run.output.split(separator: "\n").filter { $0.hasPrefix("    arbiter ") }
    #expect(examples.count == 2)
    #expect(try arbiter("--help").output == run.output)
    #expect(try arbiter("help").output == run.output)
  }

  @Test func `every example in help parses`() {
    #expect(ArbiterCommands.Tool.brokenExamples() == [])
  }

  @Test(arguments: [
    "compare", "simulate", "fidelity", "sensitivity", "top", "record", "trace", "run", "tier",
    "bench", "doctor", "explain", "completions", "version",
  ])
  func `help on a verb fits the width of the terminal and names its page`(verb: String) throws {
    for width in [60, 80, 120] {
      let run = try shell("COLUMNS=\(width) exec \"$arbiter\" help \(verb)")
      #expect(run.code == 0 && run.error.isEmpty)
      #expect(run.output.contains("Usage: arbiter \(verb)"))
      #expect(run.output.hasSuffix("Manual page: arbiter-\(verb)(1)\n"))
      for line in run.output.split(separator: "\n") where !line.hasPrefix("    arbiter ") {
        #expect(line.count <= width || !line.contains(" ") || line.hasPrefix("   "))
      }
    }
    #expect(try arbiter("\(verb) --help").output == arbiter("help \(verb)").output)
  }

  @Test func `version says the version of the tool and of its documents`() throws {
    let run = try arbiter("version")
    #expect(run.output == "arbiter \(Version.text) (results arbiter-results/1)\n")
    #expect(try arbiter("--version").output == run.output)
  }

  @Test func `simulate without options compares two schemes in under two seconds of work`() throws {
    let run = try arbiter("simulate")
    #expect(run.code == 0)
    let lines = run.output.split(separator: "\n")
    #expect(lines.count == 2 + 12)
    #expect(lines.allSatisfy { $0.count <= 80 })
    #expect(lines[0].split(separator: " ").prefix(3) == ["threads", "scheme", "GB/s"])
    #expect(lines.last?.split(separator: " ").prefix(2) == ["26", "arbiter"])
    #expect(run.cpuSeconds < 2 * 2, "took \(run.cpuSeconds) s of CPU time")
    #expect(
      run.error.hasSuffix(
        "arbiter \(Version.text), seed 1, profile optane-100-256g; repeat with: arbiter simulate\n")
    )
  }

  @Test func `a dry run prints command lines that repeat the runs, and runs nothing`() throws {
    let line = "simulate --threads=1,2 --scheme=baseline,lock --duration=1ms"
    let dry = try arbiter("\(line) --dry-run --quiet")
    #expect(dry.code == 0 && dry.error.isEmpty)
    let commands = dry.output.split(separator: "\n")
    #expect(commands.count == 4)
    let whole = try ResultsJSON(arbiter("\(line) --format=json --quiet").output)
    for (index, command) in commands.enumerated() {
      #expect(command.hasPrefix("arbiter simulate --profile=optane-100-256g --modules=1 "))
      let words = command.dropFirst("arbiter ".count)
      let single = try ResultsJSON(arbiter("\(words) --format=json --quiet").output)
      try #require(single.results.count == 1)
      for key in ResultsJSON.keys.dropFirst() {
        #expect(single.results[0][key] as? NSObject == whole.results[index][key] as? NSObject)
      }
    }
  }

  @Test func `explain knows every field of a result and every profile`() throws {
    let list = try arbiter("explain").output
    let names = list.split(separator: "\n").filter { $0.hasPrefix("  ") }
      .map { line in line.dropFirst(2).prefix { $0 != " " } }
    #expect(names.count > 25)
    for name in names {
      let run = try arbiter("explain \(name)")
      #expect(run.code == 0 && run.output.count > name.count + 10)
    }
    #expect(list.contains("  cxl-cached-4k (calibrated in trend only)\n"))
    #expect(try arbiter("explain cxl-cached-4k").output.contains("calibrated in trend only"))
  }

  @Test func `a profile that is calibrated in trend only is marked beside results`() throws {
    let run = try arbiter("simulate --profile=cxl-cached-4k --threads=1 --duration=1ms")
    #expect(run.code == 0 && run.error.contains("cxl-cached-4k (calibrated in trend only)"))
  }

  @Test func `doctor names the machine as text and as JSON`() throws {
    let text = try arbiter("doctor")
    #expect(text.code == 0 && text.output.contains("What follows"))
    // But for a path that is longer than a line.
    let words = text.output.split(separator: "\n").filter { $0.count > 80 }
      .map { line in String(line.drop { $0 == " " }) }
    #expect(words.allSatisfy { $0.hasPrefix("/") && !$0.contains(" ") }, "\(words)")
    let json = try ResultsJSON(arbiter("doctor --format=json").output)
    #expect(json.top["schema"] as? String == "arbiter-machine/1")
    #expect(!(json.top["findings"] as? [Any] ?? []).isEmpty)
  }

  @Test(arguments: [("bash", "bash -n"), ("zsh", "zsh -n"), ("fish", "fish --no-execute")])
  func `completions load where their shell is installed`(name: String, check: String) throws {
    let folder = TemporaryFolder()
    let script = try arbiter("completions \(name)")
    #expect(script.code == 0 && script.output.contains("compare"))
    guard works("command -v \(name)") else { return }
    folder.write(script.output, to: "script")
    #expect(try shell("\(check) \(folder.path)/script").code == 0)
  }
}
