// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// One sampled access to managed memory.
public struct TierSample: Sendable, Hashable {
  /// The number of the chunk in the manager's table.
  public var chunk: Int32
  /// The island within the chunk, 0 to 63.
  public var island: UInt8
  /// Whether memory was written.
  public var isStore: Bool
  /// What the sample stands for: nanoseconds of stall, or accesses; one unit within a session.
  public var weight: Float

  /// Makes a sample.
  @inlinable
  public init(chunk: Int32, island: UInt8, isStore: Bool, weight: Float) {
    self.chunk = chunk
    self.island = island
    self.isStore = isStore
    self.weight = weight
  }
}
