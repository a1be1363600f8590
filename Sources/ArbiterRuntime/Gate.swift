// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
public import CArbiterGate

/// One thread's door to a module: lets stores pass now, or makes the thread wait.
///
/// The data path makes no system call, takes no lock and allocates nothing; waits spin. A gate
/// belongs to the thread that made it, and ends on it. The mechanism is that of
/// `CArbiterGate/gate.h`, which programs in other languages use too.
@safe
public struct Gate: ~Copyable {
  let board: GateBoard
  // SAFETY: its pointers lead into the page, which the board keeps alive.
  @usableFromInline var core = unsafe ArbGate()

  /// What a gate's waits came to, in counts of the time-stamp counter.
  public struct Waits: Sendable, Hashable {
    /// How many stores had to wait.
    public var count: UInt64 = 0
    /// The sum of the waits that were asked for.
    public var requestedTicks: Int64 = 0
    /// The longest wait that was asked for; at most the board's maximum.
    public var requestedTicksMax: Int64 = 0
    /// The sum of the waits as they turned out, preemption included; never below the request.
    public var actualTicks: Int64 = 0
    /// Fences that the settings put in.
    public var fenceCount: UInt64 = 0
    /// Stores that did not wait because the controller is gone.
    public var staleCount: UInt64 = 0

    /// Makes waits of nothing.
    public init() {}
  }

  /// Makes a gate and registers it.
  ///
  /// - Throws: ``PlatformError`` with `resourceLimit` where the page is full.
  public init(on board: GateBoard) throws(PlatformError) {
    self.board = board
    // SAFETY: the page outlives the gate.
    let status = unsafe arb_gate_attach(
      &core, board.page.page, UInt32(board.setIndex), UInt32(board.session))
    guard status == 0 else {
      throw PlatformError(
        .resourceLimit, reason: "all \(board.page.slotCount) gates of the page are in use",
        nextStep: "make the page with more slots")
    }
  }

  deinit {
    var core = unsafe core
    // SAFETY: a copy of this gate's own handle, used once and never again.
    unsafe arb_gate_detach(&core)
  }

  /// What the waits of this gate came to.
  public var waitTotals: Waits {
    var own = ArbCounts()
    // SAFETY: the page outlives the gate.
    unsafe arb_slot_read(board.page.page, core.slot_index, &own)
    return Waits(own)
  }

  /// Returns when the thread may issue a store, after the wait and fence that the settings ask for.
  ///
  /// A long store is best issued block by block: the first piece up to the end of its media block
  /// after this call, each later one after ``passBlock(address:length:)``. One call for the whole
  /// waits for all its blocks at once and fences once.
  ///
  /// - Parameters:
  ///   - address: Byte address of the store; blocks are told apart by it.
  ///   - length: Bytes of the store, or of its first piece; at least 1.
  /// - Complexity: Under zero delay below 2 ns (`Benchmarks`, benchmark `gate`). No allocation, no
  ///   lock, no system call in any case.
  @inlinable @inline(__always)
  public mutating func pass(address: UInt64, length: UInt64) {
    // SAFETY: the gate is this thread's own.
    unsafe arb_gate_pass(&core, address, length)
  }

  /// Returns when the thread may issue the next block of a store that it has begun.
  ///
  /// Settings that act per access ask nothing here.
  ///
  /// - Parameters:
  ///   - address: Byte address of the piece, the start of a media block.
  ///   - length: Bytes of the piece; at least 1.
  /// - Complexity: As ``pass(address:length:)``.
  @inlinable @inline(__always)
  public mutating func passBlock(address: UInt64, length: UInt64) {
    // SAFETY: the gate is this thread's own.
    unsafe arb_gate_pass_block(&core, address, length)
  }

  /// Says that the thread has fenced its stores, after it did.
  ///
  /// Nothing waits on it. An estimate of write amplification needs to know, for a fence is what lets
  /// a block be complete before the next one begins.
  ///
  /// - Complexity: One comparison, and some 30 ns while a recording is open.
  @inlinable @inline(__always)
  public mutating func noteFence() {
    // SAFETY: the gate is this thread's own.
    unsafe arb_gate_note_fence(&core)
  }
}

extension Gate.Waits {
  init(_ counts: ArbCounts) {
    count = counts.wait_count
    requestedTicks = Int64(clamping: counts.requested_ticks)
    requestedTicksMax = Int64(clamping: counts.requested_ticks_max)
    actualTicks = Int64(clamping: counts.actual_ticks)
    fenceCount = counts.fence_count
    staleCount = counts.stale_count
  }
}
