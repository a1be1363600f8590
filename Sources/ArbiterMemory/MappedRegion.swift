// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterCore
public import ArbiterPlatform
internal import CArbiter
internal import Glibc

// A region owns its mapping and its descriptor. What holds when an operation has returned:
//
//   store, storeAtomically  the calling thread sees the bytes, other threads as the processor's
//                  memory model says. Nothing is promised about survival, and nothing against it:
//                  caches evict at will. An aligned word survives whole or not at all.
//   copy, move, fill  the same; and the way to the medium has begun for every line touched, which
//                  only `drain` ends. Lines that went past the cache are weakly ordered: another
//                  thread may see them *later* than stores that follow in the program. So a fence
//                  (drain) comes before the store that publishes them.
//   flush(range)   the write-back of the range's lines has begun. With granularity `byte` nothing
//                  needs it and nothing is done; with `page` nothing is done either, since a line
//                  written back would only reach the page cache.
//   drain()        every write-back and non-temporal store of the *calling thread* before it has
//                  been accepted by the persistence domain. Stores of other threads are their own
//                  business. Needed with `byte` too: the caches survive, a store that waits in a
//                  buffer of the core does not. After clflush alone it would not be needed, since
//                  clflush is ordered with stores; non-temporal stores, which it cannot see, need
//                  it still, so it is always there.
//   persist(range) the range survives a loss of power: drain with `byte`, flush and drain with
//                  `cacheLine`, msync with `page`. On volatile memory it does the work of
//                  `cacheLine`, so that runs cost the same, and nothing survives.
//   deepFlush(range)  the range has also left the caches and, as far as the platform can be told
//                  to, the queues of the memory controller.
//
// Not guaranteed by any of them: atomicity beyond 8 aligned bytes, the order in which lines of a
// range arrive, and that a line has *not* arrived before it was asked for.

/// A file or device that is mapped into memory, and the means to make its stores survive.
@safe
public struct MappedRegion: ~Copyable {
  /// How a file is opened and mapped.
  public struct Options: Sendable, Hashable {
    /// Whether a file that does not exist is created; otherwise that is an error.
    public var createsFile = true
    /// Whether a file that is too small is extended; otherwise that is an error.
    public var growsFile = true
    /// Whether every page is touched before the region is handed out, so that no access faults.
    public var populates = true
    /// Where in the file the mapping begins: a multiple of a page, of a device's alignment.
    public var fileOffset = 0
    /// The granularity to believe in, whatever the mapping really has; nil believes the mapping.
    ///
    /// For tests and benchmarks only: with a finer granularity than the real one `persist` does
    /// too little and data is lost at a loss of power. ``MappedRegion/isGranularityForced`` tells.
    public var forcedGranularity: StoreGranularity?

    /// Makes options that create, grow and populate.
    public init(
      createsFile: Bool = true, growsFile: Bool = true, populates: Bool = true,
      fileOffset: Int = 0, forcedGranularity: StoreGranularity? = nil
    ) {
      self.createsFile = createsFile
      self.growsFile = growsFile
      self.populates = populates
      self.fileOffset = fileOffset
      self.forcedGranularity = forcedGranularity
    }
  }

  /// The file; for memory without a path `memfd:` and its name.
  public let path: String
  /// Bytes of the mapping, a multiple of a page, of a device's alignment.
  public let byteCount: Int
  /// What holds the file.
  public let fileSystem: FileSystemKind
  /// Whether the kernel granted MAP_SYNC: metadata of faulted blocks is durable by itself.
  public let isSynchronous: Bool
  /// What survives in the memory behind this mapping; nil where it is no persistent memory.
  public let persistenceDomain: PersistentMemory.PersistenceDomain?
  /// The kernel's name of the persistent-memory region that holds the file, as region0.
  public let memoryRegionName: String?
  /// What has to be done so that stores survive.
  public let granularity: StoreGranularity
  /// Whether ``granularity`` was forced by the options, so that `persist` may promise too much.
  public let isGranularityForced: Bool
  /// The instruction that writes lines back where the granularity asks for it.
  public let flushInstruction: FlushInstruction
  /// How bytes are copied and written back here.
  public let operations: PersistOperations
  /// The first byte of the mapping, aligned to a page; valid as long as the region lives.
  public let base: UnsafeMutableRawPointer
  /// Who is told of every operation; nil outside of tests.
  public let observer: (any RegionObserver)?
  let tree: SystemTree
  let fileOffset: Int
  private(set) var descriptor: Int32

  /// Maps a file of at least the given size, and makes or extends it where the options allow.
  ///
  /// Room is really allocated, so that a full disk is an error here and no bus error later. A file
  /// that this call creates appears under its name when it is complete, and not where the call
  /// fails. A dax device is mapped as it is; its size is rounded up to its alignment.
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
    let size = try Self.wholePages(byteCount, path: path, options: options)
    let file = try RegionFile.open(
      path: path, byteCount: options.fileOffset + size, options: options)
    try self.init(file, size: size, options: options, tree: tree, processor: processor)
  }

  /// Makes memory without a path: a file in DRAM that lives as long as something maps it.
  ///
  /// - Parameters:
  ///   - name: How the memory is called in /proc; need not be unique, at most 249 bytes.
  ///   - byteCount: Bytes to map; rounded up to pages. At least 1.
  ///   - options: Whether pages are touched, and the granularity to believe in.
  ///   - processor: What the processor can do.
  ///   - observer: Who is told of every operation on the region; for tests.
  /// - Throws: ``PlatformError``: `invalidArgument`, `resourceLimit`, `noSpace` or `system`.
  public init(
    anonymousNamed name: String, byteCount: ByteCount, options: Options = Options(),
    processor: ProcessorFeatures = .detect(), observer: (any RegionObserver)? = nil
  ) throws(PlatformError) {
    let size = try Self.wholePages(byteCount, path: "memfd:\(name)", options: options)
    let file = try RegionFile.memory(name: name, byteCount: options.fileOffset + size)
    try self.init(
      file, size: size, options: options, tree: SystemTree(), processor: processor,
      observer: observer)
  }

  private init(
    _ file: RegionFile, size: Int, options: Options, tree: SystemTree,
    processor: ProcessorFeatures, observer: (any RegionObserver)? = nil
  ) throws(PlatformError) {
    do throws(PlatformError) {
      let kind = try FileSystemKind.of(path: file.currentPath, tree: tree)
      let geometry = try RegionGeometry.of(
        kind: kind, path: file.path, byteCount: size, offset: options.fileOffset, tree: tree)
      try file.settle(isVolatile: kind == .tmpfs)
      let mapping = try RegionMapping.make(
        file, kind: kind, alignmentBytes: geometry.alignmentBytes, options: options,
        byteCount: geometry.byteCount)
      do throws(PlatformError) {
        try file.publish(isVolatile: kind == .tmpfs)
      } catch {
        unsafe munmap(mapping.base, geometry.byteCount)
        throw error
      }
      path = file.path
      byteCount = geometry.byteCount
      fileSystem = kind
      isSynchronous = mapping.isSynchronous
      let region = PersistentMemory.region(ofOpenFile: file.descriptor, in: tree)
      memoryRegionName = region?.name
      persistenceDomain = region?.persistenceDomain
      let real = StoreGranularity.of(
        kind: kind, isSynchronous: isSynchronous, domain: region?.persistenceDomain)
      granularity = options.forcedGranularity ?? real
      isGranularityForced = options.forcedGranularity != nil
      flushInstruction = processor.bestFlush
      operations = PersistOperations(granularity: granularity, flush: flushInstruction)
      unsafe base = unsafe mapping.base
      self.observer = observer
      self.tree = tree
      fileOffset = options.fileOffset
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

  private static func wholePages(
    _ byteCount: ByteCount, path: String, options: Options
  ) throws(PlatformError) -> Int {
    let pageBytes = sysconf(Int32(_SC_PAGESIZE))
    guard byteCount.bytes > 0, byteCount.bytes <= Int.max / 4 else {
      throw PlatformError(
        .invalidArgument, path: path, reason: "cannot map \(byteCount)",
        nextStep: "ask for at least 1B")
    }
    guard options.fileOffset >= 0, options.fileOffset <= Int.max / 4,
      options.fileOffset % pageBytes == 0
    else {
      throw PlatformError(
        .invalidArgument, path: path,
        reason: "cannot be mapped from offset \(options.fileOffset)",
        nextStep: "choose a multiple of \(pageBytes)")
    }
    return (byteCount.bytes + pageBytes - 1) / pageBytes * pageBytes
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

  /// Stops where a range does not lie within the region.
  @inlinable @inline(__always)
  func check(_ range: Range<Int>) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= byteCount, "range outside the region")
  }

  /// Stops where bytes from an offset on do not lie within the region.
  @inlinable @inline(__always)
  func check(_ offset: Int, count: Int) {
    precondition(
      offset >= 0 && count >= 0 && offset <= byteCount && count <= byteCount - offset,
      "range outside the region")
  }
}

// SAFETY: the fields never change after the initialiser; what lies in the mapping is shared memory
// whose accesses the users of `base` have to order themselves.
extension MappedRegion: @unchecked Sendable {}
