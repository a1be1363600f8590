// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterProfiler
import ArbiterTestSupport
import CArbiterDecode
import CArbiterSampling
import Glibc
import Testing

/// CPU time of this thread.
private func threadNanoseconds() -> Int {
  var time = timespec()
  unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return time.tv_sec * 1_000_000_000 + time.tv_nsec
}

@Suite("Resolving of samples")
struct DecodingResolverTests {
  private static let registersAlone = ARB_SAMPLE_REGISTERS
  private static let second: Int64 = 1_000_000_000

  /// A sample of this process with the registers of ``DecodingState``.
  private static func sample(
    at ip: UInt64, seconds: Int64 = 5, has: Int = registersAlone, address: UInt64 = 0,
    process: Int32 = getpid(), registers: [UInt64] = DecodingState.registers
  ) -> ArbSample {
    var sample = ArbSample()
    sample.process = process
    sample.time_nanoseconds = seconds * second
    sample.ip = ip
    sample.has = UInt32(has)
    sample.address = address
    // SAFETY: the sample has sixteen registers, and the array as many.
    unsafe withUnsafeMutableBytes(of: &sample.registers) { place in
      unsafe registers.withUnsafeBytes { unsafe place.copyMemory(from: $0) }
    }
    return sample
  }

  private static func accesses(
    _ resolver: AccessResolver, _ sample: ArbSample, threadBase: UInt64 = 0
  ) -> [DecodedAccess] {
    var accesses: [DecodedAccess] = []
    let isResolved = resolver.resolve(sample, threadBase: threadBase) {
      accesses.append(DecodedAccess($0))
    }
    #expect(isResolved == !accesses.isEmpty)
    return accesses
  }

  @Test func `without Zydis the package is named`() {
    let error = #expect(throws: PlatformError.self) {
      try AccessResolver(libraries: DecodingLibraries(zydis: "libno-such-Zydis.so.4.0"))
    }
    #expect(error?.code == .unsupported)
    #expect(error?.description.contains("libzydis4.0") == true)
    #expect(error?.description.contains("libno-such-Zydis.so.4.0") == true)
  }

  @Test(arguments: ["libno-such-dw.so.1", "libc.so.6", nil])
  func `without libdw it works and says what is missing`(_ libdw: String?) throws {
    let resolver = try AccessResolver(libraries: DecodingLibraries(libdw: libdw))
    #expect(resolver.note?.contains("libdw1") == true)
    let code = try #require(CodeInMemory(pageCount: 1, of: "48 89 07"))
    #expect(Self.accesses(resolver, Self.sample(at: code.address)) == [.store(0x60000, 8)])
  }

  @Test func `with both libraries nothing is missing`() throws {
    #expect(try AccessResolver().note == nil)
  }

  @Test func `changed code is seen after a second, and at once when told to forget`() throws {
    let resolver = try AccessResolver()
    let code = try #require(CodeInMemory(pageCount: 1, of: "90"))
    let (old, new) = ("48 89 07", "48 8b 46 08")
    code.write(old, at: 512)
    func seen(_ seconds: Int64) -> [DecodedAccess] {
      Self.accesses(resolver, Self.sample(at: code.address + 512, seconds: seconds))
    }
    #expect(seen(10) == [.store(0x60000, 8)])
    #expect(seen(13) == [.store(0x60000, 8)])
    #expect(resolver.counts.decodedPlaceCount == 1, "unchanged code is not decoded again")
    code.write(new, at: 512)
    #expect(seen(13) == [.store(0x60000, 8)])
    #expect(seen(14) == [.load(0x50008, 8)])
    code.write(old, at: 512)
    resolver.forget(process: getpid() + 1)
    #expect(seen(14) == [.load(0x50008, 8)])
    resolver.forget(process: getpid())
    #expect(seen(14) == [.store(0x60000, 8)])
    #expect(resolver.counts.resolvedCount == 6)
    #expect(resolver.counts.unresolvedCount == 0)
  }

  @Test func `more places and pages than the tables hold come out right`() throws {
    let resolver = try AccessResolver()
    let pageCount = 300
    let code = try #require(CodeInMemory(pageCount: pageCount, of: "48 89 07"))
    for _ in 0..<2 {
      // Every instruction of some pages, and one of every page, across their ends too.
      let offsets =
        (0..<12_000).map { $0 * 3 }
        + (1..<pageCount).map { $0 * CodeInMemory.pageByteCount / 3 * 3 }
      for offset in offsets {
        var sample = Self.sample(at: code.address + UInt64(offset))
        sample.registers.7 = UInt64(offset)
        var access: ArbAccess?
        resolver.resolve(sample) { access = $0 }
        #expect(access?.address == UInt64(offset) && access?.byte_count == 8)
      }
    }
  }

  @Test func `places that are known are not decoded again; what that costs is printed`() throws {
    let resolver = try AccessResolver()
    let code = try #require(CodeInMemory(pageCount: 1, of: "48 89 07"))
    let samples = (0..<64).map { Self.sample(at: code.address + 300 + $0 * 3) }
    var byteCount: UInt64 = 0
    func resolveAll() {
      for sample in samples { resolver.resolve(sample) { byteCount += $0.byte_count } }
    }
    resolveAll()
    let began = threadNanoseconds()
    for _ in 0..<1000 { resolveAll() }
    let took = (threadNanoseconds() - began) / 64_000
    #expect(byteCount == 8 * 64 * 1001)
    #expect(resolver.counts.decodedPlaceCount == 64)
    #expect(resolver.counts.readPageCount == 1)
    print("a sample at a known place: \(took) ns of CPU time")
  }

  @Test func `the last bytes of a mapping are resolved`() throws {
    let resolver = try AccessResolver()
    let code = try #require(CodeInMemory(pageCount: 1, of: "90"))
    code.write("48 89 07", at: CodeInMemory.pageByteCount - 3)
    let last = code.address + UInt64(CodeInMemory.pageByteCount) - 3
    #expect(Self.accesses(resolver, Self.sample(at: last)) == [.store(0x60000, 8)])
  }

  @Test func `what cannot be resolved is counted by its reason`() throws {
    let resolver = try AccessResolver()
    let gone = try #require(Int32(Shell.run("printf %s $$").output))
    let code = try #require(CodeInMemory(pageCount: 1, of: "90"))
    let pieces = ["64 48 89 07", "c4 e2 6d 90 04 8f", "06", "90"]
    for (index, piece) in pieces.enumerated() { code.write(piece, at: 1000 + index * 100) }
    for index in pieces.indices {
      let sample = Self.sample(at: code.address + UInt64(1000 + index * 100))
      #expect(Self.accesses(resolver, sample).isEmpty)
    }
    let base = code.address + 1000
    #expect(Self.accesses(resolver, Self.sample(at: base, process: gone)).isEmpty)
    #expect(Self.accesses(resolver, Self.sample(at: 0x10)).isEmpty)
    #expect(Self.accesses(resolver, Self.sample(at: base, has: 0)).isEmpty)
    let counts = resolver.counts
    #expect(counts.threadLocalCount == 1)
    #expect(counts.vectorCount == 1)
    #expect(counts.notCodeCount == 1)
    #expect(counts.withoutAccessCount == 1)
    #expect(counts.unreadableCodeCount == 2)
    #expect(counts.withoutRegistersCount == 1)
    #expect(counts.unresolvedCount == 7)
    #expect(counts.resolvedCount == 0)
    let threadBase: UInt64 = 0x7000_0000
    #expect(
      Self.accesses(resolver, Self.sample(at: base), threadBase: threadBase)
        == [.store(0x7006_0000, 8)])
  }

  @Test(arguments: [
    // A store, with registers that are not those before it.
    ("48 89 47 10", 0x1234, 5, DecodedAccess.store(0x1234, 8)),
    // A gather's element.
    ("c4 e2 6d 90 04 8f", 0x1234, 5, .load(0x1234, 4)),
    // Thread-local.
    ("64 89 07", 0x1234, 5, .store(0x1234, 4)),
    // A copy: its load, its store, and neither.
    ("48 a5", 0x50004, 5, .load(0x50004, 8)),
    ("48 a5", 0x60000, 5, .store(0x60000, 8)),
    ("48 a5", 0x1234, 5, .both(0x1234, 8)),
    // A string, whose count says how far, and one whose count is used up.
    ("f3 48 ab", 0x60000, 5, .store(0x60000, 40)),
    ("f3 48 ab", 0x1234, 0, .store(0x1234, 8)),
  ])
  func `a sample's own address stays, and the instruction tells width and kind`(
    _ piece: String, _ address: UInt64, _ count: UInt64, _ expected: DecodedAccess
  ) throws {
    let resolver = try AccessResolver()
    let code = try #require(CodeInMemory(pageCount: 1, of: "90"))
    code.write(piece, at: 700)
    var registers = DecodingState.registers
    registers[ARB_RCX] = count
    let has = ARB_SAMPLE_ADDRESS | ARB_SAMPLE_REGISTERS | ARB_SAMPLE_EXACT_IP
    let sample = Self.sample(
      at: code.address + 700, has: has, address: address, registers: registers)
    #expect(Self.accesses(resolver, sample) == [expected])
  }
}
