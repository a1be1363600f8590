// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterCore
public import ArbiterDevice

/// The order in which a thread visits its region.
public enum Pattern: String, Sendable, Hashable, CaseIterable {
  /// Ascending, again from the start at the region's end.
  case sequential
  /// Uniformly at random, aligned to the access size.
  case random
  /// The first half of every media block, then every second half, and again: the test that shows
  /// the capacity of the write-combining buffer (Yang et al., FAST'20, section 3).
  case halves
  /// The same, but the second halves in descending order: the test that shows in which order the
  /// read buffer gives its places up (Liu et al., USENIX Security'23).
  case halvesBack = "halves-back"
  /// Every access of the region once, in an order without pattern, and again in that order: a chain
  /// of pointers.
  case chain

  /// Whether the pattern visits halves of media blocks.
  public var visitsHalves: Bool { self == .halves || self == .halvesBack }
}

/// What one thread does, for as long as it runs.
public struct Workload: Sendable, Hashable {
  /// The order of addresses.
  public var pattern: Pattern
  /// How the thread stores.
  public var store: Operation
  /// Bytes of each access, a multiple of a cache line.
  public var accessBytes: Int
  /// When the thread fences its stores.
  public var fence: FenceRule
  /// Bytes of the region that the thread has to itself, a multiple of the access size.
  public var regionBytes: Int
  /// Bytes from one access of ``Pattern/sequential`` to the next; 0 leaves no gap between them.
  public var strideBytes = 0
  /// Share of the accesses that are loads, between 0 and 1.
  public var readShare: Double
  /// Time of its own that the thread spends after each access.
  public var think: TimeSpan
  /// Whether each load waits for the data of the one before it.
  public var isDependent: Bool

  /// Makes a workload.
  ///
  /// - Precondition: ``problem`` of the result is nil.
  public init(
    pattern: Pattern = .sequential, store: Operation = .storeNonTemporal, accessBytes: Int = 64,
    fence: FenceRule = .never, regionBytes: Int = 64 << 20, readShare: Double = 0,
    think: TimeSpan = .zero, isDependent: Bool = false
  ) {
    self.pattern = pattern
    self.store = store
    self.accessBytes = accessBytes
    self.fence = fence
    self.regionBytes = regionBytes
    self.readShare = readShare
    self.think = think
    self.isDependent = isDependent
  }

  /// What makes the workload impossible, as one clause; nil where it is sound.
  public var problem: String? {
    let line = Granularity.cacheLineBytes
    if accessBytes < line || accessBytes % line != 0 || accessBytes > 1 << 30 {
      return "access size \(accessBytes)B is not a multiple of 64B between 64B and 1GiB"
    }
    if regionBytes < accessBytes || regionBytes % accessBytes != 0 {
      return "region of \(regionBytes)B is not a multiple of the access size \(accessBytes)B"
    }
    if strideBytes != 0 {
      if pattern != .sequential { return "a stride needs pattern sequential" }
      if strideBytes < accessBytes || strideBytes % line != 0 || strideBytes > regionBytes {
        return "stride \(strideBytes)B is not a multiple of 64B between access size and region"
      }
    }
    if regionBytes > 1 << 40 { return "region of \(regionBytes)B is larger than 1TiB" }
    if !(readShare >= 0 && readShare <= 1) { return "read share \(readShare) is not within 0...1" }
    if think < .zero { return "think time is negative" }
    if pattern.visitsHalves && accessBytes != 128 {
      return "pattern \(pattern.rawValue) needs an access size of 128B, not \(accessBytes)B"
    }
    if case .every(let bytes) = fence, bytes == 0 { return "fence every 0B never ends" }
    if !store.isStore { return "the store operation is a load" }
    return nil
  }
}
