// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import CArbiterDecode
import CArbiterSampling
import Glibc

/// Why a sample gave no access, as a type of the tests.
enum UnresolvedReason: UInt32, Sendable {
  case none, noAccess, threadLocal, vector, overwritten, noCode, notCode, not64Bit, noRegisters
}

/// An access, as tests compare it.
struct DecodedAccess: Sendable, Hashable {
  var address: UInt64
  var byteCount: UInt64
  var isStore: Bool
  var isLoad: Bool
  var isNonTemporal: Bool
  var isAtomic: Bool

  static func store(
    _ address: UInt64, _ byteCount: UInt64, nonTemporal: Bool = false
  ) -> DecodedAccess {
    DecodedAccess(
      address: address, byteCount: byteCount, isStore: true, isLoad: false,
      isNonTemporal: nonTemporal, isAtomic: false)
  }

  static func load(
    _ address: UInt64, _ byteCount: UInt64, nonTemporal: Bool = false
  ) -> DecodedAccess {
    DecodedAccess(
      address: address, byteCount: byteCount, isStore: false, isLoad: true,
      isNonTemporal: nonTemporal, isAtomic: false)
  }

  static func both(
    _ address: UInt64, _ byteCount: UInt64, atomic: Bool = false
  ) -> DecodedAccess {
    DecodedAccess(
      address: address, byteCount: byteCount, isStore: true, isLoad: true,
      isNonTemporal: false, isAtomic: atomic)
  }
}

extension DecodedAccess {
  init(_ access: ArbAccess) {
    self.init(
      address: access.address, byteCount: access.byte_count, isStore: access.is_store != 0,
      isLoad: access.is_load != 0, isNonTemporal: access.is_non_temporal != 0,
      isAtomic: access.is_atomic != 0)
  }
}

/// How an access was found, as a type of the tests.
enum FoundHow: UInt32, Sendable {
  case nothing, atIP, string, before, after
}

/// What decoding gave.
struct Decoded: Sendable, Hashable {
  var accesses: [DecodedAccess]
  var found: [FoundHow]
  var reason: UnresolvedReason
}

/// The registers with which the tables were made.
enum DecodingState {
  static let ip: UInt64 = 0x40_0000
  /// In the order in which instructions encode them.
  static let registers: [UInt64] = [
    0x10000, 5, 0x20000, 0x30000, 0x7FFF_0000, 0x40000, 0x50000, 0x60000,
    0x80000, 0x1_0009_0000, 0xA0000, 0xB0000, 0xC0000, 0xD0000, 0xE0000,
    0xFFFF_FFFF_FFFF_FFF8,
  ]
  static let down: UInt64 = 0x400
}

/// The decoder in C, with its libraries loaded.
@safe
final class DecoderUnderTest {
  private let decoder: OpaquePointer

  init?() {
    let made = unsafe "libZydis.so.4.0".withCString { zydis in
      var names = unsafe ArbDecodeNames(zydis: zydis, libdw: nil)
      return unsafe arb_decoder_make(&names)
    }
    guard let made = unsafe made else { return nil }
    unsafe decoder = made
  }

  deinit {
    unsafe arb_decoder_free(decoder)
  }

  private func decoded(
    flags: UInt64, threadBase: UInt64, registers: [UInt64],
    _ body: (
      UnsafePointer<ArbMachineState>, UnsafeMutablePointer<ArbAccess>,
      UnsafeMutablePointer<UInt32>
    ) -> Int32
  ) -> Decoded {
    var accesses = [ArbAccess](repeating: ArbAccess(), count: 2)
    var reason: UInt32 = 99
    let count = unsafe registers.withUnsafeBufferPointer { registers in
      var state = unsafe ArbMachineState(
        registers: registers.baseAddress, flags: flags, fs_base: threadBase)
      // SAFETY: ARB_ACCESS_MAX is 2, and the array has as many.
      return unsafe body(&state, &accesses, &reason)
    }
    let found = accesses.prefix(Int(count))
    return Decoded(
      accesses: found.map { DecodedAccess($0) },
      found: found.map { FoundHow(rawValue: $0.found) ?? .nothing },
      reason: UnresolvedReason(rawValue: reason) ?? .none)
  }

  /// Decodes one instruction.
  func at(
    _ code: UnsafeRawBufferPointer, ip: UInt64 = DecodingState.ip, flags: UInt64 = 0,
    threadBase: UInt64 = 0, registers: [UInt64] = DecodingState.registers
  ) -> Decoded {
    unsafe decoded(flags: flags, threadBase: threadBase, registers: registers) {
      unsafe arb_decode_at(
        decoder, code.assumingMemoryBound(to: UInt8.self).baseAddress, code.count, ip, $0, $1, $2)
    }
  }

  /// How many accesses one instruction makes; -1 where the answer breaks a rule.
  func outcome(of code: UnsafeRawBufferPointer, ip: UInt64) -> Int {
    var accesses = (ArbAccess(), ArbAccess())
    var reason: UInt32 = 99
    let count = unsafe DecodingState.registers.withUnsafeBufferPointer { registers in
      var state = unsafe ArbMachineState(registers: registers.baseAddress, flags: 0, fs_base: 0)
      // SAFETY: the pair lies in memory like an array of two.
      return unsafe withUnsafeMutableBytes(of: &accesses) { pair in
        unsafe arb_decode_at(
          decoder, code.assumingMemoryBound(to: UInt8.self).baseAddress, code.count, ip, &state,
          pair.assumingMemoryBound(to: ArbAccess.self).baseAddress, &reason)
      }
    }
    let isTold = (count > 0) == (reason == 0)
    return isTold && count <= 2 && (count == 0 || accesses.0.byte_count > 0) ? Int(count) : -1
  }

  /// Decodes one instruction.
  func at(
    _ bytes: [UInt8], flags: UInt64 = 0, threadBase: UInt64 = 0,
    registers: [UInt64] = DecodingState.registers
  ) -> Decoded {
    unsafe bytes.withUnsafeBytes {
      unsafe at($0, flags: flags, threadBase: threadBase, registers: registers)
    }
  }

  /// Resolves a clock's sample at an offset of code that begins at `DecodingState.ip`.
  ///
  /// - Parameters:
  ///   - code: The code.
  ///   - offset: Of the sampled instruction.
  ///   - start: The offset of a known start of an instruction; nil without one.
  ///   - registers: Those before the sampled instruction.
  /// - Returns: What it stands for.
  func around(
    _ code: UnsafeRawBufferPointer, offset: Int, start: Int? = nil,
    registers: [UInt64] = DecodingState.registers
  ) -> Decoded {
    let base = DecodingState.ip
    var around = unsafe ArbCode(
      bytes: code.assumingMemoryBound(to: UInt8.self).baseAddress, count: code.count,
      address: base, start: start.map { base + UInt64($0) } ?? 0)
    return unsafe decoded(flags: 0, threadBase: 0, registers: registers) {
      unsafe arb_decode_around(decoder, &around, base + UInt64(offset), $0, $1, $2)
    }
  }
}

extension String {
  /// The bytes of a text such as `48 89 07`.
  var hexadecimalBytes: [UInt8] {
    let digits = compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map {
      UInt8(digits[$0] * 16 + digits[$0 + 1])
    }
  }
}

/// Code in memory of this process, which is decoded and never run.
@safe
final class CodeInMemory {
  static let pageByteCount = 4096
  let base: UnsafeMutableRawPointer
  let byteCount: Int

  /// Repeats a piece of code over whole pages.
  init?(pageCount: Int, of piece: String) {
    byteCount = pageCount * Self.pageByteCount
    // SAFETY: pages of our own. Nothing else than the kernel looks into the mapping.
    let memory = unsafe mmap(
      nil, byteCount, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory = unsafe memory, unsafe memory != MAP_FAILED else { return nil }
    unsafe base = memory
    let bytes = piece.hexadecimalBytes
    for at in 0..<byteCount {
      unsafe base.storeBytes(of: bytes[at % bytes.count], toByteOffset: at, as: UInt8.self)
    }
  }

  deinit {
    unsafe munmap(base, byteCount)
  }

  var address: UInt64 { unsafe UInt64(UInt(bitPattern: base)) }

  func write(_ piece: String, at offset: Int) {
    for (index, byte) in piece.hexadecimalBytes.enumerated() {
      unsafe base.storeBytes(of: byte, toByteOffset: offset + index, as: UInt8.self)
    }
  }
}
