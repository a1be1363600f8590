// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlacement

/// Somebody who is told what a session sees and does, as it happens: recordings and heat maps.
///
/// Times are nanoseconds of the session's clock. Numbers of chunks are used again after
/// ``vanished(_:time:)``. All calls come from the thread that steps the session.
public protocol TierObserver: AnyObject {
  /// A chunk is managed from now on.
  func appeared(_ number: Int, _ chunk: ManagedChunk, time: Int64)
  /// A chunk is not as ``appeared(_:_:time:)`` and migrations have left it: memory of it was
  /// touched first, or the program or the kernel has moved or locked it.
  func changed(_ number: Int, _ chunk: ManagedChunk, time: Int64)
  /// A chunk is managed no more.
  func vanished(_ number: Int, time: Int64)
  /// An access to managed memory was sampled: of which process, at which address.
  func sampled(_ sample: TierSample, process: Int32, address: UInt64, time: Int64)
  /// The policy decided, and the migration is under way.
  func decided(_ migration: Migration, of chunk: ManagedChunk, time: Int64)
  /// A migration has ended; the chunk is as it is now, nil where it is gone.
  func completed(_ outcome: MigrationOutcome, of chunk: ManagedChunk?, time: Int64)
}

extension TierObserver {
  /// Ignores it.
  public func appeared(_ number: Int, _ chunk: ManagedChunk, time: Int64) {}
  /// Ignores it.
  public func changed(_ number: Int, _ chunk: ManagedChunk, time: Int64) {}
  /// Ignores it.
  public func vanished(_ number: Int, time: Int64) {}
  /// Ignores it.
  public func sampled(_ sample: TierSample, process: Int32, address: UInt64, time: Int64) {}
  /// Ignores it.
  public func decided(_ migration: Migration, of chunk: ManagedChunk, time: Int64) {}
  /// Ignores it.
  public func completed(_ outcome: MigrationOutcome, of chunk: ManagedChunk?, time: Int64) {}
}
