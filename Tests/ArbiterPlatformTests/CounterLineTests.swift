// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import Testing

@Suite("Lines of the counter helper")
struct CounterLineTests {
  private static func answer(
    _ reading: UInt64, _ index: Int, _ count: Int, handle: UInt32 = 1
  ) -> String {
    let counts = ModuleCounts(
      mediaReads: 1, mediaWrites: 2, requestedReads: 3, requestedWrites: .max)
    return HelperLine.answer(
      reading: reading, index: index, count: count,
      ModuleAnswer(timeNanoseconds: 5, handle: handle, outcome: .counts(counts))
    ).text
  }

  @Test func `every line is read back as it was written`() {
    let counts = ModuleCounts(
      mediaReads: 0, mediaWrites: .max, requestedReads: 17, requestedWrites: 1)
    let lines: [HelperLine] = [
      .greeting, .unavailable("no module"),
      .answer(
        reading: 1, index: 0, count: 64,
        ModuleAnswer(timeNanoseconds: .max, handle: .max, outcome: .counts(counts))),
      .answer(
        reading: .max, index: 63, count: 64,
        ModuleAnswer(timeNanoseconds: 0, handle: 0, outcome: .refused(268))),
    ]
    for line in lines {
      #expect(HelperLine(line.text) == line)
      #expect(line.text.utf8.count < HelperLine.bytesMax)
    }
  }

  @Test func `a line that differs in one byte is none`() {
    let good = "module 1 0 2 5 257 1 2 3 4"
    #expect(HelperLine(good) != nil)
    for bad in [
      "", " ", "module", good + " ", " " + good, good + " 5", good.replacing(" 5 ", with: "  5 "),
      good.replacing(" 5 ", with: " +5 "), good.replacing(" 5 ", with: " 05 "),
      good.replacing(" 5 ", with: " 0x5 "), good.replacing(" 5 ", with: " -5 "),
      good.replacing("module", with: "Module"), good.replacing(" 0 ", with: " 2 "),
      "module 1 0 65 5 257 1 2 3 4", "module 1 0 2 5 4294967296 1 2 3 4",
      "module 1 0 2 9223372036854775808 257 1 2 3 4", "module 1 0 2 5 257 1 2 3 4\u{0}",
      "module 1 0 2 5 257 1 2 3 18446744073709551616", "refused 1 0 2 5 257", "unavailable ",
      "refused 1 0 2 5 257 1 2", "arbiter-module-counters 2", "unavailable \u{1B}[31m",
      "unavailable " + String(repeating: "x", count: 600),
    ] { #expect(HelperLine(bad) == nil, "\(bad)") }
  }

  @Test func `a reason with control characters and without end becomes one short line`() {
    let text = HelperLine.unavailable("a\nb\u{1B}\u{E9}" + String(repeating: "x", count: 9999)).text
    #expect(text.hasPrefix("unavailable a b  x"))
    #expect(HelperLine(text) != nil)
  }

  @Test func `readings are put together in order and nothing else is believed`() {
    var good = ReadingAssembler()
    #expect(good.add("arbiter-module-counters 1") == .more)
    #expect(good.add(Self.answer(1, 0, 2)) == .more)
    guard case .reading(let answers) = good.add(Self.answer(1, 1, 2, handle: 2)) else {
      Issue.record("two of two modules are a reading")
      return
    }
    #expect(answers.map(\.handle) == [1, 2])
    guard case .reading = good.add(Self.answer(2, 0, 1)) else {
      Issue.record("the number of modules may change between readings")
      return
    }
    let wrong: [[String]] = [
      [Self.answer(1, 0, 2)], ["arbiter-module-counters 1", "arbiter-module-counters 1"],
      ["unavailable x"], ["arbiter-module-counters 1", Self.answer(2, 0, 2)],
      ["arbiter-module-counters 1", Self.answer(1, 1, 2)],
      ["arbiter-module-counters 1", Self.answer(1, 0, 2), Self.answer(1, 0, 2, handle: 2)],
      ["arbiter-module-counters 1", Self.answer(1, 0, 2), Self.answer(1, 1, 3, handle: 2)],
      ["arbiter-module-counters 1", Self.answer(1, 0, 2), Self.answer(2, 1, 2, handle: 2)],
      ["arbiter-module-counters 1", Self.answer(1, 0, 2), Self.answer(1, 1, 2)],
    ]
    for lines in wrong {
      var assembler = ReadingAssembler()
      for line in lines.dropLast() { #expect(assembler.add(line) == .more) }
      #expect(assembler.add(lines[lines.count - 1]) == .wrong, "\(lines)")
    }
  }

  @Test func `bytes are cut into lines wherever they are torn`() {
    let bytes = Array("one\ntwo\n\nthree\nrest".utf8)
    for size in 1...bytes.count {
      var cutter = LineCutter(bytesMax: 8)
      var lines: [String] = []
      var place = 0
      while place < bytes.count {
        lines += cutter.add(bytes[place..<min(place + size, bytes.count)])
        place += size
      }
      #expect(lines == ["one", "two", "", "three"])
    }
    var cutter = LineCutter(bytesMax: 8)
    #expect(cutter.add(Array(repeating: 0x78, count: 20)).count == 2)
  }
}
