// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
public import CArbiter
public import CArbiterPersist

/// The way in which bytes are copied or filled.
public enum CopyMethod: String, Sendable, Hashable, CaseIterable {
  /// By size: through the cache below 256 bytes, past it from there on.
  case automatic
  /// Through the cache, then written back line by line.
  case cached
  /// Whole lines past the cache; a first and a last line in part through it, then written back.
  case nonTemporal = "non-temporal"
}

/// The registers that carry a copy.
public enum CopyVector: UInt32, Sendable, Hashable, CaseIterable {
  /// 16 bytes; every x86-64.
  case sse2 = 0
  /// 32 bytes.
  case avx2 = 1
  /// 64 bytes: one store is one line.
  case avx512 = 2

  /// The widest that this processor has and the kernel saves.
  public static var best: CopyVector { CopyVector(rawValue: arb_persist_best_vector()) ?? .sse2 }
}

/// How bytes are copied, filled and written back, resolved once for a mapping.
///
/// The table is that of the C header `CArbiterPersist.h`, so that every user of a mapping does the
/// same. No operation allocates, makes a system call or fences: nothing is promised about when the
/// bytes arrive, nor in which order, until ``drain()`` has returned.
@frozen
@safe
public struct PersistOperations {
  /// The functions.
  public let table: ArbPersistOps

  /// Resolves the operations of a mapping.
  ///
  /// - Parameters:
  ///   - granularity: What has to be done so that stores survive. For ``StoreGranularity/byte`` and
  ///     ``StoreGranularity/page`` no line is written back: the caches survive, or write-back
  ///     would reach no further than the page cache.
  ///   - flush: The instruction that writes lines back; one that the processor lacks is replaced.
  ///   - vector: The registers to copy by; by default the widest.
  public init(
    granularity: StoreGranularity, flush: FlushInstruction, vector: CopyVector = .best
  ) {
    let kind: Int
    switch (granularity, flush) {
    case (.byte, _), (.page, _): kind = ARB_FLUSH_NONE
    case (_, .clwb): kind = ARB_FLUSH_CLWB
    case (_, .clflushopt): kind = ARB_FLUSH_CLFLUSHOPT
    case (_, .clflush): kind = ARB_FLUSH_CLFLUSH
    }
    var table = arb_persist_ops(UInt32(kind), vector.rawValue)
    // The kernel reads the pages when it writes them back: past the cache would be a detour.
    if granularity == .page { table.stream_bytes_min = Int.max }
    self.table = table
  }

  /// The registers that carry copies.
  public var vector: CopyVector { CopyVector(rawValue: table.vector_kind) ?? .sse2 }

  /// The instruction that writes lines back; nil where none is needed or none would help.
  public var flushInstruction: FlushInstruction? {
    switch Int(table.flush_kind) {
    case ARB_FLUSH_CLWB: .clwb
    case ARB_FLUSH_CLFLUSHOPT: .clflushopt
    case ARB_FLUSH_CLFLUSH: .clflush
    default: nil
    }
  }

  /// Moves bytes; source and target may overlap.
  ///
  /// - Complexity: O(*n*); one call through a table.
  @inlinable @inline(__always)
  public func move(
    from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, byteCount: Int,
    by method: CopyMethod = .automatic
  ) {
    // SAFETY: the caller owns `byteCount` bytes at both places.
    switch method {
    case .automatic where byteCount < table.stream_bytes_min, .cached:
      unsafe table.move_cached(target, source, byteCount)
    case .automatic, .nonTemporal: unsafe table.move_stream(target, source, byteCount)
    }
  }

  /// Fills memory with a byte.
  ///
  /// - Complexity: O(*n*); one call through a table.
  @inlinable @inline(__always)
  public func fill(
    _ target: UnsafeMutableRawPointer, byteCount: Int, with byte: UInt8,
    by method: CopyMethod = .automatic
  ) {
    // SAFETY: the caller owns `byteCount` bytes.
    switch method {
    case .automatic where byteCount < table.stream_bytes_min, .cached:
      unsafe table.fill_cached(target, byte, byteCount)
    case .automatic, .nonTemporal: unsafe table.fill_stream(target, byte, byteCount)
    }
  }

  /// Starts the write-back of every line that the bytes touch.
  @inlinable @inline(__always)
  public func flush(_ start: UnsafeRawPointer, byteCount: Int) {
    // SAFETY: write-back changes no content; the caller owns the bytes.
    unsafe table.flush(start, byteCount)
  }

  /// Waits until the calling thread's write-backs and non-temporal stores are accepted.
  @inlinable @inline(__always)
  public static func drain() {
    arb_fence_store()
  }
}

// SAFETY: the table holds pointers to functions without state, and never changes.
extension PersistOperations: @unchecked Sendable {}
