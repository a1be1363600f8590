// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlatform
internal import CArbiter
internal import Glibc

/// What the kernel answered to a request to map a file.
@safe
struct RegionMapping {
  let base: UnsafeMutableRawPointer
  let isSynchronous: Bool

  /// MADV_POPULATE_WRITE of linux/mman.h, which older C libraries lack.
  private static let madvisePopulateWrite: Int32 = 23
  /// Bytes of a huge page.
  private static let hugePageBytes = 2 << 20

  /// Maps a file at an address to which huge pages can be mapped.
  ///
  /// On fs-DAX the kernel keeps one entry per file offset: once anybody has touched a fresh file
  /// through an address that does not suit huge pages, the file has small entries and every later
  /// mapping pays for them. So the address is reserved first and every page is touched at once.
  static func make(
    _ file: RegionFile, kind: FileSystemKind, alignmentBytes: Int?, options: MappedRegion.Options,
    byteCount: Int
  ) throws(PlatformError) -> RegionMapping {
    let pageBytes = sysconf(Int32(_SC_PAGESIZE))
    let isLarge = byteCount >= hugePageBytes || kind.isDirect
    let alignment = max(alignmentBytes ?? 0, isLarge ? hugePageBytes : pageBytes)
    let offset = Int64(options.fileOffset)
    var isSynchronous = true
    // MAP_SYNC is refused (EOPNOTSUPP, or EINVAL by old kernels) by all that is not really direct.
    var answer = arb_map_aligned(
      byteCount, alignment, file.descriptor, Int32(MAP_SHARED_VALIDATE) | Int32(MAP_SYNC), offset)
    if answer < 0 {
      isSynchronous = false
      answer = arb_map_aligned(byteCount, alignment, file.descriptor, MAP_SHARED, offset)
    }
    // SAFETY: a non-negative answer is the address that mmap returned.
    guard answer > 0, let base = unsafe UnsafeMutableRawPointer(bitPattern: Int(answer)) else {
      throw PlatformError(
        errorNumber: Int32(truncatingIfNeeded: -answer), path: file.path,
        action: "map \(ByteCount(bytes: byteCount))")
    }
    // MAP_POPULATE would only read shared pages, and each first store would fault again. Kernels
    // before 5.14 do not know the advice; there the first stores fault.
    if options.populates, unsafe madvise(base, byteCount, madvisePopulateWrite) != 0,
      errno != EINVAL
    {
      let cause = errno
      unsafe munmap(base, byteCount)
      throw PlatformError(
        errorNumber: cause, path: file.path, action: "touch \(ByteCount(bytes: byteCount))")
    }
    return unsafe RegionMapping(base: base, isSynchronous: isSynchronous)
  }
}

/// Size and alignment of what may be mapped of a file or device.
struct RegionGeometry {
  /// Bytes of the mapping.
  let byteCount: Int
  /// Bytes to which a device wants size, offset and address aligned; nil for files.
  let alignmentBytes: Int?

  /// Works out what to map, or says why that is impossible.
  static func of(
    kind: FileSystemKind, path: String, byteCount: Int, offset: Int, tree: SystemTree
  ) throws(PlatformError) -> RegionGeometry {
    guard case .deviceDax(let name) = kind else {
      return RegionGeometry(byteCount: byteCount, alignmentBytes: nil)
    }
    let folder = "/sys/bus/dax/devices/\(name)"
    let alignment = tree.number("\(folder)/align") ?? 2 << 20
    guard alignment > 0, alignment.nonzeroBitCount == 1 else {
      throw PlatformError(
        .unsupported, path: path,
        reason: "has the alignment \(alignment), which is no power of two",
        nextStep: "reconfigure the device with daxctl")
    }
    guard offset % alignment == 0 else {
      throw PlatformError(
        .invalidArgument, path: path,
        reason: "cannot be mapped from offset \(offset), no multiple of its alignment of "
          + "\(ByteCount(bytes: alignment))", nextStep: "choose an aligned offset")
    }
    let size = (byteCount + alignment - 1) / alignment * alignment
    if let available = tree.number("\(folder)/size"), offset + size > available {
      throw PlatformError(
        .tooSmall, path: path,
        reason: "holds \(ByteCount(bytes: max(0, available - offset))) from that offset on and "
          + "\(ByteCount(bytes: size)) were asked for, rounded up to its alignment of "
          + "\(ByteCount(bytes: alignment))", nextStep: "ask for at most what it holds")
    }
    return RegionGeometry(byteCount: size, alignmentBytes: alignment)
  }
}
