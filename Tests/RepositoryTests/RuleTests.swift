// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import Testing

/// Each rule finds a bad example and passes a good one that looks much like it.
@Suite("Rules of the repository")
struct RuleTests {
  private func file(_ path: String, _ text: String) -> TextFile { TextFile(path: path, text: text) }

  private func function(lines count: Int, head: String = "func long() {") -> String {
    let body = Array(repeating: "  step(\"}\") // }", count: count - 2)
    return ([head] + body + ["}"]).joined(separator: "\n")
  }

  @Test(arguments: [
    "func long() {", "public init(a: Int, b: () -> Void = {}) {", "@inlinable static func f() {",
    "  private mutating func long() throws(Failure) -> [Int] {", "subscript(index: Int) -> Int {",
    "deinit {",
  ])
  func `a function of 71 lines is too long and one of 70 is not`(head: String) {
    let long = Rules.functionLength(file("a.swift", function(lines: 71, head: head)))
    #expect(long.map(\.line) == [1])
    #expect(Rules.functionLength(file("a.swift", function(lines: 70, head: head))).isEmpty)
  }

  @Test func `the length of a function is counted over a split signature`() {
    let head = "func long(\n  a: Int,\n  b: Int\n) -> Int\nwhere A: B {"
    #expect(Rules.functionLength(file("a.swift", function(lines: 67, head: head))).count == 1)
    #expect(Rules.functionLength(file("a.swift", function(lines: 66, head: head))).isEmpty)
  }

  @Test func `a requirement has no body, whatever follows it`() {
    let requirement = "protocol P {\n  func a() -> Int\n  var b: Int { get }\n}\n"
    let padding = String(repeating: "let x = 1\n", count: 90)
    #expect(Rules.functionLength(file("a.swift", requirement + padding + "{\n}\n")).isEmpty)
  }

  @Test func `a file of 801 lines is too long`() {
    let line = "let x = 1\n"
    #expect(Rules.fileLength(file("a.swift", String(repeating: line, count: 801))).count == 1)
    #expect(Rules.fileLength(file("a.swift", String(repeating: line, count: 800))).isEmpty)
  }

  @Test(arguments: ["a.swift", "a.c", "a.h", "a.md"])
  func `a line of 101 columns is too wide and one of 100 is not`(path: String) {
    let hundred = String(repeating: "é", count: 100)
    #expect(Rules.columns(file(path, "\n" + hundred + "é")).map(\.line) == [2])
    #expect(Rules.columns(file(path, hundred)).isEmpty)
  }

  @Test func `tables and links in Markdown may be wide`() {
    let wide = String(repeating: "x", count: 120)
    for line in ["| \(wide) |", "[\(wide)](a.md)", "https://example.org/\(wide)"] {
      #expect(Rules.columns(file("a.md", line)).isEmpty)
      #expect(Rules.columns(file("a.swift", line)).count == 1)
    }
  }

  @Test(arguments: [
    ("ArbiterCore", "import Glibc"),
    ("ArbiterSimulator", "internal import ArbiterPlatform"),
    ("ArbiterScheduler", "public import ArbiterSimulator"),
    ("ArbiterPlatform", "import ArbiterSimulator"),
    ("ArbiterRuntime", "import FoundationEssentials"),
    ("CommandSpec", "import ArbiterCore"),
    ("ArbiterCommands", "import Foundation"),
    ("ArbiterReport", "@preconcurrency import Dispatch"),
    ("ArbiterDevice", "import struct Foundation.Data"),
  ])
  func `an import that the module must not have is found`(module: String, line: String) {
    let path = "Sources/\(module)/A.swift"
    #expect(Rules.imports(file(path, "// head\n\(line)\n")).map(\.line) == [2])
    #expect(Rules.imports(file(path, "// \(line)\nlet text = \"\(line)\"\n")).isEmpty)
    #expect(Rules.imports(file("Tests/\(module)Tests/A.swift", line)).isEmpty)
  }

  @Test(arguments: [
    ("ArbiterCommands", "internal import FoundationEssentials"),
    ("ArbiterPlatform", "internal import Glibc"),
    ("ArbiterSimulator", "public import ArbiterScheduler"),
  ])
  func `an import that the module may have passes`(module: String, line: String) {
    #expect(Rules.imports(file("Sources/\(module)/A.swift", line)).isEmpty)
  }

  @Test(arguments: ["final class A: @unchecked Sendable {}", "nonisolated(unsafe) var a = 1"])
  func `an escape from the checks needs its reason close above`(line: String) {
    let reason = "// SAFETY: written once, before any thread starts.\n"
    #expect(Rules.safetyComments(file("a.swift", line)).count == 1)
    #expect(Rules.safetyComments(file("a.swift", reason + "\n\n\n" + line)).count == 1)
    #expect(Rules.safetyComments(file("a.swift", reason + "\n\n" + line)).isEmpty)
    #expect(Rules.safetyComments(file("a.swift", "// " + line)).isEmpty)
  }

  @Test func `printing is for the command line alone`() {
    for call in ["print(1)", "  if a { print(\"x\") }", "debugPrint(a)"] {
      #expect(Rules.printing(file("Sources/ArbiterCore/A.swift", call)).count == 1)
      #expect(Rules.printing(file("Sources/ArbiterCommands/A.swift", call)).isEmpty)
      #expect(Rules.printing(file("Tests/ArbiterCoreTests/A.swift", call)).isEmpty)
    }
    for other in ["footprint(1)", "table.print(to: x)", "func print(_ a: Int) {", "// print(1)"] {
      #expect(Rules.printing(file("Sources/ArbiterCore/A.swift", other)).isEmpty)
    }
  }

  @Test(arguments: ["TODO", "FIXME"])
  func `an open end names its issue`(word: String) {
    for bad in ["// \(word): later", "// \(word)(#): later", "// \(word)(me)", "/* \(word) */"] {
      #expect(Rules.openEnds(file("a.c", bad)).count == 1, "\(bad)")
    }
    for good in ["// \(word)(#12): later", "let a = \"\(word)\"", "// \(word)S"] {
      #expect(Rules.openEnds(file("a.swift", good)).isEmpty, "\(good)")
    }
    #expect(Rules.openEnds(file("a.sh", "# \(word) later")).count == 1)
  }

  @Test func `a document has one title`() {
    #expect(Rules.oneTitle(file("a.md", "# A\n\n# B\n")).map(\.line) == [3])
    #expect(Rules.oneTitle(file("a.md", "## A\n")).count == 1)
    #expect(Rules.oneTitle(file("a.md", "# A\n\n```sh\n# not a title\n```\n## B\n")).isEmpty)
  }

  @Test(arguments: ["a.swift", "a.c", "a.h", "a.sh"])
  func `a source names its license near its top`(path: String) {
    let line = "// SPDX-License-Identifier: Apache-2.0\n"
    #expect(Rules.licenseHeader(file(path, "let a = 1\n")).count == 1)
    #expect(Rules.licenseHeader(file(path, "\n\n\n\n\n" + line)).count == 1)
    #expect(Rules.licenseHeader(file(path, "// Part of Arbiter.\n" + line)).isEmpty)
  }

  @Test func `another license is for the folder that has it`() {
    let line = "// SPDX-License-Identifier: GPL-2.0-or-later\n"
    #expect(Rules.licenseHeader(file("Tests/VirtualMachine/plugin/a.c", line)).isEmpty)
    #expect(Rules.licenseHeader(file("Tests/VirtualMachine/a.c", line)).count == 1)
    #expect(Rules.licenseHeader(file("Tests/VirtualMachine/plugin/a.c", "int a;\n")).count == 1)
  }

  @Test func `a script without a suffix is known by its first line`() {
    #expect(Rules.licenseHeader(file("run", "#!/usr/bin/env bash\ntrue\n")).count == 1)
    #expect(Rules.licenseHeader(file("LICENSE", "Apache\n")).isEmpty)
  }

  @Test func `a path of one machine is found`() {
    let home = "/home" + "/someone"
    for bad in ["see \(home)/a", "\"\(home)\"", "/srv/checkout/Sources"] {
      #expect(Rules.machinePaths(file("a.md", bad), root: "/srv/checkout/").count == 1)
    }
    for good in ["Documentation\(home)", "a/srv/checkout", "/dev/pmem0", "/tmp"] {
      #expect(Rules.machinePaths(file("a.md", good), root: "/srv/checkout/").isEmpty)
    }
    #expect(Rules.machinePaths(file("a.md", "the /src/ folder"), root: "/src/").isEmpty)
  }

  @Test func `a link to a file that is not there is found`() {
    func findings(_ text: String) -> [Finding] {
      Rules.links(Tree(["Documentation/A.md": text, "Documentation/b/c.md": "", "README.md": ""]))
    }
    for good in ["b/c.md", "../README.md#top", "b", "#here", "https://example.org/x", "./A.md"] {
      #expect(findings("see [it](\(good)) there").isEmpty, "\(good)")
    }
    for bad in ["c.md", "../b/c.md", "README.md", "b/c"] {
      #expect(findings("a\nsee [x](A.md) and [it](\(bad))").map(\.line) == [2], "\(bad)")
    }
    #expect(findings("```\n[x](none.md)\n```\n`[x](none.md)`").isEmpty)
  }

  @Test func `a module with code has tests or a reason`() {
    let code = ["Sources/Room/A.swift": "let a = 1\n"]
    let empty = ["Sources/Room/A.swift": "// Part of Arbiter.\n"]
    let tested = code.merging(["Tests/RoomTests/A.swift": ""]) { $1 }
    #expect(Rules.modulesHaveTests(Tree(code), exempt: [:]).count == 1)
    #expect(Rules.modulesHaveTests(Tree(code), exempt: ["Room": "why"]).isEmpty)
    #expect(Rules.modulesHaveTests(Tree(empty), exempt: [:]).isEmpty)
    #expect(Rules.modulesHaveTests(Tree(tested), exempt: [:]).isEmpty)
    #expect(Rules.modulesHaveTests(Tree(tested), exempt: ["Room": "why"]).count == 1)
  }

  @Test(arguments: [
    ("a // b", "a"), ("a /* b /* c */ d */ e", "a e"), ("\"b\\\"c\" d", "d"),
    ("#\"b\"c\"# d", "d"), ("\"\"\"\nb \" c\n\"\"\" d", "d"), ("\"b\\(c(\"d\")) e\" f", "f"),
  ])
  func `comments and texts are told from code`(source: String, code: String) {
    let split = CodeSplitter.split(source, nested: true)
    #expect(split.code.split { $0.isWhitespace } == code.split(separator: " "))
    #expect(split.code.utf8.count == source.utf8.count)
  }

  @Test func `block comments do not nest in C`() {
    let split = CodeSplitter.split("a /* b /* c */ d '\"' e", nested: false)
    #expect(split.code.split(separator: " ") == ["a", "d", "e"])
    #expect(split.comments.split(separator: " ") == ["/*", "b", "/*", "c", "*/"])
  }
}
