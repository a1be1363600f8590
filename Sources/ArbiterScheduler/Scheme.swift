// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The ways to admit writers, by the name that options and results use.
public enum SchemeName: String, Sendable, Hashable, CaseIterable {
  /// Every thread writes whenever it likes.
  case baseline
  /// A semaphore: few threads write at a time.
  case lock
  /// Few worker threads write for all others.
  case delegation
  /// A store fence at every media-block boundary.
  case fence
  /// The adaptive delay of this project.
  case arbiter
  /// The adaptive delay as the paper describes it.
  case arbiterPaper = "arbiter-paper"
}

/// The contract of the lock scheme.
///
/// At most `permitCount` threads hold a permit. A thread takes one before a store and gives it back
/// at the first media-block boundary at which it has stored `spanBytes` or more under it; where no
/// access ends at a boundary, as many bytes later, or a block later if that is more. Waiters are
/// served first come, first served. A permit says nothing about persistence: giving it back neither
/// flushes nor fences.
public struct LockParameters: Sendable, Hashable {
  /// Threads that may hold a permit at the same time; at least 1.
  public var permitCount: Int
  /// Bytes that a thread stores under one permit.
  ///
  /// The paper holds for 32 blocks (III-B).
  public var spanBytes: Int
  /// Virtual cost of taking a free permit, in nanoseconds.
  public var acquireNanoseconds: Double
  /// Virtual time from giving a permit back until the next waiter runs, in nanoseconds.
  public var handOverNanoseconds: Double

  /// Makes a contract.
  ///
  /// The costs are those of a contended cache line between two cores.
  public init(
    permitCount: Int = 4, spanBytes: Int = 32 * 256, acquireNanoseconds: Double = 40,
    handOverNanoseconds: Double = 120
  ) {
    precondition(permitCount >= 1, "a lock needs a permit")
    precondition(spanBytes >= 64, "a permit covers at least a cache line")
    self.permitCount = permitCount
    self.spanBytes = spanBytes
    self.acquireNanoseconds = acquireNanoseconds
    self.handOverNanoseconds = handOverNanoseconds
  }
}

/// The contract of the delegation scheme.
///
/// A store is a request in one of `ringCount` rings of `slotCount` places, each served in order by
/// a worker of its own. A thread always uses the same ring, so that its requests keep their order.
/// A thread that finds its ring full waits until there is room; which of several waiting threads
/// finds it is not promised. A request is complete when the worker's store was accepted; a fence of
/// the requesting thread waits for its own requests and for nobody else's.
public struct DelegationParameters: Sendable, Hashable {
  /// Rings, each with a worker; the paper uses 4 (III-B).
  public var ringCount: Int
  /// Requests that a ring holds.
  public var slotCount: Int
  /// Virtual cost of putting a request into a ring, in nanoseconds.
  ///
  /// One thread at a time pushes.
  public var pushNanoseconds: Double
  /// Virtual cost of taking a request out of a ring, in nanoseconds.
  public var popNanoseconds: Double

  /// Makes a contract.
  ///
  /// The default costs put a ring at 3·10^6 operations per second, in the middle of the 10^6 to
  /// 10^7 that the paper states (III-B). The worker is the slower side, so that rings fill and
  /// requests wait in them, as the paper describes.
  public init(
    ringCount: Int = 4, slotCount: Int = 256, pushNanoseconds: Double = 100,
    popNanoseconds: Double = 330
  ) {
    precondition(ringCount >= 1, "delegation needs a ring")
    precondition(slotCount >= 1, "a ring needs a place")
    self.ringCount = ringCount
    self.slotCount = slotCount
    self.pushNanoseconds = pushNanoseconds
    self.popNanoseconds = popNanoseconds
  }
}
