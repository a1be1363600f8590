// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import Testing

@Suite("Byte count")
struct ByteCountTests {
  @Test(arguments: [
    ("0B", 0),
    ("256B", 256),
    ("16KiB", 16_384),
    ("2MiB", 2_097_152),
    ("3GiB", 3_221_225_472),
    ("1TiB", 1_099_511_627_776),
    ("4kB", 4000),
    ("5MB", 5_000_000),
    ("6GB", 6_000_000_000),
    ("7TB", 7_000_000_000_000),
    ("1.5KiB", 1536),
    (".5KiB", 512),
    ("0.001kB", 1),
    ("1_000_000B", 1_000_000),
    ("0010B", 10),
  ])
  func `a size with a unit is read exactly`(text: String, bytes: Int) throws {
    #expect(try ByteCount(parsing: text).bytes == bytes)
  }

  @Test(arguments: [
    // Beyond 2^53 a floating-point number would silently lose the last digit.
    ("9007199254740993B", 9_007_199_254_740_993),
    ("4611686018427387903B", 4_611_686_018_427_387_903),
    ("4503599627370495.5KiB", 4_611_686_018_427_387_392),
  ])
  func `a size near the limit keeps its last digit`(text: String, bytes: Int) throws {
    #expect(try ByteCount(parsing: text).bytes == bytes)
  }

  @Test(arguments: [
    "", "B", "16", "KiB", "-1B", "+1B", "1e3B", "0x10B", " 1B", "1 B", "1B ", "infB", "nanB",
    "1.2.3B", ".B", "_1B", "16kib", "16KIB", "16Kib", "16bytes", "٣B",
  ])
  func `a text that is no size is refused with the spelling that would be`(text: String) {
    let error = #expect(throws: QuantityError.self) { try ByteCount(parsing: text) }
    #expect(error?.text == text)
    #expect(error?.reason == "is not a size: write digits and a unit, as 16KiB")
  }

  @Test(arguments: [
    ("4k", "is ambiguous: write 4KiB or 4kB"),
    ("4K", "is ambiguous: write 4KiB or 4kB"),
    ("4KB", "is ambiguous: write 4KiB or 4kB"),
    ("1.5m", "is ambiguous: write 1.5MiB or 1.5MB"),
    ("2G", "is ambiguous: write 2GiB or 2GB"),
    ("2t", "is ambiguous: write 2TiB or 2TB"),
  ])
  func `a unit with two meanings is answered with both`(text: String, reason: String) {
    let error = #expect(throws: QuantityError.self) { try ByteCount(parsing: text) }
    #expect(error?.reason == reason)
    #expect(error?.description == "'\(text)' \(reason)")
  }

  @Test(arguments: ["0.5B", "0.0001kB", "4611686018427387904B", "4194304TiB", "9999999999999TB"])
  func `a part of a byte and a size of 2^62 and more are refused`(text: String) {
    let error = #expect(throws: QuantityError.self) { try ByteCount(parsing: text) }
    #expect(error?.reason == "is not a whole number of bytes below 2^62")
  }

  @Test(arguments: [
    (0, "0B"), (1, "1B"), (1000, "1000B"), (1023, "1023B"), (1024, "1KiB"), (1025, "1025B"),
    (1536, "1536B"), (16_384, "16KiB"), (1 << 20, "1MiB"), (3 << 30, "3GiB"), (5 << 40, "5TiB"),
  ])
  func `a size prints with the largest binary unit that is exact`(bytes: Int, text: String) {
    #expect(ByteCount(bytes: bytes).description == text)
  }

  @Test func `what is printed is read back`() throws {
    var random = SeededRandom(seed: 23)
    for _ in 0..<1009 {
      let size = ByteCount(bytes: Int(random.next() >> 2) >> random.below(62))
      #expect(try ByteCount(parsing: size.description) == size)
    }
  }

  @Test func `the named units are powers of 1024`() {
    #expect(ByteCount.kibibytes(3).bytes == 3072)
    #expect(ByteCount.mebibytes(3) == ByteCount.kibibytes(3072))
    #expect(ByteCount.gibibytes(3) == ByteCount.mebibytes(3072))
    #expect(ByteCount.kibibytes(1) < ByteCount.kibibytes(2))
  }

  @Test func `a unit beyond the range of a count traps instead of losing bits`() async {
    await #expect(processExitsWith: .failure) { _ = ByteCount.gibibytes(1 << 34) }
    await #expect(processExitsWith: .failure) { _ = ByteCount(bytes: -1) }
  }

  @Test func `a media block is four cache lines`() {
    #expect(Granularity.linesPerMediaBlock == 4)
    #expect(Granularity.linesPerMediaBlock * Granularity.cacheLineBytes == 256)
  }
}
