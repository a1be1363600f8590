// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlatform
import ArbiterProfiler
import ArbiterTestSupport
import Foundation
import Testing

@Suite("Account files")
struct AccountFilesTests {
  private static func reading(
    _ tasks: [(process: Int32, command: String, hasEnded: Bool, written: Double)]
  ) -> AccountReading {
    func row(_ process: Int32, _ start: UInt64, _ written: Double) -> AccountReading.Row {
      AccountReading.Row(
        task: AccountTask(process: process, startTicks: start), command: nil,
        mapping: MappingIdentity(.file, name: "/a\nb\\c"), addresses: nil, sampleCount: 3,
        written: Estimate(written, standardError: 2.4), read: .unavailable("no loads"), share: 1)
    }
    return AccountReading(
      backEnd: .gates, losses: SamplingLosses(), written: .exact(0), read: .unavailable("no loads"),
      rows: tasks.enumerated().map { row($1.process, UInt64($0), $1.written) },
      tasks: tasks.enumerated().map { index, task in
        AccountReading.Task(
          task: AccountTask(process: task.process, startTicks: UInt64(index)),
          command: task.command, hasEnded: task.hasEnded, resolvedCount: 3, unresolvedCount: 1,
          unresolved: 8, written: Estimate(task.written, standardError: 2.4),
          read: .unavailable("no loads"))
      }, foldedCount: 0)
  }

  /// The keys and values of a file.
  private static func values(_ path: String) throws -> [String: String] {
    let text = try Shell.text(of: path)
    #expect(text.hasSuffix("\n"))
    return Dictionary(
      uniqueKeysWithValues: text.split(separator: "\n").map { line in
        let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
        return (parts[0], parts.count > 1 ? parts[1] : "")
      })
  }

  @Test func `each task has a file of lines, in which nothing is unavailable and 0`() throws {
    let folder = TemporaryFolder()
    var files = try AccountFiles(folder: folder.path + "/new")
    try files.write(Self.reading([(23, "a=b", false, 1009.4)]), isFinal: false)
    let values = try Self.values(folder.path + "/new/23.account")
    #expect(values["schema"] == "arbiter-account-file/1" && values["command"] == "a=b")
    #expect(values["written"] == "1009" && values["written_error"] == "2")
    #expect(values["read"] == nil && values["read_unavailable"] == "no loads")
    #expect(values["state"] == "running" && values["unresolved_samples"] == "1")
    #expect(values["mapping.0.name"] == "/a\\x0ab\\\\c" && values["mappings"] == "1")
  }

  @Test func `a file is replaced by a whole one, and no other name stays`() throws {
    let folder = TemporaryFolder()
    var files = try AccountFiles(folder: folder.path)
    try files.write(Self.reading([(23, "a", false, 1)]), isFinal: false)
    // A reader that has opened the first keeps reading it as it was.
    let former = try #require(FileHandle(forReadingAtPath: folder.path + "/23.account"))
    try files.write(Self.reading([(23, "a", false, 2)]), isFinal: true)
    let old = String(decoding: try #require(try former.readToEnd()), as: UTF8.self)
    #expect(old.contains("\nwritten=1\n") && old.contains("\nstate=running\n"))
    let values = try Self.values(folder.path + "/23.account")
    #expect(values["written"] == "2" && values["state"] == "left")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["23.account"])
  }

  @Test func `a task that has ended leaves its file to one that has its number`() throws {
    let folder = TemporaryFolder()
    var files = try AccountFiles(folder: folder.path)
    try files.write(Self.reading([(23, "old", true, 1)]), isFinal: false)
    #expect(try Self.values(folder.path + "/23.account")["state"] == "ended")
    let both = Self.reading([(23, "old", true, 1), (23, "new", false, 5)])
    for _ in 0..<2 {
      try files.write(both, isFinal: false)
      #expect(try Self.values(folder.path + "/23.account")["command"] == "new")
    }
  }

  @Test func `a place that is no folder is refused, with the option's name`() throws {
    let folder = TemporaryFolder()
    folder.write("", to: "file")
    let path = folder.path + "/file/below"
    let error = #expect(throws: PlatformError.self) { _ = try AccountFiles(folder: path) }
    #expect(error?.nextStep.contains("--files") == true)
  }
}
