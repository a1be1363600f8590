// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterTestSupport
import CArbiterDecode
import Glibc
import Testing

/// A page of memory, behind which the next byte cannot be read.
@safe
private final class GuardedPage {
  static let byteCount = 4096
  let bytes: UnsafeMutableRawBufferPointer

  init?() {
    // SAFETY: two pages of our own; the second is never touched.
    let memory = unsafe mmap(
      nil, 2 * Self.byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory = unsafe memory, unsafe memory != MAP_FAILED else { return nil }
    unsafe mprotect(memory + Self.byteCount, Self.byteCount, PROT_NONE)
    unsafe bytes = UnsafeMutableRawBufferPointer(start: memory, count: Self.byteCount)
  }

  deinit {
    unsafe munmap(bytes.baseAddress, 2 * Self.byteCount)
  }

  /// The last `count` bytes, filled anew.
  func last(_ count: Int, from random: inout SeededRandom) -> UnsafeRawBufferPointer {
    let part = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[(Self.byteCount - count)...])
    for offset in stride(from: 0, to: count, by: 8) {
      var word = random.next()
      unsafe withUnsafeBytes(of: &word) {
        for at in 0..<min(8, count - offset) { unsafe part[offset + at] = $0[at] }
      }
    }
    return UnsafeRawBufferPointer(part)
  }
}

@Suite("Decoding of hostile bytes")
struct DecodingBoundsTests {
  let decoder: DecoderUnderTest

  init() throws {
    decoder = try #require(DecoderUnderTest(), "Debian's package libzydis4.0 is missing")
  }

  private static func holds(_ decoded: Decoded) -> Bool {
    decoded.accesses.isEmpty == (decoded.reason != .none) && decoded.accesses.count <= 2
      && decoded.accesses.allSatisfy { $0.byteCount > 0 && ($0.isStore || $0.isLoad) }
  }

  @Test func `a million random instructions are read within their bytes`() throws {
    let page = try #require(GuardedPage())
    var random = SeededRandom(seed: ProcessSeed.value)
    var decodedCount = 0
    for turn in 0..<1_000_000 {
      let count = 1 + Int(random.next() % 15)
      let outcome = unsafe decoder.outcome(of: page.last(count, from: &random), ip: random.next())
      if outcome > 0 { decodedCount += 1 }
      if outcome < 0 {
        Issue.record("turn \(turn): an answer against its own rules; seed \(ProcessSeed.value)")
        return
      }
    }
    #expect(decodedCount > 10_000, "random bytes are often instructions")
  }

  @Test func `random code around a sample is read within its bytes`() throws {
    let page = try #require(GuardedPage())
    var random = SeededRandom(seed: ProcessSeed.value ^ 1)
    for turn in 0..<5000 {
      let count = 1 + Int(random.next() % 400)
      let code = unsafe page.last(count, from: &random)
      let offset = Int(random.next() % UInt64(count + 2))
      let start = random.next() % 2 == 0 ? nil : Int(random.next() % UInt64(count + 2))
      let decoded = unsafe decoder.around(code, offset: offset, start: start)
      #expect(Self.holds(decoded), "turn \(turn), seed \(ProcessSeed.value)")
    }
  }

  @Test func `changed instructions of the table break no rule`() {
    var random = SeededRandom(seed: ProcessSeed.value ^ 2)
    for turn in 0..<20_000 {
      var bytes = Encoding.all[Int(random.next() % UInt64(Encoding.all.count))].bytes
      bytes[Int(random.next() % UInt64(bytes.count))] ^= UInt8(1 << (random.next() % 8))
      #expect(Self.holds(decoder.at(bytes)), "turn \(turn), seed \(ProcessSeed.value)")
    }
  }
}
