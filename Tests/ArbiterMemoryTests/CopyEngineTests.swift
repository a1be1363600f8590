// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMemory
import ArbiterPlatform
import Glibc
import Testing

/// Memory in which a copy, a fill or a move is done, with a model of it to compare with.
@safe
private struct Bench: ~Copyable {
  /// Bytes on both sides of every target that must stay as they are.
  static let margin = 256
  let size: Int
  let memory: UnsafeMutableRawPointer
  let model: UnsafeMutableRawPointer
  let source: UnsafeMutableRawPointer

  init(largest: Int) {
    size = largest + 2 * Self.margin + 128
    unsafe memory = .allocate(byteCount: size, alignment: 4096)
    unsafe model = .allocate(byteCount: size, alignment: 4096)
    unsafe source = .allocate(byteCount: size, alignment: 4096)
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    for offset in stride(from: 0, to: size - 7, by: 8) {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      unsafe (source + offset).storeBytes(of: state, as: UInt64.self)
    }
  }

  deinit {
    unsafe memory.deallocate()
    unsafe model.deallocate()
    unsafe source.deallocate()
  }

  /// Does `change` to the memory and `expected` to the model; true where both are the same after.
  func agrees(
    span: Int, _ change: (UnsafeMutableRawPointer) -> Void,
    _ expected: (UnsafeMutableRawPointer) -> Void
  ) -> Bool {
    unsafe memcpy(memory, source, span)
    unsafe memcpy(model, source, span)
    unsafe change(memory)
    PersistOperations.drain()
    unsafe expected(model)
    return unsafe memcmp(memory, model, span) == 0
  }
}

@Suite("Copy engine")
struct CopyEngineTests {
  static let sizes = [0, 1, 63, 64, 65, 255, 256, 257, 4095, 4096, 4097]
  static let large = [32767, 32768, 32769, 2 << 20]
  /// Every vector that this processor has.
  static let vectors = CopyVector.allCases.filter { $0.rawValue <= CopyVector.best.rawValue }
  static let methods: [CopyMethod] = [.cached, .nonTemporal]

  static func operations(
    _ vector: CopyVector, _ granularity: StoreGranularity = .cacheLine,
    flush: FlushInstruction = ProcessorFeatures.detect().bestFlush
  ) -> PersistOperations {
    PersistOperations(granularity: granularity, flush: flush, vector: vector)
  }

  @Test func `the table names what it runs`() {
    for vector in Self.vectors {
      for flush in ProcessorFeatures.detect().flushInstructions {
        let operations = Self.operations(vector, flush: flush)
        #expect(operations.vector == vector)
        #expect(operations.flushInstruction == flush)
        #expect(Self.operations(vector, .volatile, flush: flush).flushInstruction == flush)
        #expect(Self.operations(vector, .byte, flush: flush).flushInstruction == nil)
        #expect(Self.operations(vector, .page, flush: flush).flushInstruction == nil)
      }
    }
  }

  @Test func `the widest vector is one that the kernel lists`() throws {
    let info = try #require(SystemTree().text("/proc/cpuinfo"))
    let flags = Set(
      (info.split(separator: "\n").first { $0.hasPrefix("flags") } ?? "").split(separator: " "))
    let expected: CopyVector =
      flags.contains("avx512f") ? .avx512 : flags.contains("avx2") ? .avx2 : .sse2
    #expect(CopyVector.best == expected)
  }

  @Test(arguments: vectors, methods)
  func `a copy changes its bytes and no others`(vector: CopyVector, method: CopyMethod) {
    let operations = Self.operations(vector)
    let bench = Bench(largest: 4097)
    for size in Self.sizes {
      var failures: [String] = []
      for to in 0..<64 {
        for from in 0..<64 {
          let target = Bench.margin + to
          let agrees = unsafe bench.agrees(span: size + 2 * Bench.margin + 64) {
            unsafe operations.move(
              from: bench.source + 31 + from, to: $0 + target, byteCount: size, by: method)
          } _: {
            unsafe _ = memcpy($0 + target, bench.source + 31 + from, size)
          }
          if !agrees { failures.append("from \(from) to \(to)") }
        }
      }
      #expect(failures == [], "size \(size)")
    }
  }

  @Test(arguments: vectors, methods)
  func `a large copy changes its bytes and no others`(vector: CopyVector, method: CopyMethod) {
    let operations = Self.operations(vector)
    let bench = Bench(largest: 2 << 20)
    for size in Self.large {
      var failures: [String] = []
      let step = size > 1 << 20 ? 7 : 1
      for shift in stride(from: 0, to: 64, by: step) {
        for (from, to) in [(shift, 0), (0, shift), (shift, shift), (63 - shift, shift)] {
          let target = Bench.margin + to
          let agrees = unsafe bench.agrees(span: size + 2 * Bench.margin + 64) {
            unsafe operations.move(
              from: bench.source + from, to: $0 + target, byteCount: size, by: method)
          } _: {
            unsafe _ = memcpy($0 + target, bench.source + from, size)
          }
          if !agrees { failures.append("from \(from) to \(to)") }
        }
      }
      #expect(failures == [], "size \(size)")
    }
  }

  @Test(arguments: vectors, methods)
  func `a fill changes its bytes and no others`(vector: CopyVector, method: CopyMethod) {
    let operations = Self.operations(vector)
    let bench = Bench(largest: 2 << 20)
    for size in Self.sizes + Self.large {
      var failures: [String] = []
      for to in stride(from: 0, to: 64, by: size > 1 << 20 ? 9 : 1) {
        let target = Bench.margin + to
        for byte: UInt8 in [0, 0xA5] {
          let agrees = unsafe bench.agrees(span: size + 2 * Bench.margin + 64) {
            unsafe operations.fill($0 + target, byteCount: size, with: byte, by: method)
          } _: {
            unsafe _ = memset($0 + target, Int32(byte), size)
          }
          if !agrees { failures.append("to \(to)") }
        }
      }
      #expect(failures == [], "size \(size)")
    }
  }

  @Test(arguments: vectors, methods)
  func `a move over itself has the meaning of memmove`(vector: CopyVector, method: CopyMethod) {
    let operations = Self.operations(vector)
    let bench = Bench(largest: 2 * 32769)
    let distances = [0, 1, 7, 8, 15, 31, 32, 63, 64, 65, 127, 128, 255, 256, 511, 513, 4096]
    for size in Self.sizes + [32767, 32769] {
      var failures: [String] = []
      for distance in distances {
        for place in stride(from: 0, to: 64, by: 5) {
          for (from, to) in [(0, distance), (distance, 0)] {
            let (first, second) = (Bench.margin + place + from, Bench.margin + place + to)
            let agrees = unsafe bench.agrees(span: size + 2 * Bench.margin + 64 + distance) {
              unsafe operations.move(
                from: $0 + first, to: $0 + second, byteCount: size, by: method)
            } _: {
              unsafe _ = memmove($0 + second, $0 + first, size)
            }
            if !agrees { failures.append("by \(to - from) at \(place)") }
          }
        }
      }
      #expect(failures == [], "size \(size)")
    }
  }

  @Test(arguments: ProcessorFeatures.detect().flushInstructions, StoreGranularity.allCases)
  func `every table copies and fills alike`(
    flush: FlushInstruction, granularity: StoreGranularity
  ) {
    let bench = Bench(largest: 4097)
    for vector in Self.vectors {
      let operations = Self.operations(vector, granularity, flush: flush)
      for size in Self.sizes {
        for method in CopyMethod.allCases {
          for to in [0, 1, 33, 63] {
            let target = Bench.margin + to
            let agrees = unsafe bench.agrees(span: size + 2 * Bench.margin + 64) {
              unsafe operations.move(
                from: bench.source + 3, to: $0 + target, byteCount: size / 2, by: method)
              unsafe operations.fill(
                $0 + target + size / 2, byteCount: size - size / 2, with: 7, by: method)
              unsafe operations.flush($0 + target, byteCount: size)
            } _: {
              unsafe memcpy($0 + target, bench.source + 3, size / 2)
              unsafe memset($0 + target + size / 2, 7, size - size / 2)
            }
            #expect(agrees, "\(vector), \(size) bytes to \(to)")
          }
        }
      }
    }
  }
}
