// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiter
internal import Synchronization

// A counting ticket lock. Every request draws the next ticket t; ticket t holds a permit once
// t < limit, where `limit` starts at the number of permits and grows by one with every return.
//
// I1  Holders never exceed the permit count: granted tickets are those below `limit`, and
//     limit - returns is constant.
// I2  First come, first served: the condition of ticket t follows from that of ticket t + 1.
// I3  Every waiter is served, if every holder returns its permit: a return admits exactly the
//     oldest ticket that waits.
// I4  Nobody sleeps through its turn: a waiter announces its sleep in its place before it looks at
//     `limit` again, and a return changes `limit` before it looks at the announcement. Both are
//     sequentially consistent, so one of the two sees the other.
//
// A place is a pair of cache lines on which one waiting thread sleeps; ticket t uses place
// t mod capacity. Waiting tickets are consecutive and at most as many as threads, so no two share
// one.

/// The place where a waiting ticket sleeps.
private struct WaitingPlace: ~Copyable {
  let word = Atomic<UInt32>(0)
  let sleeperCount = Atomic<UInt32>(0)
  private let padding = InlineArray<15, UInt64>(repeating: 0)
}

/// The permits of the lock scheme for real threads: a fair semaphore.
///
/// A waiter spins for a bounded time, then sleeps. A permit says nothing about persistence.
@safe
public final class AtomicPermits: Sendable {
  /// Threads that may hold a permit at once.
  public let permitCount: Int
  /// Threads that may use the permits at once.
  public let threadCount: Int

  private let nextTicket = Atomic<UInt64>(0)
  private let limit: Atomic<UInt64>
  private let holders = Atomic<Int>(0)
  private let holderMaximum = Atomic<Int>(0)
  // SAFETY: allocated in init, freed in deinit; the contents are atomics.
  private nonisolated(unsafe) let places: UnsafeMutablePointer<WaitingPlace>

  /// Makes free permits.
  ///
  /// - Parameters:
  ///   - permitCount: Permits; at least 1.
  ///   - threadCount: The most threads that use them; at least 1.
  public init(permitCount: Int, threadCount: Int) {
    precondition(permitCount >= 1, "a lock needs a permit")
    precondition(threadCount >= 1, "permits need a thread")
    self.permitCount = permitCount
    self.threadCount = threadCount
    limit = Atomic(UInt64(permitCount))
    unsafe places = AlignedMemory.allocate(count: threadCount)
    for index in 0..<threadCount { unsafe (places + index).initialize(to: WaitingPlace()) }
  }

  deinit {
    unsafe places.deinitialize(count: threadCount)
    unsafe places.deallocate()
  }

  /// Requests so far; a request counts from the moment its turn is fixed.
  public var requestedCount: UInt64 { nextTicket.load(ordering: .sequentiallyConsistent) }

  /// Permits that were returned so far.
  public var returnedCount: UInt64 {
    limit.load(ordering: .sequentiallyConsistent) - UInt64(permitCount)
  }

  /// Threads that hold a permit now.
  public var holderCount: Int { holders.load(ordering: .relaxed) }

  /// The most threads that ever held a permit at once.
  ///
  /// Counted by the holders themselves, apart from the tickets that limit them.
  public var holderCountMax: Int { holderMaximum.load(ordering: .relaxed) }

  /// Waits for a permit and takes it.
  ///
  /// - Returns: The ticket: permits are granted in the order of tickets.
  /// - Precondition: The thread holds no permit, and at most `threadCount` threads use the permits.
  /// - Complexity: Two atomic operations where a permit is free. At most 64 pauses, then system
  ///   calls, while none is.
  @discardableResult
  public func acquire() -> UInt64 {
    let ticket = nextTicket.wrappingAdd(1, ordering: .relaxed).oldValue
    // Acquires what earlier holders wrote before release().
    if limit.load(ordering: .acquiring) <= ticket { waitForTurn(of: ticket) }
    let count = holders.wrappingAdd(1, ordering: .relaxed).newValue
    // A maximum never decreases, and nothing is read on the strength of it.
    holderMaximum.max(count, ordering: .relaxed)
    return ticket
  }

  /// Returns a permit, which goes to the oldest waiter.
  ///
  /// - Precondition: The thread holds one.
  public func release() {
    holders.wrappingSubtract(1, ordering: .relaxed)
    // Sequentially consistent for I4; releases to the acquiring load in acquire().
    let admitted = limit.wrappingAdd(1, ordering: .sequentiallyConsistent).oldValue
    let index = Int(admitted % UInt64(threadCount))
    if unsafe places[index].sleeperCount.load(ordering: .sequentiallyConsistent) == 0 { return }
    unsafe places[index].word.wrappingAdd(1, ordering: .sequentiallyConsistent)
    unsafe _ = arb_futex_wake(UnsafeRawPointer(places + index))
  }

  private func waitForTurn(of ticket: UInt64) {
    // Only the waiter that is next may hope that a short spin is enough.
    let ahead = ticket - min(ticket, limit.load(ordering: .relaxed))
    if ahead < UInt64(permitCount) {
      for _ in 0..<64 {
        if limit.load(ordering: .acquiring) > ticket { return }
        arb_pause()
      }
    }
    let index = Int(ticket % UInt64(threadCount))
    unsafe places[index].sleeperCount.wrappingAdd(1, ordering: .sequentiallyConsistent)
    while true {
      let word = unsafe places[index].word.load(ordering: .sequentiallyConsistent)
      if limit.load(ordering: .sequentiallyConsistent) > ticket { break }
      // The limit of a second only bounds the damage of a kernel that would lose a wake-up.
      unsafe _ = arb_futex_wait(UnsafeRawPointer(places + index), word, 1_000_000_000)
    }
    unsafe places[index].sleeperCount.wrappingSubtract(1, ordering: .relaxed)
  }
}
