// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import ArbiterTrace
import ArbiterWorkloads
import Foundation
import Testing

@Suite("Text of lackey")
struct LackeyTests {
  static let text = """
    ==7== Lackey, an example Valgrind tool
    ==7== Command: ./program
    I  04033ab8,3
     S 1fff000758,8
    I  04033abb,5
     L 04a00000,16
     M 04a00008,4

    """

  @Test func `loads, stores and both at once are read; instructions are counted`() throws {
    let (file, tally) = try imported(Self.text, .lackey)
    #expect(
      try events(of: file, thread: 0) == [
        TraceEvent(.store, region: 0, offset: 0xFF00_0758, length: 8),
        TraceEvent(.load, region: 1, offset: 0x04A0_0000, length: 16),
        TraceEvent(.load, region: 1, offset: 0x04A0_0008, length: 4),
        TraceEvent(.store, region: 1, offset: 0x04A0_0008, length: 4),
      ])
    // Parts of the address space of 4 GiB, as long as a power of two that holds all accesses.
    #expect(
      file.regions == [
        TraceRegion(number: 0, name: "0x1f00000000", byteCount: 1 << 32),
        TraceRegion(number: 1, name: "0x0", byteCount: 1 << 27),
      ])
    #expect(tally.lineCount == 7 && tally.eventCount == 4)
    #expect(
      tally.sentences == [
        "Left out: 2 instruction fetches.",
        "Left out: 2 lines that are messages of valgrind.",
      ])
  }

  @Test func `a range becomes the only region`() throws {
    let (file, tally) = try imported(Self.text, .lackey, range: 0x04A0_0008..<0x04A0_000C)
    #expect(
      try events(of: file, thread: 0) == [
        TraceEvent(.load, offset: 0, length: 4), TraceEvent(.store, offset: 0, length: 4),
      ])
    #expect(file.regions.map(\.byteCount) == [4] && tally.losses[.outsideRange] == 2)
  }

  @Test func `instructions take the time that was asked for`() throws {
    let file = try imported(Self.text, .lackey, instructionPicoseconds: 700).file
    #expect(try events(of: file, thread: 0).map(\.startNanoseconds) == [0, 1, 1, 1])
  }

  @Test(arguments: [
    ("hello\n", 0, "line 1 'hello' is no access as lackey prints them"),
    ("I  10,3\n L 10\n", 8, "line 2 ' L 10' is no access as lackey prints them"),
    (" L 10,0\n", 0, "line 1 ' L 10,0' is no access as lackey prints them"),
    (" L 10,8 \n", 0, "line 1 ' L 10,8 ' is no access as lackey prints them"),
    (" S 11112222333344445,8\n", 0, "line 1 ' S 11112222333344445,8' is no access as"),
    (" L \u{1B}[31m\n", 0, "line 1 ' L ?[31m' is no access as lackey prints them"),
  ])
  func `other lines are refused with their number`(
    text: String, offset: Int, reason: String
  ) throws {
    let error = #expect(throws: TraceError.self) { _ = try imported(text, .lackey) }
    #expect(error?.offset == UInt64(offset) && error?.reason.hasPrefix(reason) == true)
    #expect(error?.nextStep.contains("--log-file") == true)
  }

  @Test func `a line without an end does not fill the memory`() throws {
    let text = String(repeating: "7", count: 5000)
    let error = #expect(throws: TraceError.self) { _ = try imported(text, .lackey) }
    #expect(error?.reason == "line 1 is longer than 4096 bytes")
  }

  @Test func `accesses beyond 256 parts of the address space are left out and counted`() throws {
    let text = (0..<300).map { " L \(String(UInt64($0) << 32, radix: 16)),8\n" }.joined()
    let (file, tally) = try imported(text + " L ffffffffffffffff,8\n", .lackey)
    #expect(file.regions.count == 256 && file.eventCount == 256)
    #expect(tally.losses[.beyondRegions] == 45)
  }

  /// Stores 8 bytes to each of 1,009 places and loads them all, between two prints.
  static let program = """
    #include <stdint.h>
    #include <stdio.h>
    static volatile uint64_t data[1009];
    int main(void) {
      printf("%p %zu\\n", (void *)data, sizeof data);
      for (int i = 0; i < 1009; i++) data[i] = i;
      uint64_t sum = 0;
      for (int i = 0; i < 1009; i++) sum += data[i];
      for (int i = 0; i < 1009; i++) data[i]++;
      return sum == 1009 * 1008 / 2 ? 0 : 1;
    }
    """

  @Test(.enabled(if: Shell.has("valgrind") && Shell.has("cc"), "valgrind and cc are needed"))
  func `what the real lackey prints of a known program is read to the last access`() throws {
    let folder = TemporaryFolder()
    folder.write(Self.program, to: "known.c")
    let run = try Shell.run(
      "cc -O1 -o known known.c && valgrind --tool=lackey --trace-mem=yes --log-file=log ./known",
      in: folder.path)
    try #require(run.code == 0, "\(run.error)")
    let words = run.output.split(separator: " ")
    let start = try #require(UInt64(words[0].dropFirst(2), radix: 16))
    #expect(Int(words[1].dropLast()) == 1009 * 8)
    let log = try Shell.text(of: "\(folder.path)/log")
    let (file, tally) = try imported(
      log, .lackey, range: start..<start + 1009 * 8, pieceSize: 65_536)
    let read = try events(of: file, thread: 0)
    let offsets = (0..<1009).map { UInt64($0) * 8 }
    #expect(read.allSatisfy { $0.length == 8 })
    #expect(read.prefix(1009).allSatisfy { $0.operation == .store })
    #expect(read.prefix(1009).map(\.offset) == offsets)
    #expect(read.dropFirst(1009).prefix(1009).allSatisfy { $0.operation == .load })
    // Each increment is a load and a store, in one instruction or in two.
    let increments = read.dropFirst(2018)
    #expect(increments.map(\.operation) == (0..<2018).map { $0 % 2 == 0 ? .load : .store })
    #expect(increments.map(\.offset) == offsets.flatMap { [$0, $0] })
    #expect((tally.losses[.instructionFetches] ?? 0) > 10_000)
    #expect((tally.losses[.outsideRange] ?? 0) > 1000)
  }
}
