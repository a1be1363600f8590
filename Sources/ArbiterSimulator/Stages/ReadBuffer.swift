// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The on-module buffer of blocks that were read, apart from the write-combining buffer (Xiang et
// al., EuroSys'22). Loads that arrive while the medium still reads their block wait for it
// together; a block enters the buffer when it has been read, and the least recently used one makes
// room. The published tests disagree on who leaves; this order reproduces the sharpest of them (Liu
// et al., USENIX Security'23): blocks looked at again in the same order miss from the 65th on, in
// reverse order only those beyond 64.
//
//      empty ──first load──► pending ──medium──► ready ──victim──► empty
//
// A block that the program overwrites keeps its place: only times are modelled, and what a module
// does with such a block was never measured.
//
// Invariants
//   R1  a block has at most one slot, pending or ready
//   R2  at most `blocks` slots are ready
//   R3  the ready slots form one list, in the order of their last use

internal import ArbiterCore
package import ArbiterDevice

/// The read buffer of one module.
package struct ReadBuffer: ~Copyable {
  package enum Lookup {
    case ready
    case pending(slot: Int)
    case absent
  }

  package enum State: UInt8 {
    case empty
    case pending
    case ready
  }

  package struct Slot {
    var state = State.empty
    /// Whether the block's translation was at hand when it was asked for.
    var isTranslated = true
    /// The next slot of the free list, or of the list of ready slots; -1 for none.
    var next: Int16 = -1
    /// The ready slot that was used before this one; -1 for none.
    var previous: Int16 = -1
    /// First of the loads that wait for the block; -1 for none.
    var waiters: Int32 = -1
  }

  private let slots: FixedArray<Slot>
  private let index: BlockIndex
  private let blocks: Int
  private var firstFree: Int16 = 0
  private var readyCount = 0
  /// The ready slot that was not used for longest; -1 for none.
  private var oldest: Int16 = -1
  /// The ready slot that was used last; -1 for none.
  private var youngest: Int16 = -1

  package init(profile: DeviceProfile) {
    // Every load in service may have a block of its own pending, and one more has just been read.
    let count = profile.readBufferBlocks + profile.readPendingQueueLines + 1
    slots = FixedArray(count: count) { slot in
      Slot(next: slot + 1 == count ? -1 : Int16(slot + 1))
    }
    index = BlockIndex(slotCount: count)
    blocks = profile.readBufferBlocks
  }

  /// Finds a block; being found is a use.
  package mutating func lookup(_ block: UInt64) -> Lookup {
    let slot = index.slot(of: block)
    if slot < 0 { return .absent }
    if slots[slot].state == .pending { return .pending(slot: slot) }
    if slot != Int(youngest) {
      unlink(slot)
      append(slot)
    }
    return .ready
  }

  /// Takes a slot for a block that the medium shall read.
  ///
  /// Precondition: fewer blocks are pending than loads may be in service.
  package mutating func allocate(_ block: UInt64, isTranslated: Bool = true) -> Int {
    precondition(firstFree >= 0, "no free read slot")
    let slot = Int(firstFree)
    firstFree = slots[slot].next
    slots[slot] = Slot(state: .pending, isTranslated: isTranslated)
    index.insert(block, into: slot)
    return slot
  }

  /// Whether the translation of a slot's block was at hand when the block was asked for.
  package func isTranslated(_ slot: Int) -> Bool { slots[slot].isTranslated }

  /// Puts a load at the head of a pending slot's list and returns the former head.
  package mutating func addWaiter(_ waiter: Int32, to slot: Int) -> Int32 {
    let next = slots[slot].waiters
    slots[slot].waiters = waiter
    return next
  }

  /// Marks a slot as read and returns the first of its waiting loads, -1 for none.
  package mutating func complete(_ slot: Int) -> Int32 {
    precondition(slots[slot].state == .pending, "slot was not pending")
    let head = slots[slot].waiters
    slots[slot].waiters = -1
    if readyCount == blocks { free(Int(oldest)) }
    slots[slot].state = .ready
    append(slot)
    return head
  }

  private mutating func append(_ slot: Int) {
    let place = Int16(truncatingIfNeeded: slot)
    slots[slot].previous = youngest
    slots[slot].next = -1
    if youngest >= 0 { slots[Int(youngest)].next = place } else { oldest = place }
    youngest = place
    readyCount += 1
  }

  private mutating func unlink(_ slot: Int) {
    let previous = slots[slot].previous
    let next = slots[slot].next
    if previous >= 0 { slots[Int(previous)].next = next } else { oldest = next }
    if next >= 0 { slots[Int(next)].previous = previous } else { youngest = previous }
    readyCount -= 1
  }

  private mutating func free(_ slot: Int) {
    unlink(slot)
    index.remove(from: slot)
    slots[slot] = Slot(next: firstFree)
    firstFree = Int16(truncatingIfNeeded: slot)
  }
}
