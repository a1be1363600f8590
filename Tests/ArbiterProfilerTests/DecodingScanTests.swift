// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import Testing

/// Code, of which one instruction was sampled.
struct ScanCase: Sendable, CustomStringConvertible {
  let description: String
  /// Instructions, one each.
  let pieces: [String]
  /// Which of them was sampled.
  let sampled: Int
  let expected: Decoded

  init(
    _ description: String, _ pieces: [String], at sampled: Int, _ found: FoundHow,
    _ access: DecodedAccess
  ) {
    self.description = description
    self.pieces = pieces
    self.sampled = sampled
    expected = Decoded(accesses: [access], found: [found], reason: .none)
  }

  init(_ description: String, _ pieces: [String], at sampled: Int, _ reason: UnresolvedReason) {
    self.description = description
    self.pieces = pieces
    self.sampled = sampled
    expected = Decoded(accesses: [], found: [], reason: reason)
  }

  var bytes: [UInt8] { pieces.flatMap(\.hexadecimalBytes) }
  var offset: Int { pieces.prefix(sampled).flatMap(\.hexadecimalBytes).count }
}

private let nop = "90"
private let storeRDI = "48 89 07"  // mov [rdi], rax
private let storeRSI = "48 89 06"  // mov [rsi], rax
private let storeIndexed = "48 89 04 d7"  // mov [rdi+rdx*8], rax
private let loadRDI = "48 8b 07"  // mov rax, [rdi]
private let loadRSI = "48 8b 06"  // mov rax, [rsi]
private let add = "48 83 c0 01"  // add rax, 1
private let spill = "48 89 44 24 08"  // mov [rsp+8], rax
private let rdi = DecodedAccess.store(0x60000, 8)

@Suite("Decoding around a sample")
struct DecodingScanTests {
  let decoder: DecoderUnderTest

  init() throws {
    decoder = try #require(DecoderUnderTest(), "Debian's package libzydis4.0 is missing")
  }

  static let behind: [ScanCase] = [
    ScanCase("a store just before", [storeRDI, nop], at: 1, .before, rdi),
    ScanCase("four before", [storeRDI, nop, nop, add, nop], at: 4, .before, rdi),
    ScanCase("five before", [storeRDI, nop, nop, nop, add, nop], at: 5, .noAccess),
    ScanCase("its base overwritten", [storeRDI, "48 89 d7", nop], at: 2, .overwritten),
    ScanCase("a byte of its base", [storeRDI, "40 b7 01", nop], at: 2, .overwritten),
    ScanCase("its index overwritten", [storeIndexed, "48 ff c2", nop], at: 2, .overwritten),
    ScanCase(
      "another register", [storeIndexed, "48 ff c3", nop], at: 2, .before,
      .store(0x160000, 8)),
    // xadd [rax], rax
    ScanCase("it overwrites its own base", ["48 0f c1 00", nop], at: 1, .overwritten),
    // mul rbx writes rdx without naming it.
    ScanCase("overwritten unnamed", [storeIndexed, "48 f7 e3", nop], at: 2, .overwritten),
    ScanCase("a branch between", [storeRDI, "75 01", nop, nop], at: 2, .noAccess),
    ScanCase("a call between", [storeRDI, "e8 00 01 00 00", nop], at: 2, .noAccess),
    ScanCase("a system call between", [storeRDI, "0f 05", nop], at: 2, .noAccess),
    ScanCase("a trap between", [storeRDI, "cc", nop], at: 2, .noAccess),
    ScanCase("a loop's head at the sample", [storeRDI, nop, nop, "75 fd"], at: 2, .noAccess),
    ScanCase("a loop's head between", [storeRDI, nop, nop, "75 fc"], at: 2, .noAccess),
    ScanCase("a loop with the store in it", [storeRDI, nop, nop, "75 f9"], at: 2, .before, rdi),
    ScanCase("the inner loop counts", [storeRDI, nop, "75 fa", "75 fb"], at: 1, .before, rdi),
    ScanCase("an outer loop does not help", [storeRDI, nop, "75 fd", "75 f8"], at: 1, .noAccess),
    ScanCase("a jump back from elsewhere", [storeRDI, nop, "eb 02", "eb fb"], at: 1, .before, rdi),
    ScanCase("a branch over the store", ["74 03", storeRDI, nop], at: 2, .noAccess),
    ScanCase("a branch to the store", ["74 00", storeRDI, nop], at: 2, .before, rdi),
    ScanCase("a string's registers move on", ["f3 aa", nop], at: 1, .overwritten),
    ScanCase("past a spill", [storeRDI, spill, nop], at: 2, .before, rdi),
    ScanCase("past a push", [storeRDI, "50", nop], at: 2, .before, rdi),
    ScanCase("a spill alone", [spill, nop], at: 1, .before, .store(0x7FFF_0008, 8)),
    ScanCase("before a push", [storeRDI, "50"], at: 1, .before, rdi),
    ScanCase("a push alone", [nop, "50"], at: 1, .atIP, .store(0x7FFE_FFF8, 8)),
    ScanCase("the sampled store goes first", [storeRSI, storeRDI], at: 1, .atIP, rdi),
    ScanCase("before a sampled load", [storeRDI, loadRSI], at: 1, .before, rdi),
    ScanCase("of one thread", [nop, "64 48 89 04 25 28 00 00 00"], at: 1, .threadLocal),
    ScanCase("no instruction", [storeRDI, "06 06"], at: 1, .notCode),
    ScanCase("the nearest load", [storeRDI, loadRSI, nop], at: 2, .before, .load(0x50000, 8)),
  ]

  static let ahead: [ScanCase] = [
    ScanCase("the next store", [nop, add, storeIndexed], at: 1, .after, .store(0x160000, 8)),
    ScanCase("its index changes", [nop, "48 89 c2", storeIndexed], at: 1, .noAccess),
    ScanCase("behind a branch", [nop, nop, "75 01", storeRDI], at: 1, .noAccess),
    ScanCase(
      "sixteen on", [nop] + Array(repeating: nop, count: 16) + [storeRDI], at: 1, .after, rdi),
    ScanCase(
      "seventeen on", [nop] + Array(repeating: nop, count: 17) + [storeRDI], at: 1, .noAccess),
    ScanCase("at the load it modifies", [nop, loadRDI, add, storeRDI], at: 1, .after, rdi),
    ScanCase("behind that load", [nop, loadRDI, add, storeRDI], at: 2, .after, rdi),
    ScanCase(
      "at a load of something else", [nop, loadRSI, storeRDI], at: 1, .atIP,
      .load(0x50000, 8)),
    ScanCase(
      "behind such a load", [nop, loadRSI, add, storeRDI], at: 2, .before,
      .load(0x50000, 8)),
    // mov rax, [rax]
    ScanCase("behind a load that is lost", ["48 8b 00", add, storeRDI], at: 1, .overwritten),
    ScanCase("a string is not yet counted", [nop, nop, "f3 aa"], at: 1, .noAccess),
    ScanCase("code ends", [nop, nop], at: 1, .noAccess),
  ]

  @Test(arguments: behind)
  func `the access behind a sample`(_ scan: ScanCase) {
    expect(scan, start: 0)
  }

  @Test(arguments: ahead)
  func `the store ahead of a sample`(_ scan: ScanCase) {
    expect(scan, start: 0)
  }

  private func expect(_ scan: ScanCase, start: Int?) {
    let decoded = unsafe scan.bytes.withUnsafeBytes {
      unsafe decoder.around($0, offset: scan.offset, start: start)
    }
    #expect(decoded == scan.expected)
  }

  /// Arithmetic of instructions of many lengths, without branches.
  static let arithmetic = [
    "48 8d 44 1e 04", "48 01 d8", "31 c0", "48 c7 c3 10 00 00 00", "0f b6 c0", add, "c1 e3 05",
    "49 b8 01 02 03 04 05 06 07 08", "48 0f af c3", "f7 d3",
  ]

  @Test(arguments: [
    ("48 89 07", DecodedAccess.store(0x60000, 8)),
    ("89 07", .store(0x60000, 4)),
    ("66 89 07", .store(0x60000, 2)),
    ("41 88 40 05", .store(0x80005, 1)),
    ("f0 48 01 07", .both(0x60000, 8, atomic: true)),
    ("66 0f e7 07", .store(0x60000, 16, nonTemporal: true)),
    ("2e 2e 2e 66 89 07", .store(0x60000, 2)),
    ("62 f1 fe 48 7f 07", .store(0x60000, 64)),
  ])
  func `starts vote for an instruction with its prefixes`(
    _ store: String, _ access: DecodedAccess
  ) {
    for rotation in Self.arithmetic.indices {
      let before = Self.arithmetic[rotation...] + Self.arithmetic[..<rotation]
      let pieces = Array(before) + Array(before) + [store, nop]
      expect(ScanCase("by vote", pieces, at: pieces.count - 1, .before, access), start: nil)
      // A wrong start, in the middle of the first instruction, meets the code or is not believed.
      expect(ScanCase("by vote", pieces, at: pieces.count - 1, .before, access), start: 1)
    }
  }

  @Test func `too few votes decide nothing`() {
    let scan = ScanCase("few", [nop, nop, nop, storeRDI, nop], at: 4, .noAccess)
    expect(scan, start: nil)
  }

  @Test func `nothing before a known start is looked at`() {
    let pieces = Self.arithmetic + Self.arithmetic + [storeRDI, nop]
    let scan = ScanCase("at the start", pieces, at: pieces.count - 1, .noAccess)
    expect(scan, start: scan.offset)
  }

  @Test func `a known start is right where data would mislead the vote`() {
    // jmp over 40 bytes of data that look like prefixes of what follows: movabs rax, imm64.
    let data = Array(repeating: "48 b8", count: 20).joined(separator: " ")
    let scan = ScanCase(
      "behind data", ["eb 28", data, storeRDI, nop], at: 3, .before, rdi)
    let voted = unsafe scan.bytes.withUnsafeBytes {
      unsafe decoder.around($0, offset: scan.offset, start: nil)
    }
    #expect(voted != scan.expected, "the vote would do as well, so that this test shows nothing")
    expect(scan, start: 42)
    expect(scan, start: 0)
  }
}
