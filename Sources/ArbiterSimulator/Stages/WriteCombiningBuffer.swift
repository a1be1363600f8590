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
// A block of which several lines are written again before the medium had them is hot. Hot blocks
// are left alone, or a program that rewrites one line would wear the medium with every store; a
// sweep writes back the older half of the hot full ones every time, and a hot partial one every
// other time (fitted to target 61; Xiang et al., EuroSys'22, saw the period as well). And a block
// is not written again while the medium still writes it.
//
// Invariants
//   B1  a block has at most one slot
//   B2  the list of full blocks holds the full ones but those that are hot or being written, and
//       nothing else
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
    /// Whether the slot is in the list of full blocks.
    var isFull = false
    /// Dirty lines written again since the slot was last clean, as far as that matters.
    var overwrites: UInt8 = 0
    /// Whether that has happened too often for the block to be written as soon as it is full.
    var isHot = false
    /// Whether the sweep has chosen the block, so that it is not hot again before it is written.
    var isSwept = false
    /// Whether the medium writes what the slot held before.
    var isBeingWritten = false
    var previousFull: Int16 = -1
    var nextFull: Int16 = -1
  }

  package static let fullMask: UInt8 = 0b1111
  /// A block's worth of lines.
  private static let hotOverwrites: UInt8 = 4

  private let slots: FixedArray<Slot>
  private let index: BlockIndex
  private let rule: VictimRule
  private let candidates: Int
  /// Whether full blocks are written although nobody needs their places.
  private let isEager: Bool
  private let isSweeping: Bool
  private var sweepStart = 0
  private var sweepsPartial = false
  /// Hot blocks held now.
  package private(set) var hotCount = 0
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
    isSweeping = profile.sweepNanoseconds > 0
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
    if slots[index].mask & bit != 0 { overwrite(index) }
    slots[index].mask |= bit
    if rule != .firstIn {
      stamp &+= 1
      slots[index].stamp = stamp
    }
    if slots[index].mask == Self.fullMask { listFull(index) }
  }

  private mutating func overwrite(_ index: Int) {
    overwrittenLines &+= 1
    if !isSweeping || slots[index].isHot || slots[index].isSwept { return }
    slots[index].overwrites &+= 1
    if slots[index].overwrites < Self.hotOverwrites { return }
    slots[index].isHot = true
    hotCount &+= 1
    if slots[index].isFull { removeFull(index) }
  }

  /// Lists a full block for the medium, unless something keeps it from there.
  @inline(__always)
  private mutating func listFull(_ index: Int) {
    if slots[index].isFull || slots[index].isHot || slots[index].isBeingWritten { return }
    appendFull(index)
  }

  /// The medium has written a block; what was stored to it meanwhile may go now.
  package mutating func writeFinished(_ block: UInt64) {
    if !isSweeping { return }
    let slot = index.slot(of: block)
    if slot < 0 || !slots[slot].isBeingWritten { return }
    slots[slot].isBeingWritten = false
    if slots[slot].mask == Self.fullMask { listFull(slot) }
  }

  /// Lets the older half of the hot full blocks go to the medium.
  ///
  /// - Returns: Every other time also a hot partial block that the medium must write, if there is
  ///   one; its slot stays, clean.
  package mutating func sweep() -> BlockWrite? {
    var full = 0
    var partial = -1
    for step in 0..<slots.count {
      let slot = (sweepStart + step) % slots.count
      if !slots[slot].isHot { continue }
      if slots[slot].mask == Self.fullMask { full += 1 } else if partial < 0 { partial = slot }
    }
    var left = (full + 1) / 2
    var last = sweepStart
    for step in 0..<slots.count where left > 0 {
      let slot = (sweepStart + step) % slots.count
      if !slots[slot].isHot || slots[slot].mask != Self.fullMask { continue }
      cool(slot)
      slots[slot].isSwept = true
      listFull(slot)
      left -= 1
      last = slot
    }
    sweepsPartial.toggle()
    let takesPartial = sweepsPartial && partial >= 0
    sweepStart = ((takesPartial ? partial : last) + 1) % slots.count
    if !takesPartial { return nil }
    cool(partial)
    let write = BlockWrite(block: index.block(in: partial) ?? .max, mask: slots[partial].mask)
    slots[partial].mask = 0
    return write
  }

  private mutating func cool(_ slot: Int) {
    slots[slot].isHot = false
    slots[slot].overwrites = 0
    hotCount &-= 1
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
    if slots[slot].isHot { cool(slot) }
    index.remove(from: slot)
    slots[slot].mask = 0
    slots[slot].isSwept = false
    slots[slot].overwrites = 0
    slots[slot].isBeingWritten = false
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
    slots[slot].isSwept = false
    slots[slot].overwrites = 0
    slots[slot].isBeingWritten = isSweeping
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
