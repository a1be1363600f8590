// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlacement

/// A way to prove that islands were not touched for a while, by bits that the processor sets.
///
/// What it cannot prove it does not tell: a chunk that is never named may be idle all the same. It
/// never ranks what is hot. One thread calls it, the manager's, every few tens of milliseconds; no
/// call may take longer than a few milliseconds.
public protocol IdleEvidence {
  /// Its name in reports.
  var name: String { get }

  /// CPU time that it took so far on threads of its own, in nanoseconds.
  var cpuNanoseconds: UInt64 { get }

  /// Looks, where it is time to.
  ///
  /// - Parameters:
  ///   - table: The chunks of which something may be told.
  ///   - now: Now, in nanoseconds of the session's clock.
  ///   - body: Receives the number of a chunk, islands of it that nobody touched, and for how many
  ///     nanoseconds nobody did.
  mutating func look(
    at table: borrowing ChunkTable, now: Int64, _ body: (Int, IslandSet, Int64) -> Void)

  /// Forgets a chunk whose number may be given to another one.
  mutating func forget(chunk: Int)

  /// What went wrong or is given up, as one line each, since the last call.
  mutating func takeRemarks() -> [String]
}
