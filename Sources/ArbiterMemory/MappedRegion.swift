// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterCore
public import ArbiterPlatform
internal import CArbiter
internal import Glibc

// A region owns its mapping and its descriptor. What each operation guarantees:
//
//   flush(range)   starts the write-back of the cache lines of the range. Without `drain` nothing
//                  is promised about when they arrive.
//   drain()        returns once every write-back and non-temporal store of the *calling thread*
//                  that came before it has been accepted by the persistence domain. Stores of
//                  other threads are their own business.
//   persist(range) makes the range survive a loss of power, by flush and drain where the mapping's
//                  granularity is a cache line, by drain where it is a byte, by msync where it is a
//                  page. On volatile memory it does the same work as for cache lines, so that runs
//                  cost the same, and nothing survives.
//
// Not guaranteed by any of them: atomicity beyond 8 aligned bytes, the order in which lines of a
// range arrive, and that a line has *not* arrived before it was asked for (caches evict at will).

/// A file that is mapped into memory, and the means to make its stores survive.
@safe
public struct MappedRegion: ~Copyable {
  /// How a file is opened.
  public struct Options: Sendable, Hashable {
    /// Whether a file that does not exist is created; otherwise that is an error.
    public var createsFile = true
    /// Whether a file that is too small is extended; otherwise that is an error.
    public var growsFile = true
    /// Whether every page is touched before the region is handed out, so that no access faults.
    public var populates = true

    /// Makes options that create, grow and populate.
    public init(createsFile: Bool = true, growsFile: Bool = true, populates: Bool = true) {
      self.createsFile = createsFile
      self.growsFile = growsFile
      self.populates = populates
    }
  }

  /// The file.
  public let path: String
  /// Bytes of the mapping, a multiple of a page.
  public let byteCount: Int
  /// What holds the file.
  public let fileSystem: FileSystemKind
  /// Whether the kernel granted MAP_SYNC: metadata of faulted blocks is durable by itself.
  public let isSynchronous: Bool
  /// What has to be done so that stores survive.
  public let granularity: StoreGranularity
  /// The instruction that ``flush(_:)`` uses.
  public let flushInstruction: FlushInstruction
  /// The first byte of the mapping, aligned to a page; valid as long as the region lives.
  public let base: UnsafeMutableRawPointer
  private var descriptor: Int32

  /// Maps a file of at least the given size, and makes or extends it where the options allow.
  ///
  /// Room is really allocated, so that a full disk is an error here and no bus error later. A file
  /// that this call created is removed again where the call fails.
  ///
  /// - Parameters:
  ///   - path: The file or dax device.
  ///   - byteCount: Bytes to map; rounded up to pages. At least 1.
  ///   - options: What is allowed.
  ///   - tree: Where the kernel describes the machine.
  ///   - processor: What the processor can do.
  /// - Throws: ``PlatformError``: `noSpace`, `noPermission`, `notFound`, `tooSmall`,
  ///   `invalidArgument`, `resourceLimit` or `system`.
  public init(
    path: String, byteCount: ByteCount, options: Options = Options(),
    tree: SystemTree = SystemTree(), processor: ProcessorFeatures = .detect()
  ) throws(PlatformError) {
    let pageBytes = sysconf(Int32(_SC_PAGESIZE))
    guard byteCount.bytes > 0, byteCount.bytes <= Int.max - pageBytes else {
      throw PlatformError(
        .invalidArgument, path: path, reason: "cannot map \(byteCount)",
        nextStep: "ask for at least 1B")
    }
    let size = (byteCount.bytes + pageBytes - 1) / pageBytes * pageBytes
    let file = try RegionFile.open(path: path, byteCount: size, options: options)
    do throws(PlatformError) {
      let kind = try FileSystemKind.of(path: path, tree: tree)
      let mapping = unsafe try Self.map(file, kind: kind, size: size, populates: options.populates)
      self.path = path
      self.byteCount = size
      fileSystem = kind
      isSynchronous = unsafe mapping.isSynchronous
      let domain = PersistentMemory.read(from: tree).persistenceDomain
      granularity = .of(kind: kind, isSynchronous: isSynchronous, domain: domain)
      flushInstruction = processor.bestFlush
      unsafe base = unsafe mapping.base
      descriptor = file.descriptor
    } catch {
      file.abandon()
      throw error
    }
  }

  deinit {
    // SAFETY: the mapping is owned by this value, which nobody can use any more.
    unsafe munmap(base, byteCount)
    if descriptor >= 0 { Glibc.close(descriptor) }
  }

  /// MADV_POPULATE_WRITE of linux/mman.h, which older C libraries lack.
  private static let madvisePopulateWrite: Int32 = 23

  private static func map(
    _ file: RegionFile, kind: FileSystemKind, size: Int, populates: Bool
  ) throws(PlatformError) -> (base: UnsafeMutableRawPointer, isSynchronous: Bool) {
    var isSynchronous = true
    // MAP_SYNC is refused (EOPNOTSUPP, or EINVAL by old kernels) by all that is not really direct.
    var answer = arb_map(
      size, file.descriptor, Int32(MAP_SHARED_VALIDATE) | Int32(MAP_SYNC))
    if answer < 0 {
      isSynchronous = false
      answer = arb_map(size, file.descriptor, MAP_SHARED)
    }
    // SAFETY: a non-negative answer is the address that mmap returned.
    guard answer > 0, let base = unsafe UnsafeMutableRawPointer(bitPattern: Int(answer)) else {
      throw PlatformError(
        errorNumber: Int32(truncatingIfNeeded: -answer), path: file.path,
        action: "map \(ByteCount(bytes: size))")
    }
    // MAP_POPULATE would only read shared pages, and each first store would fault again. Kernels
    // before 5.14 do not know the advice; there the first stores fault.
    if populates, unsafe madvise(base, size, madvisePopulateWrite) != 0, errno != EINVAL {
      let cause = errno
      unsafe munmap(base, size)
      throw PlatformError(
        errorNumber: cause, path: file.path, action: "touch \(ByteCount(bytes: size))")
    }
    return unsafe (base, isSynchronous)
  }

  /// Starts the write-back of all cache lines that the range touches.
  ///
  /// - Parameter range: Byte offsets; need not be aligned.
  /// - Precondition: `range` lies within the region.
  /// - Complexity: O(*n*) in cache lines; no fence, no allocation, no system call.
  public func flush(_ range: Range<Int>) {
    check(range)
    if range.isEmpty { return }
    var offset = range.lowerBound & ~(Granularity.cacheLineBytes - 1)
    while offset < range.upperBound {
      // SAFETY: `offset` is below the region's size by the check above.
      unsafe LineWriter.writeBack(base + offset, by: flushInstruction)
      offset += Granularity.cacheLineBytes
    }
  }

  /// Waits until the calling thread's write-backs and non-temporal stores are accepted.
  ///
  /// - Complexity: One fence.
  @inline(__always)
  public func drain() {
    arb_fence_store()
  }

  /// Makes the range survive a loss of power, as far as its medium can.
  ///
  /// - Parameter range: Byte offsets; need not be aligned.
  /// - Precondition: `range` lies within the region.
  /// - Throws: ``PlatformError`` where the kernel cannot write the pages back; only for
  ///   ``StoreGranularity/page``.
  /// - Complexity: O(*n*) in cache lines and one fence; one system call for pages.
  public func persist(_ range: Range<Int>) throws(PlatformError) {
    check(range)
    switch granularity {
    case .byte: drain()
    case .cacheLine, .volatile:
      flush(range)
      drain()
    case .page:
      if range.isEmpty { return }
      let pageBytes = sysconf(Int32(_SC_PAGESIZE))
      let first = range.lowerBound / pageBytes * pageBytes
      drain()
      // SAFETY: the range lies within the mapping by the check above.
      guard unsafe msync(base + first, range.upperBound - first, MS_SYNC) == 0 else {
        throw PlatformError(errorNumber: errno, path: path, action: "write pages back")
      }
    }
  }

  /// Unmaps the region and closes the file; errors of closing are reported.
  public consuming func close() throws(PlatformError) {
    let last = descriptor
    // deinit, which runs at the end of this function, unmaps only.
    descriptor = -1
    guard Glibc.close(last) == 0 else {
      throw PlatformError(errorNumber: errno, path: path, action: "close the file")
    }
  }

  private func check(_ range: Range<Int>) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= byteCount, "range outside the region")
  }
}

// SAFETY: the fields never change after the initialiser; what lies in the mapping is shared memory
// whose accesses the users of `base` have to order themselves.
extension MappedRegion: @unchecked Sendable {}
