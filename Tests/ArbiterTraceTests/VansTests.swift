// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterTestSupport
import ArbiterTrace
import ArbiterWorkloads
import Testing

/// Converts a text into a recording, in pieces of some size.
func imported(
  _ text: String, _ format: TextFormat, range: Range<UInt64>? = nil, pieceSize: Int = 7,
  instructionPicoseconds: UInt64 = 0
) throws -> (file: TraceFile, tally: ConversionTally) {
  let sink = MemorySink()
  var writer = try sink.writer()
  var importer = TextImporter(
    format, range: range, instructionPicoseconds: instructionPicoseconds)
  let bytes = Array(text.utf8)
  for start in stride(from: 0, to: bytes.count, by: pieceSize) {
    try importer.add(bytes[start..<min(start + pieceSize, bytes.count)], to: &writer)
  }
  try importer.finish(&writer)
  try writer.finish()
  return (try TraceFile(TraceBytes(sink.bytes)), importer.tally)
}

/// Converts a recording into a text for VANS.
func exported(
  _ file: TraceFile, _ interleaving: Interleaving = .time, seed: UInt64 = 1
) throws -> (text: String, tally: ConversionTally) {
  var exporter = VansExporter(file, interleaving: interleaving, seed: seed)
  var text: [UInt8] = []
  while true {
    var piece: [UInt8] = []
    let goesOn = try exporter.append(to: &piece)
    text += piece
    if !goesOn { break }
  }
  return (String(decoding: text, as: UTF8.self), exporter.tally)
}

/// A recording of threads whose events are given, in one region of 1 MiB.
func recorded(
  _ threads: [(source: TraceSource, events: [TraceEvent])], regions: Int = 1
) throws -> TraceFile {
  let sink = MemorySink()
  var writer = try sink.writer()
  for number in 0..<regions {
    try writer.describe(TraceRegion(number: UInt8(number), name: "x", byteCount: 1 << 20))
  }
  for (number, thread) in threads.enumerated() {
    for event in thread.events {
      try writer.append(event, thread: UInt32(number), source: thread.source)
    }
  }
  try writer.finish()
  return try TraceFile(TraceBytes(sink.bytes))
}

@Suite("Text of VANS")
struct VansTests {
  /// The rules of the format, as measured with VANS: hexadecimal with or without 0x; a type or
  /// none; clocks before the request behind a colon or a space; lines of remarks.
  static let text = """
    # a remark: R W C
    0x1000 W
    1040 R:100
    0X20ff C 8
    0xABCDEF80
    2000 W:4

    """

  @Test func `every form of a line is read`() throws {
    let (file, tally) = try imported(Self.text, .vans)
    let read = try events(of: file, thread: 0)
    let expected = [
      TraceEvent(.storeNonTemporal, offset: 0x1000, length: 64),
      TraceEvent(.load, offset: 0x1040, length: 64, startNanoseconds: 75),
      // The address of a line is rounded down to its line; a critical read is awaited.
      TraceEvent(.load, offset: 0x20C0, length: 64, startNanoseconds: 81),
      TraceEvent(.fence, length: 0, startNanoseconds: 81),
      TraceEvent(.load, offset: 0xABCD_EF80, length: 64, startNanoseconds: 81),
      TraceEvent(.storeNonTemporal, offset: 0x2000, length: 64, startNanoseconds: 84),
    ]
    #expect(read == expected)
    #expect(file.threads.map(\.source) == [.converted])
    #expect(file.regions == [TraceRegion(number: 0, name: "0x0", byteCount: 1 << 32)])
    #expect(tally.lineCount == 6 && tally.eventCount == 6 && tally.sentences.isEmpty)
  }

  @Test func `what VANS wrote comes back line by line`() throws {
    let text = "0x1000 W\n0x1040 R:100\n0x20c0 C:8\n0xabcdef80 R\n0x0 W:4\n0x1000 W\n"
    let (file, _) = try imported(text, .vans)
    let back = try exported(file)
    #expect(back.text == text)
    #expect(back.tally.sentences.isEmpty && back.tally.lineCount == 6)
  }

  @Test func `the clocks of idle time add up, whatever they are`() throws {
    var random = SeededRandom(seed: ProcessSeed.value)
    let idle = (0..<2000).map { _ in random.below(50) }
    let text = idle.enumerated().map { "\(String($0 * 64, radix: 16)) W:\($1)\n" }.joined()
    let back = try exported(try imported(text, .vans, pieceSize: 4096).file).text
    let clocks = back.split(separator: "\n").map { line in
      line.split(separator: ":").dropFirst().first.flatMap { Int($0) } ?? 0
    }
    // One clock may move to a neighbour, since recordings hold whole nanoseconds.
    #expect(zip(idle, clocks).allSatisfy { abs($0 - $1) <= 2 }, "ARBITER_SEED=\(ProcessSeed.value)")
    #expect(abs(idle.reduce(0, +) - clocks.reduce(0, +)) <= 2)
  }

  @Test(arguments: [
    ("0x1000 W\n\n0x1040 W\n", 9, "line 2 is empty, and VANS stops there"),
    ("0x1000 W\r\n", 0, "line 1 ends in a carriage return, and VANS stops there"),
    ("# x\n0x1000 w\n", 4, "line 2 '0x1000 w' names another type than R, W or C"),
    (
      "zebra\n", 0,
      "line 1 'zebra' does not begin with a hexadecimal address below 2^47"
    ),
    (
      "0x800000000000 W\n", 0,
      "line 1 '0x800000000000 W' does not begin with a hexadecimal address below 2^47"
    ),
    ("0x10W\n", 0, "line 1 '0x10W' has no space after its address"),
    (
      "0x10 W:x\n", 0, "line 1 '0x10 W:x' has something else than idle clocks behind its type"
    ),
    (
      "0x10 W:1 2\n", 0,
      "line 1 '0x10 W:1 2' has something else than idle clocks behind its type"
    ),
    (
      "0x10 WR\n", 0, "line 1 '0x10 WR' has something else than idle clocks behind its type"
    ),
    (
      "0x10 W:6148914691236517206\n", 0,
      "line 1 waits for longer than 2^64 quarters of a nanosecond"
    ),
  ])
  func `what VANS cannot read is refused with its line`(
    text: String, offset: Int, reason: String
  ) throws {
    let error = #expect(throws: TraceError.self) { _ = try imported(text, .vans) }
    #expect(error?.code == .syntax && error?.offset == UInt64(offset))
    #expect(error?.reason == reason)
  }

  @Test func `a last line without a newline is left out, as VANS does, and counted`() throws {
    let (file, tally) = try imported("0x0 W\n0x40 W", .vans)
    #expect(file.eventCount == 1)
    #expect(
      tally.sentences == ["Left out: the last line, which lacks its newline; so does VANS."])
  }

  @Test func `accesses become the lines that they touch, each run's line once`() throws {
    let file = try recorded([
      (
        .preload,
        [
          TraceEvent(.store, offset: 60, length: 8),
          TraceEvent(.storeWrittenBack, offset: 0, length: 8, count: 16, stride: 8),
          TraceEvent(.storeNonTemporal, offset: 4096, length: 256, isFenced: true),
          TraceEvent(.load, offset: 8192, length: 64, count: 3, stride: -256),
          TraceEvent(.load, offset: 100, length: 4, count: 1000, stride: 0),
          TraceEvent(.flush, offset: 60, length: 8), TraceEvent(.fence, length: 0),
        ]
      )
    ])
    let back = try exported(file, .roundRobin)
    #expect(
      back.text == """
        0x0 W
        0x40 W
        0x0 W
        0x40 W
        0x1000 W
        0x1040 W
        0x1080 W
        0x10c0 W
        0x2000 R
        0x1f00 R
        0x1e00 R
        0x40 R

        """)
    #expect(back.tally.eventCount == 7 && back.tally.lineCount == 12)
    #expect(
      back.tally.sentences == [
        "Left out: 1 fences, which VANS does not have.",
        "Left out: the fences after each access of 1 runs.",
        "Left out: 1 write-backs (flushes): their stores are writes already.",
        "Changed: 1 runs of stores to the cache became writes at once.",
        "Changed: 3 runs of accesses that are no whole lines became whole lines.",
        "Left out: all times; only --interleave=time keeps them.",
      ])
  }

  /// Three threads of four lines in regions of their own.
  private static func threads(spacing: UInt64) throws -> TraceFile {
    let list = (0..<3).map { thread in
      (
        source: TraceSource.preload,
        events: (0..<4).map { index in
          TraceEvent(
            .storeNonTemporal, region: UInt8(thread), offset: UInt64(index) * 64, length: 64,
            startNanoseconds: UInt64(index) * spacing + UInt64(2 - thread) * 10,
            spanNanoseconds: 10)
        }
      )
    }
    return try recorded(list, regions: 3)
  }

  private static func lanes(_ text: String) -> String {
    text.split(separator: "\n").map { line in
      line.hasPrefix("0x4") && line.count > 7 ? "c" : line.hasPrefix("0x2") ? "b" : "a"
    }.joined()
  }

  @Test func `the interleaving is the one that was asked for`() throws {
    let file = try Self.threads(spacing: 100)
    let byTime = try exported(file, .time)
    #expect(Self.lanes(byTime.text) == "cbacbacbacba")
    // Regions lie 2 MiB apart; of 100 ns three times 10 are spent in the memory: 70 ns of idleness.
    #expect(
      byTime.text.hasPrefix(
        "0x400000 W\n0x200000 W\n0x0 W\n0x400040 W:93\n0x200040 W\n0x40 W\n0x400080 W:93\n"))
    #expect(try Self.lanes(exported(file, .roundRobin).text) == "abcabcabcabc")
    let one = try exported(file, .random, seed: 1).text
    #expect(try exported(file, .random, seed: 1).text == one)
    #expect(try exported(file, .random, seed: 2).text != one)
    #expect(Set(one.split(separator: "\n")).count == 12 && !one.contains(":"))
  }

  @Test func `long runs of several threads interleave line by line within their spans`() throws {
    let long = TraceEvent(.storeNonTemporal, offset: 0, length: 256, spanNanoseconds: 400)
    var other = long
    other.region = 1
    other.startNanoseconds = 50
    let file = try recorded([(.preload, [long]), (.preload, [other])], regions: 2)
    #expect(try Self.lanes(exported(file).text) == "abababab")
  }

  @Test func `the own time within a run of compiler hooks is idle time`() throws {
    let run = TraceEvent(.load, offset: 0, length: 64, count: 4, stride: 64, spanNanoseconds: 300)
    let hooks = try exported(try recorded([(.hooks, [run])])).text
    #expect(hooks == "0x0 R\n0x40 R:100\n0x80 R:100\n0xc0 R:100\n")
    let preload = try exported(try recorded([(.preload, [run])])).text
    #expect(preload == "0x0 R\n0x40 R\n0x80 R\n0xc0 R\n")
  }

  @Test func `only what came from VANS goes back as a critical read`() throws {
    let pair = [TraceEvent(.load, offset: 0, length: 64), TraceEvent(.fence, length: 0)]
    #expect(try exported(try recorded([(.converted, pair)])).text == "0x0 C\n")
    let other = try exported(try recorded([(.preload, pair)]))
    #expect(other.text == "0x0 R\n" && other.tally.losses[.fences] == 1)
  }
}
