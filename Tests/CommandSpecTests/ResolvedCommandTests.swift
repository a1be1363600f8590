// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import CommandSpec
import Testing

@Suite("Resolved command")
struct ResolvedCommandTests {
  @Test func `every option is listed with its value`() throws {
    let resolved = try SortOptions.command.parse(["--bins=7", "-q"], tool: "sample").resolved
    let pairs = resolved.options.map { "\($0.name)=\($0.text)\($0.isDefault ? "" : " *")" }
    #expect(
      pairs == [
        "bins=7 *", "seed=23", "share=0.25", "label=", "order=weight", "sizes=none", "limit=none",
        "fragile=none", "depot=.", "output=none", "quiet=true *",
      ])
  }

  @Test func `the command line says what differs from the defaults`() throws {
    let arguments = ["--label=it's red", "--order=distance", "--quiet", "--bins=4", "a file"]
    let resolved = try SortOptions.command.parse(arguments, tool: "sample").resolved
    #expect(
      resolved.commandLine()
        == "sample sort '--label=it'\\''s red' --order=distance --quiet 'a file'")
    #expect(
      resolved.commandLine(includingDefaults: true)
        == "sample sort --bins=4 --seed=23 --share=0.25 '--label=it'\\''s red' "
        + "--order=distance --depot=. --quiet 'a file'")
  }

  @Test(arguments: [
    ["sort"], ["sort", "--label=", "--fragile=false"], ["sort", "--", "-x", "--"],
    ["sort", "--label=--help", "--sizes=-1,2", "--limit=9g", "-o", "-"],
    ["send", "Oslo"], ["send", "--speed=weight", "Oslo", "weight", "--", "run", "--", "-h", ""],
  ])
  func `the arguments of a run repeat it`(_ arguments: [String]) throws {
    guard case .run(let first) = try sample.interpret(arguments) else {
      Issue.record("\(arguments) did not ask for a run")
      return
    }
    for includingDefaults in [false, true] {
      let again = try sample.interpret(
        first.resolved.arguments(includingDefaults: includingDefaults))
      guard case .run(let second) = again else {
        Issue.record("the repeat of \(arguments) did not ask for a run")
        return
      }
      #expect(second.resolved == first.resolved)
    }
  }
}
