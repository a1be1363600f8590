// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import Testing

@Suite("Repository")
struct RepositoryTests {
  @Test func `every file keeps every rule`() throws {
    let tree = try Tree(root: Tree.root)
    try #require(tree.paths.contains("Package.swift"))
    var findings: [Finding] = []
    for (_, check) in Rules.ofFiles { findings += tree.files.flatMap(check) }
    for (_, check) in Rules.ofTrees { findings += check(tree) }
    for finding in findings {
      Issue.record("\(finding)")
    }
  }
}
