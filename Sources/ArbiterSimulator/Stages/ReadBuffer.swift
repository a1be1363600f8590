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
    var block = UInt64.max
    var state = State.empty
    /// Higher is younger.
    var stamp: UInt64 = 0
    /// The next slot of the same hash, or of the free list.
    var chain: Int16 = -1
    /// First of the loads that wait for the block; -1 for none.
    var waiters: Int32 = -1
  }

  private static let bucketCount = 512
  private let slots: FixedArray<Slot>
  private let buckets: FixedArray<Int16>
  private let blocks: Int
  private let candidates: Int
  private var random: SeededRandom
  private var firstFree: Int16 = 0
  private var readyCount = 0
  private var stamp: UInt64 = 0

  package init(profile: DeviceProfile, random: SeededRandom) {
    // Every load in service may have a block of its own pending, and one more has just been read.
    let count = profile.readBufferBlocks + profile.readPendingQueueLines + 1
    slots = FixedArray(count: count) { index in
      Slot(chain: index + 1 == count ? -1 : Int16(index + 1))
    }
    buckets = FixedArray(count: Self.bucketCount) { _ in -1 }
    blocks = profile.readBufferBlocks
    candidates = profile.readVictimCandidates
    self.random = random
  }

  @inline(__always)
  private static func bucket(of block: UInt64) -> Int {
    Int(truncatingIfNeeded: (block &* 0x9E37_79B9_7F4A_7C15) >> 55)
  }

  private func slot(of block: UInt64) -> Int {
    var index = Int(buckets[Self.bucket(of: block)])
    while index >= 0 && slots[index].block != block { index = Int(slots[index].chain) }
    return index
  }

  package func lookup(_ block: UInt64) -> Lookup {
    let index = slot(of: block)
    if index < 0 { return .absent }
    return slots[index].state == .pending ? .pending(slot: index) : .ready
  }

  /// Takes a slot for a block that the medium shall read.
  ///
  /// Precondition: fewer blocks are pending than loads may be in service.
  package mutating func allocate(_ block: UInt64) -> Int {
    precondition(firstFree >= 0, "no free read slot")
    let index = Int(firstFree)
    firstFree = slots[index].chain
    let bucket = Self.bucket(of: block)
    stamp &+= 1
    slots[index] = Slot(block: block, state: .pending, stamp: stamp, chain: buckets[bucket])
    buckets[bucket] = Int16(truncatingIfNeeded: index)
    return index
  }

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
    var index = random.below(slots.count)
    while slots[index].state != .ready { index = index + 1 == slots.count ? 0 : index + 1 }
    return index
  }

  private mutating func free(_ index: Int) {
    unchain(index)
    slots[index] = Slot(chain: firstFree)
    firstFree = Int16(truncatingIfNeeded: index)
    readyCount -= 1
  }

  private mutating func unchain(_ index: Int) {
    let bucket = Self.bucket(of: slots[index].block)
    if Int(buckets[bucket]) == index {
      buckets[bucket] = slots[index].chain
      return
    }
    var before = Int(buckets[bucket])
    while Int(slots[before].chain) != index { before = Int(slots[before].chain) }
    slots[before].chain = slots[index].chain
  }
}
