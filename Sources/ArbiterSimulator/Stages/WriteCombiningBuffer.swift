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
    var block = UInt64.max
    /// Higher is more recent: of the last write, or of the allocation under first-in.
    var stamp: UInt64 = 0
    var mask: UInt8 = 0
    var isFull = false
    var chain: Int16 = -1
    var previousFull: Int16 = -1
    var nextFull: Int16 = -1
  }

  package static let fullMask: UInt8 = 0b1111
  private static let bucketCount = 512

  private let slots: FixedArray<Slot>
  /// Heads of the chains of slots whose blocks share a hash.
  private let buckets: FixedArray<Int16>
  private let rule: VictimRule
  private let candidates: Int
  private var firstFull: Int16 = -1
  private var lastFull: Int16 = -1
  private var stamp: UInt64 = 0
  private var random: SeededRandom

  /// Lines that were written again before the medium had them.
  package private(set) var overwrittenLines: UInt64 = 0

  package init(profile: DeviceProfile, random: SeededRandom) {
    slots = FixedArray(count: profile.bufferBlocks) { _ in Slot() }
    buckets = FixedArray(count: Self.bucketCount) { _ in -1 }
    rule = profile.victimRule
    candidates = profile.victimCandidates
    self.random = random
  }

  @inline(__always)
  private static func bucket(of block: UInt64) -> Int {
    Int(truncatingIfNeeded: (block &* 0x9E37_79B9_7F4A_7C15) >> 55)
  }

  @inline(__always)
  private func slot(of block: UInt64) -> Int {
    var index = Int(buckets[Self.bucket(of: block)])
    while index >= 0 && slots[index].block != block { index = Int(slots[index].chain) }
    return index
  }

  /// Whether the buffer holds the line dirty, so that a read is served from it.
  package func holdsDirty(block: UInt64, line: Int) -> Bool {
    let index = slot(of: block)
    return index >= 0 && slots[index].mask & (1 << UInt8(line)) != 0
  }

  /// Whether some block is full and waits for the medium.
  @inline(__always)
  package var hasFull: Bool { firstFull >= 0 }

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
    let index = slot(of: block)
    if index < 0 { return false }
    write(line, into: index)
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
  package mutating func evict(_ index: Int) -> BlockWrite {
    let block = slots[index].block
    let write = BlockWrite(block: block, mask: slots[index].mask)
    if slots[index].isFull { removeFull(index) }
    if block != .max { unchain(index) }
    slots[index].block = .max
    slots[index].mask = 0
    return write
  }

  /// Puts a block's first line into an empty slot.
  package mutating func allocate(_ index: Int, block: UInt64, line: Int) {
    precondition(slots[index].block == .max, "slot in use")
    let bucket = Self.bucket(of: block)
    slots[index].block = block
    slots[index].chain = buckets[bucket]
    buckets[bucket] = Int16(truncatingIfNeeded: index)
    if rule == .firstIn {
      stamp &+= 1
      slots[index].stamp = stamp
    }
    write(line, into: index)
  }

  /// Hands the block that has been full for longest to the medium; its slot stays, clean.
  package mutating func takeFull() -> BlockWrite {
    let index = Int(firstFull)
    precondition(index >= 0, "no full block")
    removeFull(index)
    let write = BlockWrite(block: slots[index].block, mask: slots[index].mask)
    slots[index].mask = 0
    return write
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
