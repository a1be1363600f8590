// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// One of the two kinds of memory that data is placed in.
public enum Tier: String, Sendable, Hashable, CaseIterable {
  /// DRAM.
  case fast
  /// What is slower and larger: persistent memory, CXL memory, a file.
  case slow

  /// The other one.
  public var other: Tier { self == .fast ? .slow : .fast }
}

/// The units in which memory is managed.
public enum TierUnit {
  /// Bytes of a chunk, what is managed as one: the size of a huge page.
  public static let chunkBytes = 2 << 20
  /// Bytes of an island, the smallest part of a chunk that is placed by itself.
  public static let islandBytes = 32 << 10
  /// Islands of a chunk: one bit each of a word.
  public static let islandsPerChunk = chunkBytes / islandBytes
}
