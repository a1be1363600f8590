// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
public import ArbiterMemory
public import ArbiterPlatform

/// Memory that is measured: a region that may be written, or a file that is only read.
@safe
public struct MeasuredMemory: ~Copyable {
  private enum Mapping: ~Copyable {
    case region(MappedRegion)
    case readOnly(ReadOnlyMapping)
  }

  private let mapping: Mapping
  /// The file or device.
  public let path: String
  /// Bytes that may be accessed.
  public let byteCount: Int
  /// What holds the file.
  public let fileSystem: FileSystemKind
  /// Whether nothing may be stored.
  public let isReadOnly: Bool
  /// What has to be done so that stores survive; nil where nothing may be stored.
  public let granularity: StoreGranularity?
  /// The kernel's name of the persistent-memory region, as region0.
  public let memoryRegionName: String?
  /// The first byte.
  let base: UnsafeMutableRawPointer
  /// How stored bytes are written back, in latencies of stores through the cache.
  let persistOperations: PersistOperations
  /// The instruction that writes lines back, as ``persistOperations`` use it; nil where none.
  public var flushInstruction: FlushInstruction? { persistOperations.flushInstruction }

  /// Measures a region, which is kept until the measurements end.
  public init(_ region: consuming MappedRegion) {
    path = region.path
    byteCount = region.byteCount
    fileSystem = region.fileSystem
    isReadOnly = false
    granularity = region.granularity
    memoryRegionName = region.memoryRegionName
    unsafe base = unsafe region.base
    // Behind the page cache the access layer writes nothing back by itself: what is measured there
    // is DRAM, and is done to it as to memory.
    persistOperations =
      region.granularity == .page
      ? PersistOperations(granularity: .cacheLine, flush: region.flushInstruction)
      : region.operations
    mapping = .region(region)
  }

  /// Measures a file or device that is only read.
  public init(_ file: consuming ReadOnlyMapping) {
    path = file.path
    byteCount = file.byteCount
    fileSystem = file.fileSystem
    isReadOnly = true
    granularity = nil
    memoryRegionName = file.memoryRegionName
    // SAFETY: nothing is stored where `isReadOnly` is set; every executor checks it.
    unsafe base = UnsafeMutableRawPointer(mutating: file.base)
    persistOperations = PersistOperations(granularity: .byte, flush: .clflush)
    mapping = .readOnly(file)
  }
}

// SAFETY: nothing of it changes; what lies behind `base` is shared memory of the measurement.
extension MeasuredMemory: @unchecked Sendable {}
