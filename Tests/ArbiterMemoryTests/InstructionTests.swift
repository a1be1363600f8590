// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMemory
import ArbiterPlatform
import ArbiterTestSupport
import CTestSupport
import Glibc
import Testing

/// pmem_memcpy_persist of libpmem, where it is installed.
private typealias MemcpyPersist =
  @convention(c) (UnsafeMutableRawPointer?, UnsafeRawPointer?, Int) -> UnsafeMutableRawPointer?

/// One call whose instructions are counted.
@unsafe
private struct Call {
  var operations: PersistOperations
  var method: CopyMethod
  var target: UnsafeMutableRawPointer
  var source: UnsafeRawPointer
  var byteCount: Int
  var isFill = false
  var libpmem: MemcpyPersist?

  func counted() throws -> ArbTestInstructions {
    var call = unsafe self
    var counts = ArbTestInstructions()
    let status = unsafe arb_test_count_instructions(
      { context in
        // SAFETY: the context is the call, which outlives the child.
        guard let call = unsafe context?.assumingMemoryBound(to: Call.self) else { return }
        unsafe call.pointee.make()
      }, &call, &counts)
    try #require(status == 0)
    return counts
  }

  func make() {
    if let libpmem = unsafe libpmem {
      _ = unsafe libpmem(target, source, byteCount)
    } else if unsafe isFill {
      unsafe operations.fill(target, byteCount: byteCount, with: 1, by: method)
      PersistOperations.drain()
    } else {
      unsafe operations.move(from: source, to: target, byteCount: byteCount, by: method)
      PersistOperations.drain()
    }
  }
}

extension ArbTestInstructions {
  var flushes: UInt64 { clwb + clflushopt + clflush }
}

/// Whether a process may step its child here.
private let canStep: Bool = {
  var counts = ArbTestInstructions()
  return unsafe arb_test_count_instructions({ _ in }, nil, &counts) == 0
}()

@Suite(
  "Executed instructions", .serialized, .enabled(if: canStep, "a child cannot be stepped here"))
struct InstructionTests {
  private static let room = 1 << 20

  private static func lines(_ offset: Int, _ size: Int) -> UInt64 {
    size == 0 ? 0 : UInt64((offset + size - 1) / 64 - offset / 64 + 1)
  }

  /// Every vector with the best flush, and every flush with the widest vector.
  static let engines: [(CopyVector, FlushInstruction)] = {
    let features = ProcessorFeatures.detect()
    return CopyEngineTests.vectors.map { ($0, features.bestFlush) }
      + features.flushInstructions.dropFirst().map { (CopyVector.best, $0) }
  }()

  @Test(arguments: engines)
  func `every line is written back once, or goes past the cache`(
    vector: CopyVector, flush: FlushInstruction
  ) throws {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: Self.room, alignment: 4096)
    let source = UnsafeMutableRawPointer.allocate(byteCount: Self.room, alignment: 4096)
    defer {
      unsafe memory.deallocate()
      unsafe source.deallocate()
    }
    unsafe memset(source, 3, Self.room)
    let operations = PersistOperations(granularity: .cacheLine, flush: flush, vector: vector)
    let eager = PersistOperations(granularity: .byte, flush: flush, vector: vector)
    for size in [0, 65, 600] {
      for offset in [0, 33] {
        for isFill in [false, true] {
          var call = unsafe Call(
            operations: operations, method: .cached, target: memory + offset, source: source,
            byteCount: size, isFill: isFill)
          let cached = unsafe try call.counted()
          #expect(cached.flushes == Self.lines(offset, size), "cached, \(size) bytes to \(offset)")
          #expect(cached.stream == 0)
          #expect(cached.fence == 1)
          unsafe call.method = .nonTemporal
          let past = unsafe try call.counted()
          // Whole lines inside the range go past the cache; ragged edges are written back.
          let firstWhole = (offset + 63) / 64
          let whole = UInt64(max(0, (offset + size) / 64 - firstWhole))
          #expect(past.stream == whole * 4 >> UInt64(vector.rawValue), "\(size) to \(offset)")
          #expect(past.flushes == Self.lines(offset, size) - whole, "\(size) to \(offset)")
          #expect(past.fence == 1)
          unsafe call.operations = eager
          let survivesInCache = unsafe try call.counted()
          #expect(survivesInCache.flushes == 0)
          #expect(survivesInCache.fence == 1)
          #expect(survivesInCache.stream == past.stream)
        }
        let used = unsafe try Call(
          operations: operations, method: .cached, target: memory + offset, source: source,
          byteCount: size
        ).counted()
        switch flush {
        case .clwb: #expect(used.flushes == used.clwb)
        case .clflushopt: #expect(used.flushes == used.clflushopt)
        case .clflush: #expect(used.flushes == used.clflush)
        }
      }
    }
  }

  /// libpmem with every place taken for persistent memory.
  private static func libpmem() -> MemcpyPersist? {
    unsafe setenv("PMEM_IS_PMEM_FORCE", "1", 1)
    guard let library = unsafe dlopen("libpmem.so.1", RTLD_NOW),
      let symbol = unsafe dlsym(library, "pmem_memcpy_persist")
    else { return nil }
    // SAFETY: the type is that of libpmem.h.
    return unsafe unsafeBitCast(symbol, to: MemcpyPersist.self)
  }

  @Test(.enabled(if: unsafe libpmem() != nil, "libpmem.so.1 is not installed"))
  func `a persisted copy flushes and fences as often as libpmem's`() throws {
    let libpmem = unsafe try #require(unsafe Self.libpmem())
    let memory = UnsafeMutableRawPointer.allocate(byteCount: Self.room, alignment: 4096)
    let source = UnsafeMutableRawPointer.allocate(byteCount: Self.room, alignment: 4096)
    defer {
      unsafe memory.deallocate()
      unsafe source.deallocate()
    }
    unsafe memset(source, 3, Self.room)
    let operations = PersistOperations(
      granularity: .cacheLine, flush: ProcessorFeatures.detect().bestFlush)
    print("bytes: flushes, fences, non-temporal stores, instructions; ours | libpmem's")
    for size in [64, 128, 192, 256, 512, 1024, 4096, 65536] {
      var call = unsafe Call(
        operations: operations, method: .automatic, target: memory, source: source,
        byteCount: size)
      let ours = unsafe try call.counted()
      unsafe call.libpmem = libpmem
      let theirs = unsafe try call.counted()
      print(
        "\(size): \(ours.flushes), \(ours.fence), \(ours.stream), \(ours.all) | "
          + "\(theirs.flushes), \(theirs.fence), \(theirs.stream), \(theirs.all)")
      #expect(ours.flushes == theirs.flushes, "\(size) bytes")
      #expect(ours.fence == theirs.fence, "\(size) bytes")
    }
  }
}
