// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
public import CArbiter

extension MappedRegion {
  /// Stores bytes through the cache and begins nothing: ``persist(_:)`` makes them survive.
  ///
  /// - Parameters:
  ///   - bytes: What to store; must not overlap its target.
  ///   - offset: Where; need not be aligned.
  /// - Precondition: The target lies within the region.
  /// - Complexity: O(*n*); no fence, no allocation, no system call.
  @inlinable
  public func store(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    check(offset, count: bytes.count)
    guard let source = bytes.baseAddress else { return }
    if observer != nil { return unsafe storeObserved(bytes, at: offset) }
    // SAFETY: the target lies within the mapping by the check above.
    unsafe (base + offset).copyMemory(from: source, byteCount: bytes.count)
  }

  /// Copies bytes into the region and begins their way to the medium.
  ///
  /// They survive after ``drain()`` (with ``StoreGranularity/page`` only after ``persist(_:)``),
  /// and must not be published before it: those that went past the cache may become visible to
  /// other threads after later stores.
  ///
  /// - Parameters:
  ///   - bytes: What to copy; may overlap its target.
  ///   - offset: Where; need not be aligned. Lines that are covered in part go through the cache
  ///     and are written back whatever the method.
  ///   - method: Through the cache, past it, or as the size suggests.
  /// - Precondition: The target lies within the region.
  /// - Complexity: O(*n*); no fence, no allocation, no system call.
  @inlinable
  public func copy(
    _ bytes: UnsafeRawBufferPointer, to offset: Int, by method: CopyMethod = .automatic
  ) {
    check(offset, count: bytes.count)
    guard let source = bytes.baseAddress else { return }
    if observer != nil {
      return unsafe moveObserved(from: source, to: offset, byteCount: bytes.count, by: method)
    }
    // SAFETY: the target lies within the mapping by the check above.
    unsafe operations.move(from: source, to: base + offset, byteCount: bytes.count, by: method)
  }

  /// Moves bytes within the region, as ``copy(_:to:by:)`` does; the ranges may overlap.
  ///
  /// - Parameters:
  ///   - range: The bytes to move.
  ///   - offset: Where their first byte goes.
  ///   - method: Through the cache, past it, or as the size suggests.
  /// - Precondition: Both ranges lie within the region.
  /// - Complexity: O(*n*); no fence, no allocation, no system call.
  @inlinable
  public func move(_ range: Range<Int>, to offset: Int, by method: CopyMethod = .automatic) {
    check(range)
    check(offset, count: range.count)
    if observer != nil {
      // SAFETY: both ranges lie within the mapping by the checks above.
      return unsafe moveObserved(
        from: base + range.lowerBound, to: offset, byteCount: range.count, by: method)
    }
    // SAFETY: both ranges lie within the mapping by the checks above.
    unsafe operations.move(
      from: base + range.lowerBound, to: base + offset, byteCount: range.count, by: method)
  }

  /// Fills a range with a byte, with what ``copy(_:to:by:)`` promises.
  ///
  /// - Parameters:
  ///   - range: The bytes to fill.
  ///   - byte: What to fill them with.
  ///   - method: Through the cache, past it, or as the size suggests.
  /// - Precondition: The range lies within the region.
  /// - Complexity: O(*n*); no fence, no allocation, no system call.
  @inlinable
  public func fill(_ range: Range<Int>, with byte: UInt8, by method: CopyMethod = .automatic) {
    check(range)
    if observer != nil { return fillObserved(range, with: byte, by: method) }
    // SAFETY: the range lies within the mapping by the check above.
    unsafe operations.fill(
      base + range.lowerBound, byteCount: range.count, with: byte, by: method)
  }

  /// Copies bytes into the region and makes them survive: ``copy(_:to:by:)`` and what is missing
  /// to ``persist(_:)``, without writing back again what the copy has written back.
  ///
  /// - Throws: ``PlatformError`` where the kernel cannot write the pages back; only for
  ///   ``StoreGranularity/page``.
  /// - Complexity: O(*n*) and one fence; one system call for pages.
  @inlinable
  public func copyAndPersist(
    _ bytes: UnsafeRawBufferPointer, to offset: Int, by method: CopyMethod = .automatic
  ) throws(PlatformError) {
    unsafe copy(bytes, to: offset, by: method)
    drain()
    if granularity == .page { try writePagesBack(offset..<offset + bytes.count) }
  }

  /// Stores a word that other threads and a loss of power see whole or not at all.
  ///
  /// A release: who loads it by ``loadAtomically(at:)`` sees what this thread stored before through
  /// the cache. What went past the cache, and what has to be durable *before* the word is, needs a
  /// ``drain()`` in between. The word itself is durable after ``persist(_:)``.
  ///
  /// - Precondition: `offset` is a multiple of 8 within the region.
  /// - Complexity: One store.
  @inlinable @inline(__always)
  public func storeAtomically(_ word: UInt64, at offset: Int) {
    check(offset, count: 8)
    precondition(offset & 7 == 0, "an atomic word must be aligned to 8 bytes")
    if observer != nil { return storeAtomicallyObserved(word, at: offset) }
    // SAFETY: the word lies within the mapping, which starts on a page, by the checks above.
    unsafe arb_store_word(base + offset, word)
  }

  /// Loads a word whole; an acquire, the partner of ``storeAtomically(_:at:)``.
  ///
  /// - Precondition: `offset` is a multiple of 8 within the region.
  /// - Complexity: One load.
  @inlinable @inline(__always)
  public func loadAtomically(at offset: Int) -> UInt64 {
    check(offset, count: 8)
    precondition(offset & 7 == 0, "an atomic word must be aligned to 8 bytes")
    // SAFETY: the word lies within the mapping, which starts on a page, by the checks above.
    return unsafe arb_load_word(base + offset)
  }
}
