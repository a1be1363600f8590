// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

/// The lock contract in virtual time: who holds a permit and who is next.
///
/// Invariants: at most `limit` holders; waiters are served in the order in which they asked; a
/// permit is never idle while somebody waits.
public struct VirtualPermits: ~Copyable {
  /// Threads that may hold a permit at the same time.
  public let limit: Int

  /// Threads that hold one now.
  public private(set) var holderCount = 0

  private var waiting: FixedQueue<Int32>

  /// Makes permits that nobody holds.
  ///
  /// - Parameters:
  ///   - limit: Permits; at least 1.
  ///   - threadCount: The most threads that may ask at the same time.
  public init(limit: Int, threadCount: Int) {
    precondition(limit >= 1, "a lock needs a permit")
    self.limit = limit
    waiting = FixedQueue(capacity: max(1, threadCount), filler: 0)
  }

  /// Threads that wait now.
  public var waiterCount: Int { waiting.count }

  /// Asks for a permit; a thread that gets none is queued.
  ///
  /// - Returns: Whether the thread holds a permit now.
  public mutating func request(_ thread: Int32) -> Bool {
    if holderCount < limit && waiting.isEmpty {
      holderCount += 1
      return true
    }
    waiting.push(thread)
    return false
  }

  /// Gives a permit back.
  ///
  /// - Returns: The thread that holds it from now on; nil where nobody waits.
  /// - Precondition: somebody holds a permit.
  public mutating func release() -> Int32? {
    precondition(holderCount > 0, "release without a holder")
    if waiting.isEmpty {
      holderCount -= 1
      return nil
    }
    return waiting.pop()
  }
}
