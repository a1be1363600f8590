// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import ArbiterScheduler
internal import CArbiterGate

/// The permits of the lock scheme for real threads, of one program or several: those of one set of
/// a control page.
///
/// First come, first served. A waiter spins for a bounded time, then sleeps. The permit of a thread
/// that dies goes to the next one. A permit says nothing about persistence.
@safe
public final class SharedPermits: Sendable {
  /// Where the permits lie.
  public let page: ControlPage
  /// The place of the set in the page.
  public let setIndex: Int

  /// Uses the permits of a set.
  public init(page: ControlPage, setIndex: Int) {
    self.page = page
    self.setIndex = setIndex
  }

  /// Makes free permits on a page of their own.
  ///
  /// - Parameters:
  ///   - permitCount: Permits; at least 1.
  ///   - threadCount: The most threads that use them at once; at least 1.
  /// - Throws: ``PlatformError`` where the system refuses the memory.
  public convenience init(permitCount: Int, threadCount: Int) throws(PlatformError) {
    var parameters = ControlPage.Parameters()
    parameters.slotCount = threadCount
    parameters.lock.permitCount = permitCount
    // Permits wait by futex and never by the clock, so any rate will do.
    let page = try ControlPage(parameters, clock: TimeStampClock(ticksPerNanosecond: 1))
    page.addSet(at: 1, name: "all", matchesAll: true)
    self.init(page: page, setIndex: 1)
  }

  /// The figures of one moment.
  public struct Counts: Sendable, Hashable {
    /// Requests so far; a request counts from the moment its turn is fixed.
    public var requestedCount: Int
    /// Threads that hold a permit.
    public var holderCount: Int
    /// The most threads that ever held a permit at once.
    public var holderCountMax: Int
    /// Threads that wait.
    public var waitingCount: Int
    /// Permits whose holder died.
    public var recoveredCount: Int

    /// Makes figures.
    public init(
      requestedCount: Int = 0, holderCount: Int = 0, holderCountMax: Int = 0,
      waitingCount: Int = 0, recoveredCount: Int = 0
    ) {
      self.requestedCount = requestedCount
      self.holderCount = holderCount
      self.holderCountMax = holderCountMax
      self.waitingCount = waitingCount
      self.recoveredCount = recoveredCount
    }
  }

  /// The figures now.
  public var counts: Counts {
    var counts = ArbPermitCounts()
    unsafe arb_permits_read(page.page, UInt32(setIndex), &counts)
    return Counts(
      requestedCount: Int(counts.requested_count), holderCount: Int(counts.holder_count),
      holderCountMax: Int(counts.holder_count_max), waitingCount: Int(counts.waiting_count),
      recoveredCount: Int(counts.recovered_count))
  }
}

/// One thread's way to the permits; belongs to the thread that made it.
@safe
public struct PermitHolder: ~Copyable {
  private let permits: SharedPermits
  // SAFETY: its pointers lead into the page, which the permits keep alive.
  private var core = unsafe ArbGate()

  /// Whether the thread holds a permit.
  public private(set) var isHolding = false

  /// Registers the calling thread.
  ///
  /// - Throws: ``PlatformError`` with `resourceLimit` where the page is full.
  public init(_ permits: SharedPermits) throws(PlatformError) {
    self.permits = permits
    // SAFETY: the page outlives the holder.
    let status = unsafe arb_gate_attach(&core, permits.page.page, UInt32(permits.setIndex), 0)
    guard status == 0 else {
      throw PlatformError(
        .resourceLimit, reason: "all \(permits.page.slotCount) places of the page are in use",
        nextStep: "make the page with more slots")
    }
  }

  deinit {
    var core = unsafe core
    // SAFETY: a copy of this holder's own handle, used once and never again.
    if isHolding { unsafe arb_permit_release(&core) }
    unsafe arb_gate_detach(&core)
  }

  /// Waits for a permit and takes it.
  ///
  /// - Returns: The ticket: permits are granted in the order of tickets. Nil where the wait was
  ///   given up after ten seconds, because a holder was stopped; the thread then holds none.
  /// - Precondition: The thread holds no permit.
  /// - Complexity: One uncontended mutex where a permit is free. At most 64 pauses, then system
  ///   calls, while none is.
  @discardableResult
  public mutating func acquire() -> UInt64? {
    precondition(!isHolding, "the thread holds a permit already")
    // SAFETY: the handle is this thread's own.
    let ticket = unsafe arb_permit_acquire(&core)
    isHolding = ticket != UInt64.max
    return isHolding ? ticket : nil
  }

  /// Returns the permit, which goes to the oldest waiter; nothing where there is none.
  public mutating func release() {
    // SAFETY: the handle is this thread's own.
    if isHolding { unsafe arb_permit_release(&core) }
    isHolding = false
  }
}
