// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
public import ArbiterScheduler
internal import CArbiter
public import Synchronization

// A gate that is open costs one relaxed load, one comparison and two plain stores to a line of its
// own. It compares the published word with `passWord`: the word under which stores pass without
// wait or fence. While settings ask for anything, `passWord` has the foreign bit and equals no
// published word, so that one comparison covers both "settings changed" and "settings are active".

/// One thread's door to a module: lets stores pass now, or makes the thread wait.
///
/// The data path makes no system call, takes no lock and allocates nothing; waits spin. A gate
/// belongs to the thread that made it.
@safe
public struct Gate: ~Copyable {
  @usableFromInline let board: GateBoard
  // SAFETY: both point into the board, which the gate keeps alive.
  @usableFromInline let published: UnsafePointer<PublishedWord>
  @usableFromInline let slot: UnsafePointer<GateSlot>
  @usableFromInline let slotIndex: Int
  @usableFromInline var passWord: UInt64
  @usableFromInline var appliedWord: UInt64
  @usableFromInline var accessesPassed: UInt64
  @usableFromInline var bytesPassed: UInt64
  @usableFromInline var pace: Pace
  @usableFromInline var waits = Waits()

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
  }

  /// Makes a gate and registers it.
  ///
  /// - Throws: ``PlatformError`` with `resourceLimit` where the board is full.
  public init(on board: GateBoard) throws(PlatformError) {
    let index = try board.register()
    self.board = board
    slotIndex = index
    unsafe published = UnsafePointer(board.published)
    unsafe slot = UnsafePointer(board.slots + index)
    // A word that nobody publishes: the first store looks at the settings.
    passWord = .max
    appliedWord = .max
    // The slot's counts go on where its previous gate left them.
    accessesPassed = unsafe slot.pointee.accessCount.load(ordering: .relaxed)
    bytesPassed = unsafe slot.pointee.storedBytes.load(ordering: .relaxed)
    let ticks = board.maximumWaitNanoseconds * board.clock.ticksPerNanosecond
    pace = Pace(maximumWaitTicks: Int64(min(ticks, 4e18)))
  }

  deinit {
    board.leave(slotIndex)
  }

  /// What the waits of this gate came to.
  public var waitTotals: Waits { waits }

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
    // Relaxed: the word is the whole message (see SettingsWord); its partner is publish().
    if unsafe published.pointee.bits.load(ordering: .relaxed) != passWord {
      passUnderSettings(address: address, length: length)
    }
    accessesPassed &+= 1
    bytesPassed &+= length
    // Relaxed: the monitor sums counts and needs no order between them (ActivityObserver.look).
    unsafe slot.pointee.accessCount.store(accessesPassed, ordering: .relaxed)
    unsafe slot.pointee.storedBytes.store(bytesPassed, ordering: .relaxed)
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
    if pace.isByBlock { passUnderSettings(address: address, length: length) }
    bytesPassed &+= length
    // Relaxed, as in pass().
    unsafe slot.pointee.storedBytes.store(bytesPassed, ordering: .relaxed)
  }

  @usableFromInline @inline(never)
  mutating func passUnderSettings(address: UInt64, length: UInt64) {
    let word = unsafe published.pointee.bits.load(ordering: .relaxed)
    if word != appliedWord {
      pace.apply(
        SettingsWord(bits: word).settings, ticksPerNanosecond: board.clock.ticksPerNanosecond)
      appliedWord = word
      passWord = pace.isIdle ? word : word | SettingsWord.foreignBit
    }
    if pace.isIdle { return }
    // Settings that only fence need no clock, which costs more than the fence.
    let start = SettingsWord(bits: word).hasDelay ? TimeStampClock.now() : 0
    let admission = pace.admit(address: address, length: length, now: start)
    if admission.fenceFirst {
      arb_fence_store()
      waits.fenceCount &+= 1
    }
    if admission.waitTicks > 0 { wait(admission.waitTicks, from: start) }
  }

  private mutating func wait(_ ticks: Int64, from start: Int64) {
    let end = start &+ ticks
    var now = TimeStampClock.now()
    // The end is a moment, not a count of pauses: how long a pause takes differs between processors
    // and from minute to minute.
    while now < end {
      arb_pause()
      now = TimeStampClock.now()
    }
    waits.count &+= 1
    waits.requestedTicks &+= ticks
    waits.requestedTicksMax = max(waits.requestedTicksMax, ticks)
    waits.actualTicks &+= now &- start
  }
}
