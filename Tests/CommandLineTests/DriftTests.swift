// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Testing

@Suite("Generated documents")
struct DriftTests {
  private let folders = ["Documentation/man", "completions"]

  @Test func `manual pages and completions are those of the command line`() throws {
    let scratch = TemporaryFolder()
    for folder in folders { scratch.makeFolder(folder) }
    let run = try arbiter("write-documents \(scratch.path)")
    #expect(run.code == 0, "\(run.error)")
    let remedy: Comment = "accept the new ones with: Documentation/man/regenerate"
    for folder in folders {
      let committed = try names(in: "\(Tool.root)/\(folder)").filter { $0 != "regenerate" }
      #expect(try committed == names(in: "\(scratch.path)/\(folder)"), remedy)
      for name in committed where exists("\(scratch.path)/\(folder)/\(name)") {
        let isSame =
          try text(of: "\(Tool.root)/\(folder)/\(name)")
          == text(of: "\(scratch.path)/\(folder)/\(name)")
        #expect(isSame, "\(folder)/\(name) differs; accept with: Documentation/man/regenerate")
      }
    }
  }

  @Test(.enabled(if: works("command -v mandoc"), "mandoc is not installed"))
  func `manual pages pass the checker of their language`() throws {
    let run = try shell("mandoc -T lint -W warning Documentation/man/*.1", in: Tool.root)
    #expect(run.code == 0 && run.output.isEmpty, "\(run.output)")
  }
}
