// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What tests may watch. Off unless asked for; then every event of interest is kept, so that orders
// can be checked afterwards. One predictable branch per event while off.

internal import ArbiterCore
package import ArbiterDevice

/// Something that happened to a thread.
package struct TracedEvent: Sendable, Hashable {
  /// What may happen.
  package enum Kind: Sendable, Hashable {
    /// A core issued a store.
    case issued
    /// A core of the delegation scheme issued a store for a thread.
    case executed
    /// A store through the cache has its line: other cores see it.
    case cached
    /// A line leaves the cache, with every store that it has: written back, flushed or evicted.
    case left
    /// A module accepted a store: it is in the persistence domain.
    case accepted
    /// A fence found all earlier stores of the thread accepted.
    case fenced
    /// A thread put a store into its ring.
    case requested
    /// A thread asked for a permit.
    case permitWanted
    /// A thread was given a permit.
    case permitTaken
    /// A thread gave its permit back.
    case permitReturned
  }

  /// What happened.
  package let kind: Kind
  /// Whose program it concerns; under delegation not the thread that executes it.
  package let thread: Int
  /// Byte address within the module; 0 where none is concerned.
  package let address: UInt64
  /// When, in picoseconds of virtual time.
  package let time: Int64
  /// For an issued store: when its gate had let it pass; its window may have been full until later.
  package var passed: Int64 = 0
  /// For a store: the address by which the program knows its line.
  package var programAddress: UInt64 = 0
  /// For a store: of which kind it is.
  package var operation: Operation? = nil
}

extension Engine {
  /// Keeps an event for tests that watch.
  @inline(__always)
  mutating func note(_ kind: TracedEvent.Kind, _ thread: Int, _ address: UInt64 = 0) {
    if isTracing { keep(kind, thread, address) }
  }

  @inline(never)
  private mutating func keep(_ kind: TracedEvent.Kind, _ thread: Int, _ address: UInt64) {
    trace.append(TracedEvent(kind: kind, thread: thread, address: address, time: now))
  }

  /// Keeps what happened to a store's line.
  @inline(__always)
  mutating func note(_ kind: TracedEvent.Kind, _ line: PendingLine) {
    if isTracing { keep(kind, line) }
  }

  @inline(never)
  private mutating func keep(_ kind: TracedEvent.Kind, _ line: PendingLine) {
    trace.append(
      TracedEvent(
        kind: kind, thread: Int(line.owner), address: line.address, time: now,
        programAddress: programAddress(of: line), operation: line.operation))
  }

  /// The inverse of ``locate(_:)``.
  private func programAddress(of line: PendingLine) -> UInt64 {
    if moduleCount == 1 { return line.address }
    let offset = line.address & ((1 << interleaveShift) &- 1)
    let chunk = (line.address >> interleaveShift) * UInt64(moduleCount) + UInt64(line.module)
    return chunk << interleaveShift | offset
  }

  /// Keeps the issue of a store for tests that watch.
  @inline(__always)
  mutating func noteIssue(_ thread: Int, _ address: UInt64) {
    if isTracing { keepIssue(thread, address) }
  }

  @inline(never)
  private mutating func keepIssue(_ thread: Int, _ address: UInt64) {
    trace.append(
      TracedEvent(
        kind: .issued, thread: thread, address: address, time: now,
        passed: max(threads[thread].entered, min(now, threads[thread].passTime)),
        programAddress: threads[thread].address, operation: threads[thread].access.operation))
  }
}
