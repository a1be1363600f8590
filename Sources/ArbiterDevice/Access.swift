// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a thread does to memory in one access.
public enum Operation: UInt8, Sendable, Hashable, CaseIterable {
  /// Non-temporal store: bypasses the caches, weakly ordered until a fence.
  case storeNonTemporal
  /// Store to the cache followed at once by a write-back of the line (clwb).
  case storeWriteBack
  /// The same where the line is in the cache already, so that nothing is read first.
  case storeWriteBackCached
  /// Store to the cache, written to memory whenever the cache evicts the line.
  case storePlain
  /// Load; independent of the loads before it unless its access says otherwise.
  case load
  /// Write-back of a line that was stored before (clwb, clflushopt); a clean one is only issued.
  case writeBack
  /// Store fence of its own, behind any operation; it has no address and no length.
  case fence
  /// Plain store to a line that is in the cache already, clean, so that nothing is read first.
  case storePlainCached

  /// Whether the operation stores.
  @inlinable
  public var isStore: Bool {
    switch self {
    case .storeNonTemporal, .storeWriteBack, .storeWriteBackCached, .storePlain,
      .storePlainCached:
      true
    case .load, .writeBack, .fence: false
    }
  }
}

/// When a thread orders its stores.
@frozen
public enum FenceRule: Sendable, Hashable {
  /// Never.
  case never
  /// Whenever this many bytes have been stored since the last fence, at the end of an access.
  case every(bytes: UInt32)
}

/// A run of equal accesses of one thread: `count` times `length` bytes, `stride` bytes apart.
///
/// The unit of description that generators, scenario files and traces produce and that both
/// executors (simulator and runtime) consume.
@frozen
public struct Access: Sendable, Hashable {
  /// What is done.
  public var operation: Operation
  /// Byte address of the first access, aligned to a cache line.
  public var address: UInt64
  /// Bytes of each access, a multiple of a cache line.
  public var length: UInt32
  /// How many accesses; at least 1.
  public var count: UInt32
  /// Bytes from the start of one access to the start of the next.
  public var stride: UInt32
  /// When the thread orders its stores.
  public var fence: FenceRule
  /// Time of its own that the thread spends after each access, in picoseconds.
  public var thinkPicoseconds: Int64
  /// Whether each load waits for the data of the one before it, as where it follows a pointer.
  public var isDependent: Bool

  /// Makes a run of accesses.
  @inlinable
  public init(
    operation: Operation, address: UInt64, length: UInt32, count: UInt32 = 1, stride: UInt32 = 0,
    fence: FenceRule = .never, thinkPicoseconds: Int64 = 0, isDependent: Bool = false
  ) {
    self.operation = operation
    self.address = address
    self.length = length
    self.count = count
    self.stride = stride
    self.fence = fence
    self.thinkPicoseconds = thinkPicoseconds
    self.isDependent = isDependent
  }
}
