// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The on-module buffer of blocks that were read, apart from the write-combining buffer (Xiang et
// al., EuroSys'22). Loads that arrive while the medium still reads their block wait for it
// together; a block enters the buffer when it has been read. The published tests disagree on who
// leaves (first in, least recent, or neither); a victim drawn at random reproduces the fall of
// random 256 B reads from 8 threads on, which strict orders turn into a cliff.
//
//      empty ──first load──► pending ──medium──► ready ──victim──► empty
//
// A block that the program overwrites keeps its place: only times are modelled, and what a module
// does with such a block was never measured.
//
// Invariants
//   R1  a block has at most one slot, pending or ready
//   R2  at most `blocks` slots are ready

package import ArbiterCore
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
    /// Higher is younger.
    var stamp: UInt64 = 0
    /// The next slot of the free list; -1 for none.
    var nextFree: Int16 = -1
    /// First of the loads that wait for the block; -1 for none.
    var waiters: Int32 = -1
  }

  private let slots: FixedArray<Slot>
  private let index: BlockIndex
  private let blocks: Int
  private let candidates: Int
  private var random: SeededRandom
  private var firstFree: Int16 = 0
  private var readyCount = 0
  private var stamp: UInt64 = 0

  package init(profile: DeviceProfile, random: SeededRandom) {
    // Every load in service may have a block of its own pending, and one more has just been read.
    let count = profile.readBufferBlocks + profile.readPendingQueueLines + 1
    slots = FixedArray(count: count) { slot in
      Slot(nextFree: slot + 1 == count ? -1 : Int16(slot + 1))
    }
    index = BlockIndex(slotCount: count)
    blocks = profile.readBufferBlocks
    candidates = profile.readVictimCandidates
    self.random = random
  }

  package func lookup(_ block: UInt64) -> Lookup {
    let slot = index.slot(of: block)
    if slot < 0 { return .absent }
    return slots[slot].state == .pending ? .pending(slot: slot) : .ready
  }

  /// Takes a slot for a block that the medium shall read.
  ///
  /// Precondition: fewer blocks are pending than loads may be in service.
  package mutating func allocate(_ block: UInt64, isTranslated: Bool = true) -> Int {
    precondition(firstFree >= 0, "no free read slot")
    let slot = Int(firstFree)
    firstFree = slots[slot].nextFree
    stamp &+= 1
    slots[slot] = Slot(state: .pending, isTranslated: isTranslated, stamp: stamp)
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
    if readyCount == blocks { free(chooseVictim()) }
    slots[slot].state = .ready
    readyCount += 1
    return head
  }

  /// The oldest of a few ready slots drawn at random.
  private mutating func chooseVictim() -> Int {
    var victim = drawReady()
    for _ in 1..<max(candidates, 1) {
      let other = drawReady()
      if slots[other].stamp < slots[victim].stamp { victim = other }
    }
    return victim
  }

  private mutating func drawReady() -> Int {
    var slot = random.below(slots.count)
    while slots[slot].state != .ready { slot = slot + 1 == slots.count ? 0 : slot + 1 }
    return slot
  }

  private mutating func free(_ slot: Int) {
    index.remove(from: slot)
    slots[slot] = Slot(nextFree: firstFree)
    firstFree = Int16(truncatingIfNeeded: slot)
    readyCount -= 1
  }
}
