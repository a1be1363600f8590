// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlacement
public import ArbiterProfiler

/// What a session places, where and how.
public struct TierConfiguration: Sendable {
  /// Bytes of fast memory that managed chunks may take.
  public var fastBytes: UInt64
  /// Where the rest lies.
  public var slow: SlowMemory
  /// Bytes of slow memory; nil for eight times ``fastBytes``, as far as there is room.
  public var slowBytes: UInt64?
  /// Whether huge pages are asked for in fast memory.
  public var usesHugePages = true
  /// Whether heaps are managed too: by jemalloc in the place of the C library's allocator.
  public var managesHeaps = true
  /// What decides.
  public var policy: any PlacementPolicy
  /// How accesses are tracked; nil for the best way that works here.
  public var tracker: BackEnd?
  /// How chunks are moved; nil for what fits slow memory.
  public var backEnd: TierBackEndKind?
  /// What accesses to slow memory cost; nil for what is typical of its kind.
  public var slowTiming: TierTiming?
  /// Where ``slowTiming`` comes from, as a sentence without its full stop.
  public var slowTimingSource: String?

  /// Makes a configuration.
  public init(fastBytes: UInt64, slow: SlowMemory, policy: any PlacementPolicy) {
    self.fastBytes = fastBytes
    self.slow = slow
    self.policy = policy
  }
}
