// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterMemory
internal import ArbiterPlatform
internal import CArbiter
public import CArbiterLibrary

// The functions of arbiter.h that make, ask and end regions. What happens per store is in C
// (CArbiterLibrary/write.c), which reads the fields of the handle alone.

/// What a region handle holds beside the fields that the data path reads.
final class LibraryRegion {
  let runtime: LibraryRuntime
  let setIndex: Int
  /// Nil once it is unmapped.
  var region: MappedRegion?

  init(_ region: consuming MappedRegion, runtime: LibraryRuntime) {
    self.runtime = runtime
    setIndex = runtime.setIndex(ofRegionNamed: region.memoryRegionName)
    self.region = consume region
  }

  /// The object behind a handle.
  static func of(_ handle: UnsafePointer<arbiter_region>) -> LibraryRegion {
    // SAFETY: arbiter_map put a retained object there, which arbiter_unmap alone takes away.
    unsafe Unmanaged<LibraryRegion>.fromOpaque(handle.pointee.object).takeUnretainedValue()
  }

  /// Runs the body on a range of the region that the caller names by address.
  ///
  /// - Throws: ``PlatformError`` with `invalidArgument` where the range lies outside the region.
  func withRange<Value>(
    of handle: UnsafePointer<arbiter_region>, _ start: UnsafeRawPointer, _ byteCount: Int,
    _ body: (borrowing MappedRegion, Range<Int>) throws(PlatformError) -> Value
  ) throws(PlatformError) -> Value {
    let offset = unsafe start - UnsafeRawPointer(handle.pointee.base)
    let size = unsafe handle.pointee.byte_count
    guard offset >= 0, byteCount >= 0, offset <= size, byteCount <= size - offset else {
      throw PlatformError(
        .invalidArgument, reason: "\(byteCount) bytes at offset \(offset) lie outside the region",
        nextStep: "stay within its \(size) bytes")
    }
    switch region {
    case .some(let mapped): return try body(mapped, offset..<offset + byteCount)
    case .none:
      throw PlatformError(
        .invalidArgument, reason: "the region was unmapped", nextStep: "map it again")
    }
  }
}

extension StoreGranularity {
  /// The granularity in the words of arbiter.h.
  var libraryGranularity: arbiter_granularity {
    switch self {
    case .byte: ARBITER_GRANULARITY_BYTE
    case .cacheLine: ARBITER_GRANULARITY_CACHE_LINE
    case .page: ARBITER_GRANULARITY_PAGE
    case .volatile: ARBITER_GRANULARITY_VOLATILE
    }
  }
}

/// arbiter.h: maps a file or device.
@c @implementation
public func arbiter_map(
  _ runtime: UnsafeMutablePointer<arbiter_runtime>, _ path: UnsafePointer<CChar>,
  _ byteCount: Int, _ flags: UInt32, _ error: UnsafeMutablePointer<arbiter_error>?
) -> UnsafeMutablePointer<arbiter_region>? {
  let owner = unsafe LibraryRuntime.of(runtime)
  let name = unsafe String(cString: path)
  return unsafe reporting(to: error) { () throws(PlatformError) in
    let mayMake = flags & UInt32(ARBITER_MAP_EXISTING) == 0
    let region = try MappedRegion(
      path: name, byteCount: ByteCount(bytes: byteCount),
      options: .init(createsFile: mayMake, growsFile: mayMake))
    let handle = UnsafeMutablePointer<arbiter_region>.allocate(capacity: 1)
    let (base, size) = unsafe (region.base, region.byteCount)
    let (granularity, operations) = (region.granularity, region.operations.table)
    let object = LibraryRegion(region, runtime: owner)
    unsafe handle.initialize(
      to: arbiter_region(
        object: Unmanaged.passRetained(object).toOpaque(),
        base: base.assumingMemoryBound(to: CChar.self), byte_count: size,
        granularity: granularity.libraryGranularity, ops: operations))
    return unsafe handle
  } ?? nil
}

/// arbiter.h: unmaps a region.
@c @implementation
public func arbiter_unmap(
  _ region: UnsafeMutablePointer<arbiter_region>?, _ error: UnsafeMutablePointer<arbiter_error>?
) -> Int32 {
  guard let handle = unsafe region else { return Int32(ARBITER_OK) }
  // SAFETY: the handle is ended here, and by its documentation nobody uses it any more.
  let object = unsafe Unmanaged<LibraryRegion>.fromOpaque(handle.pointee.object)
    .takeRetainedValue()
  unsafe handle.deallocate()
  do throws(PlatformError) {
    if let last = object.region.take() { try last.close() }
    unsafe reportSuccess(to: error)
    return Int32(ARBITER_OK)
  } catch let failure {
    return unsafe failure.report(to: error)
  }
}

/// arbiter.h: pushes a range as far as the platform can be told to.
@c @implementation
public func arbiter_persist_deeply(
  _ region: UnsafeMutablePointer<arbiter_region>, _ start: UnsafeRawPointer, _ byteCount: Int,
  _ error: UnsafeMutablePointer<arbiter_error>?
) -> Int32 {
  let object = unsafe LibraryRegion.of(region)
  do throws(PlatformError) {
    unsafe try object.withRange(of: region, start, byteCount) {
      (mapped, range) throws(PlatformError) in
      try mapped.deepFlush(range)
    }
    unsafe reportSuccess(to: error)
    return Int32(ARBITER_OK)
  } catch let failure {
    return unsafe failure.report(to: error)
  }
}

/// arbiter.h: reads, with an error instead of a signal.
@c @implementation
public func arbiter_read_checked(
  _ region: UnsafeMutablePointer<arbiter_region>, _ target: UnsafeMutableRawPointer,
  _ source: UnsafeRawPointer, _ byteCount: Int, _ error: UnsafeMutablePointer<arbiter_error>?
) -> Int32 {
  let object = unsafe LibraryRegion.of(region)
  do throws(PlatformError) {
    unsafe try object.withRange(of: region, source, byteCount) {
      (mapped, range) throws(PlatformError) in
      unsafe try mapped.readChecked(
        range, into: UnsafeMutableRawBufferPointer(start: target, count: byteCount))
    }
    unsafe reportSuccess(to: error)
    return Int32(ARBITER_OK)
  } catch let failure {
    return unsafe failure.report(to: error)
  }
}
