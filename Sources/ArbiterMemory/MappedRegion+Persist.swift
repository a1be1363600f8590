// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
public import CArbiter
internal import Glibc

extension MappedRegion {
  /// Starts the write-back of all cache lines that the range touches.
  ///
  /// Nothing is promised about when they arrive before ``drain()``. Where lines need no write-back
  /// (``StoreGranularity/byte``) or it would mean nothing (``StoreGranularity/page``), nothing is
  /// done.
  ///
  /// - Parameter range: Byte offsets; need not be aligned.
  /// - Precondition: `range` lies within the region.
  /// - Complexity: O(*n*) in cache lines; no fence, no allocation, no system call.
  @inlinable
  public func flush(_ range: Range<Int>) {
    check(range)
    if observer != nil { return flushObserved(range) }
    // SAFETY: the range lies within the mapping by the check above.
    unsafe operations.flush(base + range.lowerBound, byteCount: range.count)
  }

  /// Waits until the calling thread's write-backs and non-temporal stores are accepted.
  ///
  /// Also orders them before all later stores, so that what is published after it is complete.
  ///
  /// - Complexity: One fence.
  @inlinable @inline(__always)
  public func drain() {
    if observer != nil { return drainObserved() }
    arb_fence_store()
  }

  /// Makes the range survive a loss of power, as far as its medium can.
  ///
  /// - Parameter range: Byte offsets; need not be aligned.
  /// - Precondition: `range` lies within the region.
  /// - Throws: ``PlatformError`` where the kernel cannot write the pages back; only for
  ///   ``StoreGranularity/page``.
  /// - Complexity: O(*n*) in cache lines and one fence; one system call for pages.
  @inlinable
  public func persist(_ range: Range<Int>) throws(PlatformError) {
    // The flush is none where the caches survive.
    flush(range)
    drain()
    if granularity == .page { try writePagesBack(range) }
  }

  /// Pushes the range as far as the platform can be told to: out of the caches and out of the
  /// memory controller's queues, so that it survives a failure of the persistence domain too.
  ///
  /// For a device that is the kernel's flush hints of the whole memory region, for files msync. On
  /// memory that is volatile by nature it does what ``persist(_:)`` does.
  ///
  /// - Parameter range: Byte offsets; need not be aligned.
  /// - Precondition: `range` lies within the region.
  /// - Throws: ``PlatformError`` with `unsupported` where the kernel offers no deep flush of a
  ///   device, `noPermission` where this user may not ask for it, or what msync reports.
  /// - Complexity: O(*n*) in cache lines, one fence and a few system calls.
  public func deepFlush(_ range: Range<Int>) throws(PlatformError) {
    check(range)
    if observer != nil { flushObserved(range, isDeep: true) }
    // Also where the caches survive a loss of power: here they are to be emptied.
    // SAFETY: the range lies within the mapping by the check above.
    unsafe PersistOperations(granularity: .cacheLine, flush: flushInstruction)
      .flush(base + range.lowerBound, byteCount: range.count)
    drain()
    if case .deviceDax = fileSystem {
      guard let name = memoryRegionName else {
        throw PlatformError(
          .unsupported, path: path, reason: "lies in no region that the kernel can flush",
          nextStep: "rely on persist alone")
      }
      return try PersistentMemory.deepFlush(regionNamed: name, in: tree)
    }
    try writePagesBack(range)
  }

  /// Lets the kernel write pages back; it also flushes the memory controller's queues on DAX.
  @usableFromInline
  func writePagesBack(_ range: Range<Int>) throws(PlatformError) {
    if range.isEmpty { return }
    let pageBytes = sysconf(Int32(_SC_PAGESIZE))
    let first = range.lowerBound / pageBytes * pageBytes
    // SAFETY: the range lies within the mapping: every caller has checked it.
    guard unsafe msync(base + first, range.upperBound - first, MS_SYNC) == 0 else {
      throw PlatformError(errorNumber: errno, path: path, action: "write pages back")
    }
  }
}
