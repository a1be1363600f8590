// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlacement
import Testing

@Suite struct `a recording of tiering` {
  private static let header = TierRecordingHeader(
    tiers: TierPair(
      fastBytes: 2 << 30,
      fast: TierTiming(
        loadNanoseconds: 101, storeNanoseconds: 104.5, readBytesPerSecond: 1e11,
        writeBytesPerSecond: 9e10),
      slow: TierTiming(
        loadNanoseconds: 368, storeNanoseconds: 480.25, readBytesPerSecond: 3.9e10,
        writeBytesPerSecond: 1.3e10),
      migrationNanoseconds: 10_000),
    weightUnit: .nanoseconds, samplingPeriodNanoseconds: 1_000_000, policy: "arbiter",
    tracker: "timer", backEnd: "file", command: ["./a program", "x=100%", "", "ü"])

  private static let events: [TierEvent] = {
    var chunk = ManagedChunk(process: 7, address: 0x7f00_0020_0000, slowIslands: [])
    chunk.presentIslands = IslandSet(rawValue: 0xff)
    chunk.isMovable = false
    let migration = Migration(
      chunk: 3, islands: IslandSet(rawValue: 0x8000_0000_0000_0001), to: .slow, because: .exchange)
    return [
      TierEvent(at: 0, .chunk(number: 3, chunk)),
      TierEvent(
        at: 17, .sample(TierSample(chunk: 3, island: 63, isStore: true, weight: 1_000_000))),
      TierEvent(
        at: 17, .sample(TierSample(chunk: 3, island: 0, isStore: false, weight: 0.125))),
      TierEvent(at: 2_000_000_000, .period(nanoseconds: 4_000_000)),
      TierEvent(at: 2_000_000_001, .decision(migration)),
      TierEvent(
        at: 2_000_500_000,
        .outcome(
          MigrationOutcome(
            migration, status: .busy, bytesCopied: 65536, protectedNanoseconds: 12,
            cpuNanoseconds: 34, stallCount: 5))),
      TierEvent(at: 3_000_000_000, .gone(number: 3)),
      TierEvent(at: 3_000_000_000, .end),
    ]
  }()

  @Test func `what is written is read back`() throws {
    let bytes = TierRecording(header: Self.header, events: Self.events).bytes
    let back = try TierRecording(parsing: bytes)
    #expect(back.header == Self.header)
    #expect(back.events == Self.events)
    #expect(back.isComplete)
    #expect(back.durationNanoseconds == 3_000_000_000)
    #expect(back.bytes == bytes)
  }

  @Test func `a recording that was cut anywhere is read up to its last whole line`() throws {
    let bytes = TierRecording(header: Self.header, events: Self.events).bytes
    let first = try #require(bytes.firstIndex(of: UInt8(ascii: "\n")))
    for end in (first + 1)..<bytes.count {
      let back = try TierRecording(parsing: Array(bytes[..<end]))
      #expect(back.events.elementsEqual(Self.events.prefix(back.events.count)))
      #expect(!back.isComplete)
    }
  }

  @Test func `an event that comes late gets the time of the one before`() throws {
    let sample = TierEvent.Kind.sample(TierSample(chunk: 0, island: 1, isStore: false, weight: 1))
    let back = try TierRecording(
      parsing: TierRecording(
        header: Self.header, events: [TierEvent(at: 9, sample), TierEvent(at: 5, sample)]
      ).bytes)
    #expect(back.events.map(\.timeNanoseconds) == [9, 9])
  }

  @Test(
    arguments: [
      "x 0", "s 0 0 64 r 1", "s 0 0 1 q 1", "s 0 0 1 r nan", "s 0 0 1 r -1", "s -1 0 1 r 1",
      "s 0 0 1 r 1 2", "s 0 99999999999 1 r 1", "c 0 0 1 123 0 0 1", "d 0 0 u 1 hot",
      "d 0 0 f 1 whim", "o 0 0 f 1 hot moved 1 2", "g 0", "", "s  0 0 1 r 1",
      "p 40000000000000000 1000000",
    ])
  func `a line that makes no sense is named`(_ line: String) throws {
    let good = TierRecording(header: Self.header, events: [Self.events[0]]).bytes
    let error = #expect(throws: TierRecordingError.self) {
      try TierRecording(parsing: good + Array((line + "\n").utf8))
    }
    #expect(error?.line == 3)
  }

  @Test(arguments: ["", "\n", "arbiter-tier-2 a=b\n", "arbiter-tier-1\n", "arbiter-tier-1 a\n"])
  func `a header that makes no sense is refused`(_ text: String) {
    let error = #expect(throws: TierRecordingError.self) {
      try TierRecording(parsing: Array(text.utf8))
    }
    #expect(error?.line == 1)
  }
}
