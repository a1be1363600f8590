// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The on-module buffer that merges lines into blocks (vendor word: XPBuffer).
//
//                 first line              fourth line
//      empty ─────────────────► partial ─────────────► full
//        ▲                         │  evicted: one       │ written as soon as
//        │                         ▼  media write        ▼ the medium is free
//        └────── (start) ◄────── reused ◄──────────── clean (kept, may be hit again)
//
// The data allow no other shape (device facts, section 2): a completed block is written at once but
// keeps its place until the place is reused. If it gave the place up at once, no victim rule would
// reproduce the measured capacity curve; if only clean places were reused, there would be no
// amplification.
//
// Invariants
//   B1  a block has at most one slot
//   B2  every full block is in the list of full blocks, and nothing else is
//   B3  lines in = lines handed to the medium + lines overwritten in the buffer + dirty lines held

package import ArbiterCore
package import ArbiterDevice

/// A block on its way to the medium.
package struct BlockWrite {
  package var block: UInt64 = 0
  /// Which of the four lines the program wrote, one bit each.
  package var mask: UInt8 = 0

  package init(block: UInt64 = 0, mask: UInt8 = 0) {
    self.block = block
    self.mask = mask
  }
}

/// The write-combining buffer of one module.
package struct WriteCombiningBuffer: ~Copyable {
  package struct Slot {
    /// Higher is more recent: of the last write, or of the allocation under first-in.
    var stamp: UInt64 = 0
    var mask: UInt8 = 0
    var isFull = false
    var previousFull: Int16 = -1
    var nextFull: Int16 = -1
  }

  package static let fullMask: UInt8 = 0b1111

  private let slots: FixedArray<Slot>
  private let index: BlockIndex
  private let rule: VictimRule
  private let candidates: Int
  /// Whether full blocks are written although nobody needs their places.
  private let isEager: Bool
  private var firstFull: Int16 = -1
  private var lastFull: Int16 = -1
  private var stamp: UInt64 = 0
  private var random: SeededRandom

  /// Lines that were written again before the medium had them.
  package private(set) var overwrittenLines: UInt64 = 0

  package init(profile: DeviceProfile, random: SeededRandom) {
    slots = FixedArray(count: profile.bufferBlocks) { _ in Slot() }
    index = BlockIndex(slotCount: profile.bufferBlocks)
    rule = profile.victimRule
    candidates = profile.victimCandidates
    isEager = profile.eagerFullBlocks != 0
    self.random = random
  }

  /// Whether the buffer holds the line dirty, so that a read is served from it.
  package func holdsDirty(block: UInt64, line: Int) -> Bool {
    let slot = index.slot(of: block)
    return slot >= 0 && slots[slot].mask & (1 << UInt8(line)) != 0
  }

  /// Whether some block is full and shall be written before it is a victim.
  @inline(__always)
  package var hasFull: Bool { isEager && firstFull >= 0 }

  /// Dirty lines held now.
  package var dirtyLines: Int {
    var sum = 0
    for index in 0..<slots.count { sum += slots[index].mask.nonzeroBitCount }
    return sum
  }

  /// Blocks held partly written now.
  package var partialBlocks: Int {
    var sum = 0
    for index in 0..<slots.count where slots[index].mask != 0 && !slots[index].isFull { sum += 1 }
    return sum
  }

  /// Merges a line into its block.
  ///
  /// - Returns: false where the block has no slot and needs ``allocate(block:line:)``.
  @inline(__always)
  package mutating func merge(block: UInt64, line: Int) -> Bool {
    let slot = index.slot(of: block)
    if slot < 0 { return false }
    write(line, into: slot)
    return true
  }

  @inline(__always)
  private mutating func write(_ line: Int, into index: Int) {
    let bit: UInt8 = 1 << UInt8(truncatingIfNeeded: line)
    if slots[index].mask & bit != 0 { overwrittenLines &+= 1 }
    slots[index].mask |= bit
    if rule != .firstIn {
      stamp &+= 1
      slots[index].stamp = stamp
    }
    if slots[index].mask == Self.fullMask && !slots[index].isFull { appendFull(index) }
  }

  /// The slot that makes room for the next new block, and whether it must be written first.
  ///
  /// Draws random numbers: ask once per attempt.
  @inline(__always)
  package mutating func chooseVictim() -> (slot: Int, isDirty: Bool) {
    var victim = 0
    if rule == .leastRecentOfRandom {
      victim = random.below(slots.count)
      var oldest = slots[victim].stamp
      for _ in 1..<max(candidates, 1) {
        let other = random.below(slots.count)
        let stamp = slots[other].stamp
        // Two selections and no jump: which is older is a coin toss, which no processor predicts.
        victim = stamp < oldest ? other : victim
        oldest = stamp < oldest ? stamp : oldest
      }
    } else {
      for other in 1..<slots.count where slots[other].stamp < slots[victim].stamp {
        victim = other
      }
    }
    return (victim, slots[victim].mask != 0)
  }

  /// Empties a slot and returns what the medium must write, if anything.
  package mutating func evict(_ slot: Int) -> BlockWrite {
    guard let block = index.block(in: slot) else { return BlockWrite(block: .max, mask: 0) }
    let write = BlockWrite(block: block, mask: slots[slot].mask)
    if slots[slot].isFull { removeFull(slot) }
    index.remove(from: slot)
    slots[slot].mask = 0
    return write
  }

  /// Puts a block's first line into an empty slot.
  package mutating func allocate(_ slot: Int, block: UInt64, line: Int) {
    index.insert(block, into: slot)
    if rule == .firstIn {
      stamp &+= 1
      slots[slot].stamp = stamp
    }
    write(line, into: slot)
  }

  /// Hands the block that has been full for longest to the medium; its slot stays, clean.
  package mutating func takeFull() -> BlockWrite {
    let slot = Int(firstFull)
    precondition(slot >= 0, "no full block")
    removeFull(slot)
    let write = BlockWrite(block: index.block(in: slot) ?? .max, mask: slots[slot].mask)
    slots[slot].mask = 0
    return write
  }

  private mutating func appendFull(_ index: Int) {
    let place = Int16(truncatingIfNeeded: index)
    slots[index].isFull = true
    slots[index].previousFull = lastFull
    slots[index].nextFull = -1
    if lastFull >= 0 { slots[Int(lastFull)].nextFull = place } else { firstFull = place }
    lastFull = place
  }

  private mutating func removeFull(_ index: Int) {
    let previous = slots[index].previousFull
    let next = slots[index].nextFull
    if previous >= 0 { slots[Int(previous)].nextFull = next } else { firstFull = next }
    if next >= 0 { slots[Int(next)].previousFull = previous } else { lastFull = previous }
    slots[index].isFull = false
  }
}
