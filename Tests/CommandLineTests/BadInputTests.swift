// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

/// A command line that cannot be carried out, and what the tool says to it.
struct BadInput: CustomTestStringConvertible {
  var line: String
  var code: Int32
  var message: String
  var hint: String?

  var testDescription: String { line }

  /// The cases of `bad-input.txt`.
  static func read() throws -> [BadInput] {
    let file = try text(of: "\(Tool.root)/Tests/CommandLineTests/bad-input.txt")
    return file.components(separatedBy: "\n$ arbiter ").dropFirst().map { block in
      let lines = block.split(separator: "\n").map(String.init)
      let parts = lines[1].split(separator: " ", maxSplits: 1)
      return BadInput(
        line: lines[0], code: Int32(parts[0]) ?? -1, message: String(parts[1]),
        hint: lines.count > 2 ? String(lines[2].dropFirst("hint: ".count)) : nil)
    }
  }
}

@Suite("Bad input")
struct BadInputTests {
  @Test func `each bad input gets its sentence, its next step and its exit code`() throws {
    let folder = TemporaryFolder()
    folder.write("mine\n", to: "file")
    folder.write("x", to: "folder/mine")
    folder.write("{\"name\": 3}\n", to: "bad.json")
    folder.write("", to: "empty.json")
    let before = try names(in: folder.path)
    let cases = try BadInput.read()
    #expect(cases.count >= 90)
    for input in cases {
      let run = try arbiter(input.line, in: folder.path)
      #expect(run.code == input.code, "arbiter \(input.line)")
      #expect(run.failure.message == input.message, "arbiter \(input.line)")
      #expect(run.failure.hint == input.hint, "arbiter \(input.line)")
      #expect(run.output.isEmpty, "arbiter \(input.line)")
      #expect(run.error.hasPrefix("arbiter: error: "), "arbiter \(input.line)")
      #expect(run.error.split(separator: "\n").count <= 2, "arbiter \(input.line)")
    }
    #expect(try names(in: folder.path) == before)
    #expect(try names(in: "\(folder.path)/folder") == ["mine"])
    #expect(try text(of: "\(folder.path)/file") == "mine\n")
  }

  @Test func `nothing that an option may hold crashes the tool`() throws {
    let values = [
      "", " ", "-", "--", "=", ",", "0", "-0", "1e99", "9223372036854775808", "0x10", "nan", "inf",
      "1/0", "1/3", "100%", "999999TiB", "0.1B", "1_0B", "_", "1__2", "ns", "1ps", "0.0001ps",
      "1000000s", "\u{1F600}", "e\u{301}", "\u{202E}abc", "../..", "'", "\"", "$HOME", "%s%n",
      "\u{7F}", String(repeating: "9", count: 5000), String(repeating: "a,", count: 500),
    ]
    let options = [
      "profile", "modules", "from", "threads", "pattern", "store", "access", "fence-every",
      "region",
      "read-share", "think", "scheme", "delay", "delay-at", "period", "max-delay", "warm-up",
      "duration", "seed", "format", "color",
    ]
    // One child for all values of an option; a dry run checks everything and runs nothing.
    for option in options {
      let script = values.map {
        "\"$arbiter\" simulate --dry-run --quiet \(Shell.quoted("--\(option)=\($0)")) "
          + ">/dev/null 2>&1\n"
          + "case $? in 0 | 64 | 65) ;; *) echo \(Shell.quoted($0)): $? ;; esac"
      }.joined(separator: "\n")
      let run = try shell(script)
      #expect(run.output.isEmpty, "--\(option)")
    }
  }
}
