// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterProfiler
import ArbiterTestSupport
import Foundation
import Testing

@Suite("Account files")
struct AccountFilesTests {
  /// An account of one process, which a test changes between two looks.
  private struct Book: ~Copyable {
    let machine = FakeMachine()
    let source = FakeSource(.gates)
    var account: Accountant
    var now: Int64 = 0

    init() {
      account = Accountant(
        of: source, by: .process, classifier: MappingClassifier(tree: machine.tree),
        tree: machine.tree)
    }

    /// What is there after a process of that name and start has stored some bytes more.
    mutating func reading(_ command: String, start: UInt64, storing bytes: Double) -> AccountReading
    {
      machine.setFacts(23, command, start: start)
      machine.setMaps(23, ["1000-2000 rw-s 0 08:01 9 /a\tb\\c"])
      now += 2_000_000_000
      account.drain(now: now)
      source.store(23, 0x1000, weight: bytes)
      source.store(23, nil, weight: 8)
      account.drain(now: now + 1)
      return account.reading()
    }

    /// What is there when no process has the number any more.
    mutating func readingOfNobody() -> AccountReading {
      machine.folder.write("", to: "proc/23/stat")
      account.stop(now: now + 2)
      return account.reading()
    }
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
    var book = Book()
    try files.write(book.reading("a=b", start: 1, storing: 1009.4), isFinal: false)
    let values = try Self.values(folder.path + "/new/23.account")
    #expect(values["schema"] == "arbiter-account-file/1" && values["command"] == "a=b")
    #expect(values["written"] == "1009" && values["written_error"] == "0")
    #expect(values["read"] == nil && values["read_unavailable"]?.isEmpty == false)
    #expect(values["state"] == "running" && values["unresolved_samples"] == "1")
    #expect(values["mapping.0.name"] == "/a\\x09b\\\\c" && values["mappings"] == "1")
  }

  @Test func `a file is replaced by a whole one, and no other name stays`() throws {
    let folder = TemporaryFolder()
    var files = try AccountFiles(folder: folder.path)
    var book = Book()
    try files.write(book.reading("a", start: 1, storing: 1), isFinal: false)
    // A reader that has opened the first keeps reading it as it was.
    let former = try #require(FileHandle(forReadingAtPath: folder.path + "/23.account"))
    try files.write(book.reading("a", start: 1, storing: 1), isFinal: true)
    let old = String(decoding: try #require(try former.readToEnd()), as: UTF8.self)
    #expect(old.contains("\nwritten=1\n") && old.contains("\nstate=running\n"))
    let values = try Self.values(folder.path + "/23.account")
    #expect(values["written"] == "2" && values["state"] == "left")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["23.account"])
  }

  @Test func `a task that has ended leaves its file to one that has its number`() throws {
    let folder = TemporaryFolder()
    var files = try AccountFiles(folder: folder.path)
    var book = Book()
    try files.write(book.reading("old", start: 1, storing: 1), isFinal: false)
    try files.write(book.readingOfNobody(), isFinal: false)
    let ended = try Self.values(folder.path + "/23.account")
    #expect(ended["state"] == "ended" && ended["command"] == "old")
    let both = book.reading("new", start: 2, storing: 5)
    #expect(both.tasks.count == 2)
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
