// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlatform
import ArbiterProfiler
import CArbiterSampling
import Glibc
import Testing

/// Precise samples as a ring gives them.
private final class RingSource: AccessSource {
  let backEnd = BackEnd.pebs
  let ring: FakeRing
  private let resolver: AccessResolver
  private var reading = PreciseReading(storeEvents: 2)

  init(_ ring: FakeRing) throws {
    self.ring = ring
    resolver = try AccessResolver()
  }

  var losses: SamplingLosses {
    var losses = SamplingLosses()
    losses.sampleCount = ring.counts.samples
    losses.resolvedCount = reading.resolvedCount
    return losses
  }

  func drain(_ body: (SampledAccess) -> Void) {
    for sample in ring.drain().samples { reading.read(sample, by: resolver, body) }
  }

  func stop() {}
}

@Suite("Precise samples, from the ring to the account")
struct PreciseReadingTests {
  private static let period = 10_000.0
  /// The processor tells that the instruction is exact; in user mode.
  private static let exact: UInt16 = 1 << 14 | 2
  /// The kernel's numbers of registers.
  private enum Place {
    static let rcx = 2
    static let rsi = 4
    static let rdi = 5
    static let flags = 9
  }

  /// A sample of this process behind the instruction at `ip`.
  private static func record(
    _ event: UInt64, at ip: UInt64, _ address: UInt64, rsi: UInt64 = 1, rdi: UInt64 = 1,
    rcx: UInt64 = 0, isDown: Bool = false, misc: UInt16 = exact
  ) -> FakeRecord {
    var sample = FakeSample(ip: ip, process: getpid(), thread: getpid(), address: address)
    sample.registers[Place.rcx] = rcx
    sample.registers[Place.rsi] = rsi
    sample.registers[Place.rdi] = rdi
    sample.registers[Place.flags] = isDown ? 0x400 : 0
    return sample.record(event: event, misc: misc)
  }

  @Test(arguments: [
    // Not repeated: one element, whatever registers say by then.
    ("48 89 47 10", 0x1010, 0x9999, 0x7777, 5, false, 0x1010, 8),
    ("c5 fd 7f 07", 0x1000, 0, 0, 0, false, 0x1000, 32),
    ("48 a5", 0x2000, 0x1008, 0x2008, 0, false, 0x2000, 8),
    // A fill, from its first element; from its last; interrupted with much left.
    ("f3 48 ab", 0x1000, 0, 0x1028, 0, false, 0x1000, 40),
    ("f3 48 ab", 0x1020, 0, 0x1028, 0, false, 0x1020, 8),
    ("f3 48 ab", 0x1000, 0, 0x1010, 1000, false, 0x1000, 16),
    // Pointers of another address, beyond belief or between elements, tell nothing.
    ("f3 48 ab", 0x1000, 0, 0x800, 0, false, 0x1000, 8),
    ("f3 48 ab", 0x1000, 0, 0x1003, 0, false, 0x1000, 8),
    ("f3 48 ab", 0x1000, 0, 0x7FFF_0000_0000_1000, 0, false, 0x1000, 8),
    // Downwards the address is the highest one.
    ("f3 48 ab", 0x1020, 0, 0x0FF8, 0, true, 0x1000, 40),
    // Copies of 100 bytes: the side whose memory it is, wherever the other lies.
    ("f3 a4", 0x2000, 0x1064, 0x2064, 0, false, 0x2000, 100),
    ("f3 a4", 0x2000, 0x9064, 0x2064, 0, false, 0x2000, 100),
  ])
  func `the width of a store is told by what is left behind it`(
    _ piece: String, _ address: UInt64, _ rsi: UInt64, _ rdi: UInt64, _ rcx: UInt64,
    _ isDown: Bool, _ low: UInt64, _ bytes: UInt64
  ) throws {
    let code = try #require(CodeInMemory(pageCount: 1, of: "90"))
    code.write(piece, at: 700)
    let ring = FakeRing(size: 4096)
    ring.write(
      Self.record(
        FakeRing.stores, at: code.address + 700, address, rsi: rsi, rdi: rdi, rcx: rcx,
        isDown: isDown))
    let source = try RingSource(ring)
    var accesses: [SampledAccess] = []
    source.drain { accesses.append($0) }
    #expect(accesses.map(\.address) == [low] && accesses.map(\.byteCount) == [bytes])
    #expect(accesses.first?.weight == Double(bytes) * Self.period)
    #expect(accesses.first?.isStore == true && accesses.first?.isLoad == false)
  }

  @Test func `bytes reach the account through rings that wrap around`() throws {
    let code = try #require(CodeInMemory(pageCount: 1, of: "90"))
    let pieces = ["48 89 07", "88 07", "f3 48 ab", "8b 06", "f3 a4", "f0 48 01 07"]
    for (index, piece) in pieces.enumerated() { code.write(piece, at: 100 * index) }
    func place(_ index: Int) -> UInt64 { code.address + UInt64(100 * index) }
    let machine = FakeMachine()
    machine.setFacts(getpid(), "writer", start: 50)
    machine.setMaps(
      getpid(), ["10000-20000 rw-s 0 08:01 9 /a", "30000-40000 rw-s 0 08:01 10 /b"])
    // Records of 200 bytes: none of them ends where the ring does.
    let ring = FakeRing(size: 2048, start: 1992)
    let source = try RingSource(ring)
    var account = Accountant(
      of: source, by: .process, classifier: MappingClassifier(tree: machine.tree),
      tree: machine.tree)
    for round in 0..<23 {
      let offset = UInt64(round) * 64
      ring.write(Self.record(FakeRing.stores, at: place(0), 0x1_0000 + offset))
      ring.write(Self.record(FakeRing.stores, at: place(1), 0x3_0000 + offset))
      ring.write(
        Self.record(FakeRing.stores, at: place(2), 0x3_1000, rdi: 0x3_1000 + 8 * 100))
      ring.write(Self.record(FakeRing.loads, at: place(3), 0x1_0000 + offset))
      // A copy from one to the other, sampled by what it stores and by what it loads.
      let ends: (rsi: UInt64, rdi: UInt64) = (0x1_0400, 0x3_0400)
      ring.write(
        Self.record(FakeRing.stores, at: place(4), 0x3_0000, rsi: ends.rsi, rdi: ends.rdi))
      ring.write(
        Self.record(FakeRing.loads, at: place(4), 0x1_0000, rsi: ends.rsi, rdi: ends.rdi))
      // What is added to memory is loaded and stored; each event tells its own side.
      ring.write(Self.record(FakeRing.loads, at: place(5), 0x1_0000))
      // Without an exact instruction no width is known.
      ring.write(Self.record(FakeRing.stores, at: place(0), 0x1_0000, misc: 2))
      account.drain(now: Int64(round))
    }
    let reading = account.reading()
    #expect(ring.counts.samples == 23 * 8 && ring.counts.truncated == 0)
    #expect(reading.losses.resolvedCount == 23 * 7)
    let (a, b) = try (
      #require(reading.rows.first { $0.mapping.name == "/a" }),
      #require(reading.rows.first { $0.mapping.name == "/b" })
    )
    let scale = 23 * Self.period
    #expect(a.written.value == 8 * scale)
    #expect(b.written.value == (1 + 800 + 1024) * scale)
    #expect(a.read.value?.value == (4 + 1024 + 8) * scale && b.read.value?.value == 0)
    let shares = reading.rows.compactMap(\.share).reduce(0, +)
    #expect(abs(shares - 1) < 1e-12)
    // The variance of a sum of weights is the sum of their squares; a little more for few samples.
    let squares = 23 * Self.period * Self.period * (1 + 800 * 800 + 1024 * 1024)
    #expect(b.written.standardError > squares.squareRoot())
    #expect(b.written.standardError < 1.2 * squares.squareRoot())
    #expect(reading.tasks.first?.unresolvedCount == 23)
  }

  @Test func `what the processor does not tell exactly or by address is not resolved`() throws {
    let code = try #require(CodeInMemory(pageCount: 1, of: "48 89 07"))
    let ring = FakeRing(size: 4096)
    ring.write(Self.record(FakeRing.stores, at: code.address, 0x1000, misc: 2))
    ring.write(Self.record(FakeRing.stores, at: code.address, 0))
    ring.write(Self.record(FakeRing.loads, at: code.address, 0x1000))
    let source = try RingSource(ring)
    var accesses: [SampledAccess] = []
    source.drain { accesses.append($0) }
    #expect(accesses.map(\.address) == [nil, nil, nil])
    #expect(accesses.allSatisfy { $0.weight == 8 * Self.period })
    #expect(source.losses.sampleCount == 3 && source.losses.resolvedCount == 0)
  }
}
