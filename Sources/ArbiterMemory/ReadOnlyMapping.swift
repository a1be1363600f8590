// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterCore
public import ArbiterPlatform
internal import Glibc

/// A file or dax device that is mapped for reading, and never changes by it.
@safe
public struct ReadOnlyMapping: ~Copyable {
  /// The file.
  public let path: String
  /// Bytes of the mapping that the file holds.
  public let byteCount: Int
  /// What holds the file.
  public let fileSystem: FileSystemKind
  /// The kernel's name of the persistent-memory region that holds the file, as region0.
  public let memoryRegionName: String?
  /// The first byte; valid as long as the mapping lives.
  public let base: UnsafeRawPointer
  private let mappedByteCount: Int

  /// MADV_POPULATE_READ of linux/mman.h, which older C libraries lack.
  private static let madvisePopulateRead: Int32 = 22

  /// Maps the beginning of a file and touches every page.
  ///
  /// - Parameters:
  ///   - path: The file or dax device, which has to exist.
  ///   - byteCountMax: Bytes to map at most; whole lines that the file holds are mapped.
  ///   - tree: Where the kernel describes the machine.
  /// - Throws: ``PlatformError``: `notFound`, `noPermission`, `tooSmall`, `invalidArgument`,
  ///   `resourceLimit` or `system`.
  public init(
    path: String, byteCountMax: ByteCount, tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else {
      throw PlatformError(errorNumber: errno, path: path, action: "open the file")
    }
    defer { Glibc.close(descriptor) }
    let kind = try FileSystemKind.of(path: path, tree: tree)
    let held = try Self.size(of: descriptor, kind, path: path, tree: tree)
    let size = min(byteCountMax.bytes, held) / 64 * 64
    guard size >= 4096 else {
      throw PlatformError(
        .tooSmall, path: path, reason: "holds \(ByteCount(bytes: held)), too little to measure",
        nextStep: "name a larger file")
    }
    let geometry = try RegionGeometry.of(
      kind: kind, path: path, byteCount: size, offset: 0, tree: tree)
    // SAFETY: a new mapping at an address that the kernel chooses.
    let mapped = unsafe mmap(nil, geometry.byteCount, PROT_READ, MAP_SHARED, descriptor, 0)
    guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else {
      throw PlatformError(
        errorNumber: errno, path: path, action: "map \(ByteCount(bytes: geometry.byteCount))")
    }
    // Kernels before 5.14 do not know the advice; there the first loads fault.
    if unsafe madvise(mapped, geometry.byteCount, Self.madvisePopulateRead) != 0, errno != EINVAL {
      let cause = errno
      unsafe munmap(mapped, geometry.byteCount)
      throw PlatformError(
        errorNumber: cause, path: path, action: "read \(ByteCount(bytes: geometry.byteCount))")
    }
    self.path = path
    byteCount = size
    mappedByteCount = geometry.byteCount
    fileSystem = kind
    memoryRegionName = PersistentMemory.region(ofOpenFile: descriptor, in: tree)?.name
    unsafe base = UnsafeRawPointer(mapped)
  }

  deinit {
    // SAFETY: the mapping is owned by this value, which nobody can use any more.
    unsafe munmap(UnsafeMutableRawPointer(mutating: base), mappedByteCount)
  }

  /// Bytes that a file or device holds.
  private static func size(
    of descriptor: Int32, _ kind: FileSystemKind, path: String, tree: SystemTree
  ) throws(PlatformError) -> Int {
    if case .deviceDax(let name) = kind {
      return tree.number("/sys/bus/dax/devices/\(name)/size") ?? 0
    }
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    guard unsafe fstat(descriptor, &facts) == 0 else {
      throw PlatformError(errorNumber: errno, path: path, action: "examine the file")
    }
    guard facts.st_mode & S_IFMT == S_IFREG else {
      throw PlatformError(
        .invalidArgument, path: path, reason: "is neither a file nor a dax device",
        nextStep: "name a file or a device such as /dev/dax0.0")
    }
    return Int(facts.st_size)
  }
}

// SAFETY: the fields never change after the initialiser, and nothing is stored through them.
extension ReadOnlyMapping: @unchecked Sendable {}
