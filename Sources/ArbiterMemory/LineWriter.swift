// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
public import CArbiter

/// One cache line as eight words; a value, so that stores of it need no memory of their own.
@frozen
public struct CacheLine: Sendable, Hashable {
  /// The eight words in the order of their addresses.
  public var words: SIMD8<UInt64>

  /// Makes a line of the given words.
  @inlinable @inline(__always)
  public init(words: SIMD8<UInt64>) {
    self.words = words
  }
}

/// Stores and write-backs of single cache lines, for hot loops; all of it inlines.
///
/// None of these fences: a non-temporal store and a write-back are ordered against nothing of the
/// same thread until ``fence()``.
public enum LineWriter {
  /// Stores a line past the caches.
  ///
  /// - Parameters:
  ///   - line: What to store.
  ///   - target: Where; aligned to 64 bytes, with 64 writable bytes behind it.
  /// - Complexity: Four 16-byte stores, about 9 ns when streaming to DRAM.
  @inlinable @inline(__always)
  public static func storeNonTemporal(_ line: CacheLine, to target: UnsafeMutableRawPointer) {
    let words = line.words
    // SAFETY: the caller owns 64 aligned bytes at `target`.
    unsafe arb_store_nt_line(
      target, words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7])
  }

  /// Stores a line into the cache.
  ///
  /// - Parameters:
  ///   - line: What to store.
  ///   - target: Where; aligned to 64 bytes, with 64 writable bytes behind it.
  @inlinable @inline(__always)
  public static func storeCached(_ line: CacheLine, to target: UnsafeMutableRawPointer) {
    let words = line.words
    // SAFETY: the caller owns 64 aligned bytes at `target`.
    unsafe arb_store_line(
      target, words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7])
  }

  /// Copies a line past the caches; the source need not be aligned.
  @inlinable @inline(__always)
  public static func copyNonTemporal(
    from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer
  ) {
    // SAFETY: the caller owns 64 readable bytes at `source` and 64 aligned bytes at `target`.
    unsafe arb_copy_nt_line(target, source)
  }

  /// Copies a line through the cache; the source need not be aligned.
  @inlinable @inline(__always)
  public static func copyCached(
    from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer
  ) {
    // SAFETY: the caller owns 64 readable bytes at `source` and 64 aligned bytes at `target`.
    unsafe arb_copy_line(target, source)
  }

  /// Starts the write-back of a line.
  ///
  /// - Precondition: The processor has the instruction (``ProcessorFeatures/flushInstructions``).
  @inlinable @inline(__always)
  public static func writeBack(
    _ line: UnsafeMutableRawPointer, by instruction: FlushInstruction
  ) {
    // SAFETY: write-back changes no content; the caller owns the line.
    switch instruction {
    case .clwb: unsafe arb_flush_clwb(line)
    case .clflushopt: unsafe arb_flush_clflushopt(line)
    case .clflush: unsafe arb_flush_clflush(line)
    }
  }

  /// Orders all earlier stores and write-backs of the thread before all later ones.
  @inlinable @inline(__always)
  public static func fence() {
    arb_fence_store()
  }
}
