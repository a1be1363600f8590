// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import CArbiterDecode
import Testing

@Suite("Decoding of single instructions")
struct DecodingTableTests {
  let decoder: DecoderUnderTest

  init() throws {
    decoder = try #require(DecoderUnderTest(), "Debian's package libzydis4.0 is missing")
  }

  @Test(arguments: Encoding.all)
  func `an instruction's accesses are those that the table tells`(_ encoding: Encoding) {
    let flags = encoding.goesDown ? DecodingState.down : 0
    let decoded = decoder.at(encoding.bytes, flags: flags)
    #expect(decoded.accesses == encoding.accesses)
    #expect(decoded.reason == encoding.reason)
    #expect(decoded.found.allSatisfy { $0 == (encoding.isString ? .string : .atIP) })
  }

  @Test(arguments: Encoding.all)
  func `what follows an instruction changes nothing, and without its last byte it is none`(
    _ encoding: Encoding
  ) {
    let flags = encoding.goesDown ? DecodingState.down : 0
    let whole = decoder.at(encoding.bytes, flags: flags)
    #expect(decoder.at(encoding.bytes + [0x0F, 0xF3, 0x48], flags: flags) == whole)
    #expect(decoder.at(encoding.bytes.dropLast(), flags: flags).reason == .notCode)
  }

  @Test(.enabled(if: Shell.has("as") && Shell.has("objcopy")))
  func `the assembler makes the same bytes of the table's texts`() throws {
    let folder = TemporaryFolder()
    let texts = Encoding.all.map {
      // The assembler knows no other repeat of a copy.
      $0.text == "repne movsb" ? ".byte 0xf2; movsb" : $0.text
    }
    folder.write(
      ".intel_syntax noprefix\n" + texts.joined(separator: "\n") + "\n", to: "table.s")
    let outcome = try Shell.run(
      "as table.s -o table.o && objcopy -O binary -j .text table.o table.bin"
        + " && od -An -v -tx1 table.bin",
      in: folder.path)
    try #require(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.hexadecimalBytes == Encoding.all.flatMap(\.bytes))
    #expect(Encoding.all.count >= 80)
  }

  @Test func `thread-local data resolves with the thread's base`() {
    // mov qword ptr fs:[rdi+8], rax
    let code = "64 48 89 47 08".hexadecimalBytes
    #expect(decoder.at(code).reason == .threadLocal)
    #expect(
      decoder.at(code, threadBase: 0x7000_0000).accesses == [.store(0x7006_0008, 8)])
    // The base of GS is not that of FS.
    #expect(decoder.at("65 89 07".hexadecimalBytes, threadBase: 1).reason == .threadLocal)
  }

  @Test func `a count of nothing is no access, and one that would wrap is one element`() {
    var registers = DecodingState.registers
    registers[ARB_RCX] = 0
    #expect(decoder.at("f3 aa".hexadecimalBytes, registers: registers).reason == .noAccess)
    registers[ARB_RCX] = .max
    for code in ["f3 aa", "f3 48 ab", "f3 66 ab"] {
      let width: UInt64 = code == "f3 aa" ? 1 : code == "f3 48 ab" ? 8 : 2
      let decoded = decoder.at(code.hexadecimalBytes, registers: registers)
      #expect(decoded.accesses == [.store(0x60000, width)])
      let down = decoder.at(
        code.hexadecimalBytes, flags: DecodingState.down, registers: registers)
      #expect(down.accesses == [.store(0x60000, width)])
    }
    // With 32-bit addresses the count has 32 bits.
    registers[ARB_RCX] = 0x1_0000_0003
    #expect(
      decoder.at("67 f3 aa".hexadecimalBytes, registers: registers).accesses
        == [.store(0x60000, 3)])
  }

  @Test func `an address wraps as the processor's does`() {
    var registers = DecodingState.registers
    registers[ARB_RDI] = .max
    // mov byte ptr [rdi+2], al
    #expect(
      decoder.at("88 47 02".hexadecimalBytes, registers: registers).accesses == [.store(1, 1)])
  }
}
