// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlacement
import ArbiterPlatform
import ArbiterTestSupport
import ArbiterTiering
import Glibc
import Testing

@Suite("Notes of tiering sessions")
struct TierNoteTests {
  /// A note of this process in which everything is known.
  static func text(process: Int32 = getpid(), startTicks: UInt64? = nil) -> String {
    let ticks = startTicks ?? ProcessStatus.read(ofProcess: process)?.startTicks ?? 0
    return TierTexts.note(process: process, startTicks: ticks, processes: [process, 2])
  }

  @Test func `a note comes back as it was written`() throws {
    let text = Self.text()
    let note = try #require(TierNote(text: text))
    #expect(note.text == text)
    #expect(note.program == "redis-server" && note.reading.refusals == [.busy: 12, .full: 1])
    #expect(note.reading.stalls.value?.longestNanoseconds == 410_000)
    #expect(note.reading.processes == [getpid(), 2])
  }

  @Test func `what is unavailable keeps its reason`() throws {
    var note = try #require(TierNote(text: Self.text()))
    note.reading.recentFastHitShare = .unavailable("nothing was sampled\nfor a while")
    note.reading.moverNanoseconds = .unavailable("the kernel moves pages")
    note.reading.stalls = .unavailable("the kernel does not tell them")
    note.program = "two\nlines"
    let again = try #require(TierNote(text: note.text))
    #expect(again.program == "two lines")
    #expect(again.reading.recentFastHitShare.reason == "nothing was sampled for a while")
    #expect(again.reading.moverNanoseconds.reason == "the kernel moves pages")
    #expect(again.reading.stalls.reason == "the kernel does not tell them")
    #expect(again.text == TierNote(text: again.text)?.text)
  }

  @Test func `a note that is cut anywhere is none`() {
    let whole = Array(Self.text().utf8)
    // The last newline alone may be missing: readers of small files take it away.
    for count in 0..<whole.count - 1 {
      let text = String(decoding: whole.prefix(count), as: UTF8.self)
      #expect(TierNote(text: text) == nil, "\(count) bytes")
    }
    #expect(TierNote(text: String(decoding: whole, as: UTF8.self)) != nil)
  }

  @Test func `a note without any one of its lines is none, but for refusals and processes`() {
    let lines = Self.text().split(separator: "\n")
    for index in lines.indices {
      var others = lines
      let line = others.remove(at: index)
      let isOptional = line.hasPrefix("refused_") || line.hasPrefix("processes")
      let text = others.joined(separator: "\n") + "\n"
      #expect((TierNote(text: text) != nil) == isOptional, "\(line)")
    }
  }

  @Test func `sessions that live are found, others are not, and old notes go`() throws {
    let place = TemporaryFolder()
    let folder = "\(place.path)/runtime"
    #expect(TierNote.read(in: folder).isEmpty)
    let note = try #require(TierNote(text: Self.text()))
    let file = try TierNoteFile(in: folder)
    file.write(note)
    // Of a process that has the number of an earlier one, and of one that never was.
    place.write(Self.text(process: 1, startTicks: 987_654_321), to: "runtime/tier-1")
    place.write(Self.text(process: 99_999_999, startTicks: 1), to: "runtime/tier-99999999")
    place.write("nonsense", to: "runtime/tier-nonsense")
    #expect(TierNote.read(in: folder).map(\.process) == [getpid()])
    let names = SystemTree(root: folder).entries("")
    #expect(names.count == 4 && !names.contains { $0.hasPrefix(".") })
    _ = try TierNoteFile(in: folder)
    #expect(!SystemTree(root: folder).entries("").contains("tier-99999999"))
    file.write(note)
    #expect(TierNote.read(in: folder).count == 1)
    file.remove()
    #expect(TierNote.read(in: folder).isEmpty)
  }

  @Test func `a folder that others may enter is refused`() throws {
    let place = TemporaryFolder()
    let changed = unsafe chmod(place.path, 0o777)
    #expect(changed == 0)
    #expect(throws: PlatformError.self) { _ = try TierNoteFile(in: place.path) }
  }
}
