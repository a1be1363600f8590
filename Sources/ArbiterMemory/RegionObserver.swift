// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiter
internal import CArbiterPersist

// An observed region tells of every operation before and after it, which is how crash tests learn
// what a program does. It costs all others one comparison with nil per operation.

/// What is done to a region.
public enum RegionOperation: Sendable, Hashable {
  /// Bytes are stored through the cache, in no promised order.
  case store(Range<Int>)
  /// An aligned word is stored, in order with the stores around it.
  case storeAtomically(at: Int)
  /// Bytes are copied or filled: the whole lines of a streamed range past the cache, all else
  /// through it and written back.
  case copy(Range<Int>, isStreamed: Bool)
  /// The lines that the bytes touch are written back.
  case flush(Range<Int>)
  /// The same whatever the granularity, on the way to the medium.
  case deepFlush(Range<Int>)
  /// The calling thread fences.
  case fence
}

/// Somebody who is told what is done to a region.
///
/// Both calls are made by the thread that does it, one after the other. What other threads do
/// meanwhile is the observer's to tell apart.
public protocol RegionObserver: AnyObject, Sendable {
  /// The operation comes next: what the program stored by pointers until now came before it.
  func regionWill(_ operation: RegionOperation)
  /// The operation is done, and its bytes are in the region.
  func regionDid(_ operation: RegionOperation)
}

extension MappedRegion {
  private func observe(_ operation: RegionOperation, _ body: () -> Void) {
    observer?.regionWill(operation)
    body()
    observer?.regionDid(operation)
  }

  @usableFromInline @inline(never)
  func storeObserved(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    observe(.store(offset..<offset + bytes.count)) {
      guard let source = bytes.baseAddress else { return }
      // SAFETY: the caller has checked that the target lies within the mapping.
      unsafe (base + offset).copyMemory(from: source, byteCount: bytes.count)
    }
  }

  @usableFromInline @inline(never)
  func moveObserved(
    from source: UnsafeRawPointer, to offset: Int, byteCount: Int, by method: CopyMethod
  ) {
    let target = offset..<offset + byteCount
    observe(.copy(target, isStreamed: isStreamed(byteCount, by: method))) {
      // SAFETY: the caller has checked that the target lies within the mapping.
      unsafe operations.move(from: source, to: base + offset, byteCount: byteCount, by: method)
    }
  }

  @usableFromInline @inline(never)
  func fillObserved(_ range: Range<Int>, with byte: UInt8, by method: CopyMethod) {
    observe(.copy(range, isStreamed: isStreamed(range.count, by: method))) {
      // SAFETY: the caller has checked that the range lies within the mapping.
      unsafe operations.fill(
        base + range.lowerBound, byteCount: range.count, with: byte, by: method)
    }
  }

  @usableFromInline @inline(never)
  func storeAtomicallyObserved(_ word: UInt64, at offset: Int) {
    observe(.storeAtomically(at: offset)) {
      // SAFETY: the caller has checked that the word lies within the mapping.
      unsafe arb_store_word(base + offset, word)
    }
  }

  @usableFromInline @inline(never)
  func flushObserved(_ range: Range<Int>, isDeep: Bool = false) {
    observe(isDeep ? .deepFlush(range) : .flush(range)) {
      // SAFETY: the caller has checked that the range lies within the mapping.
      unsafe operations.flush(base + range.lowerBound, byteCount: range.count)
    }
  }

  @usableFromInline @inline(never)
  func drainObserved() {
    observe(.fence) { arb_fence_store() }
  }

  private func isStreamed(_ byteCount: Int, by method: CopyMethod) -> Bool {
    switch method {
    case .automatic: byteCount >= operations.table.stream_bytes_min
    case .cached: false
    case .nonTemporal: true
    }
  }
}
