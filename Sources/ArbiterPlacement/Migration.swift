// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A decision: islands of a chunk are to lie in the other tier.
public struct Migration: Sendable, Hashable {
  /// Why a policy decides so.
  public enum Reason: String, Sendable, Hashable, CaseIterable {
    /// What is hot lies in slow memory.
    case hot
    /// Room is kept free ahead of need.
    case reserve
    /// Something hotter needs the room.
    case exchange
    /// It was drawn at random, by a test.
    case random
  }

  /// The number of the chunk.
  public var chunk: Int32
  /// The islands that move; those that lie there already are left alone.
  public var islands: IslandSet
  /// Where to.
  public var destination: Tier
  /// Why.
  public var reason: Reason

  /// Makes a decision.
  public init(chunk: Int32, islands: IslandSet, to destination: Tier, because reason: Reason) {
    self.chunk = chunk
    self.islands = islands
    self.destination = destination
    self.reason = reason
  }
}

/// What became of a decision.
public struct MigrationOutcome: Sendable, Hashable {
  /// How it ended.
  public enum Status: String, Sendable, Hashable, CaseIterable {
    /// The islands lie where they should.
    case moved
    /// The chunk is gone, or changed meanwhile: nothing was done.
    case stale
    /// It cannot be moved now: pinned, locked, or shared with a fork.
    case busy
    /// The destination has no room.
    case full
    /// The system refused.
    case failed
  }

  /// The decision.
  public var migration: Migration
  /// How it ended.
  public var status: Status
  /// Bytes that were copied; less than the islands' where pages were never touched.
  public var bytesCopied: Int
  /// Nanoseconds from the protection of islands to their release; the longest, where they were
  /// moved one after the other.
  public var protectedNanoseconds: Int64
  /// Nanoseconds of CPU time that the move took.
  public var cpuNanoseconds: Int64
  /// Accesses of the program that had to wait meanwhile.
  public var stallCount: Int

  /// Makes an outcome.
  public init(
    _ migration: Migration, status: Status, bytesCopied: Int = 0, protectedNanoseconds: Int64 = 0,
    cpuNanoseconds: Int64 = 0, stallCount: Int = 0
  ) {
    self.migration = migration
    self.status = status
    self.bytesCopied = bytesCopied
    self.protectedNanoseconds = protectedNanoseconds
    self.cpuNanoseconds = cpuNanoseconds
    self.stallCount = stallCount
  }
}
