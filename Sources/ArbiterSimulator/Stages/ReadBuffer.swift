// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The on-module buffer of blocks that were read, apart from the write-combining buffer: 64 blocks,
// first in, first out (Yang et al., FAST'20; Xiang et al., EuroSys'22). Loads that arrive while the
// medium still reads their block wait for it together.
//
// Invariant R1: a block has at most one slot, pending or ready.

internal import ArbiterCore
internal import ArbiterDevice

/// The read buffer of one module.
struct ReadBuffer: ~Copyable {
  enum Lookup {
    case ready
    case pending(slot: Int)
    case absent
  }

  struct Slot {
    var block = UInt64.max
    var isPending = false
    var stamp: UInt64 = 0
    var chain: Int16 = -1
    /// First of the loads that wait for the block; -1 for none.
    var waiters: Int32 = -1
  }

  private static let bucketCount = 512
  private let slots: FixedArray<Slot>
  private let buckets: FixedArray<Int16>
  private let candidates: Int
  private var random: SeededRandom
  private var stamp: UInt64 = 0
  private var pendingCount = 0

  init(profile: DeviceProfile, random: SeededRandom) {
    slots = FixedArray(count: profile.readBufferBlocks) { _ in Slot() }
    candidates = profile.readVictimCandidates
    self.random = random
    buckets = FixedArray(count: Self.bucketCount) { _ in -1 }
  }

  @inline(__always)
  private static func bucket(of block: UInt64) -> Int {
    Int(truncatingIfNeeded: (block &* 0x9E37_79B9_7F4A_7C15) >> 55)
  }

  /// Whether a slot can be given to another block.
  var hasRoom: Bool { pendingCount < slots.count }

  func lookup(_ block: UInt64) -> Lookup {
    var index = Int(buckets[Self.bucket(of: block)])
    while index >= 0 && slots[index].block != block { index = Int(slots[index].chain) }
    if index < 0 { return .absent }
    return slots[index].isPending ? .pending(slot: index) : .ready
  }

  /// A slot that no read is pending for, near one drawn at random.
  private mutating func freeSlot() -> Int {
    var index = random.below(slots.count)
    while slots[index].isPending { index = index &+ 1 == slots.count ? 0 : index &+ 1 }
    return index
  }

  /// Gives the oldest slot that no read is pending for to a block that the medium shall read.
  ///
  /// Precondition: ``hasRoom``.
  mutating func allocate(_ block: UInt64) -> Int {
    precondition(hasRoom, "every slot is pending")
    var index = freeSlot()
    for _ in 1..<max(candidates, 1) {
      let other = freeSlot()
      if slots[other].stamp < slots[index].stamp { index = other }
    }
    stamp &+= 1
    slots[index].stamp = stamp
    if slots[index].block != .max { unchain(index) }
    let bucket = Self.bucket(of: block)
    slots[index].block = block
    slots[index].isPending = true
    slots[index].chain = buckets[bucket]
    slots[index].waiters = -1
    buckets[bucket] = Int16(truncatingIfNeeded: index)
    pendingCount += 1
    return index
  }

  /// Drops a block that the program has just overwritten, so that no stale data is served.
  mutating func invalidate(_ block: UInt64) {
    var index = Int(buckets[Self.bucket(of: block)])
    while index >= 0 && slots[index].block != block { index = Int(slots[index].chain) }
    guard index >= 0, !slots[index].isPending else { return }
    unchain(index)
    slots[index].block = .max
  }

  /// Puts a load at the head of a pending slot's list and returns the former head.
  mutating func addWaiter(_ waiter: Int32, to slot: Int) -> Int32 {
    let next = slots[slot].waiters
    slots[slot].waiters = waiter
    return next
  }

  /// Marks a slot as read and returns the first of its waiting loads, -1 for none.
  mutating func complete(_ slot: Int) -> Int32 {
    precondition(slots[slot].isPending, "slot was not pending")
    slots[slot].isPending = false
    pendingCount -= 1
    let head = slots[slot].waiters
    slots[slot].waiters = -1
    return head
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
