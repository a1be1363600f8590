// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The write-combining buffer of one module as far as it decides how often the medium writes.
//
// The simulator's own stage answers for every nanosecond; this one is fed with samples of a live
// program and answers one question: lines in, blocks out. What it adds is doubt. A sample begins
// and ends somewhere, so that some blocks of it are known in part only; such a block takes its place
// in the buffer, as it does in the module, and counts neither as a write nor by its lines.
//
// Invariants
//   S1  a block has at most one slot
//   S2  lines stored = lines of blocks written + lines of blocks that were doubtful + lines held
//   S3  the medium writes no faster than the profile says

package import ArbiterCore

/// A sampled module's write-combining buffer.
package struct ShadowBuffer: ~Copyable {
  // Not private: Swift 6.3.1 emits a broken module for a private type in a generic container.
  struct Slot {
    var block = UInt64.max
    /// The next slot whose block has the same hash; -1 for none.
    var next: Int16 = -1
    var mask: UInt8 = 0
    var isFull = false
    var isDoubtful = false
    /// Lines stored since the block was last clean.
    var lines: UInt32 = 0
    /// Higher is more recent.
    var stamp: UInt64 = 0
  }

  private static let bucketCount = 256
  private static let fullMask: UInt8 = 0b1111

  private let slots: FixedArray<Slot>
  private let buckets: FixedArray<Int16>
  /// Slots of full blocks, the longest full first.
  private let full: FixedArray<Int16>
  private var fullCount = 0
  private let rule: VictimRule
  private let candidates: Int
  /// Time of the medium for one block, all units together, in picoseconds.
  private let writeTime: Int64
  /// Work that the medium may be behind with before the buffer has to wait, in picoseconds.
  private let backlogMax: Int64
  private var mediumFree = Int64.min / 2
  private var stamp: UInt64 = 0
  private var random: SeededRandom

  /// Blocks that the medium wrote, and of which every line is known.
  package private(set) var writtenBlocks: UInt64 = 0
  /// The lines that those blocks took, repeated ones included.
  package private(set) var writtenLines: UInt64 = 0
  /// Blocks that were given a slot.
  package private(set) var allocatedBlocks: UInt64 = 0
  /// Lines that were stored.
  package var storedLines: UInt64 { stamp }
  /// Lines of blocks that left the buffer without being counted.
  package private(set) var doubtfulLines: UInt64 = 0

  package init(profile: DeviceProfile, random: SeededRandom) {
    let count = profile.bufferBlocks
    slots = FixedArray(count: count) { _ in Slot() }
    buckets = FixedArray(count: Self.bucketCount) { _ in -1 }
    full = FixedArray(count: count) { _ in 0 }
    rule = profile.victimRule
    candidates = max(1, profile.victimCandidates)
    let units = max(1, profile.mediaUnits)
    writeTime = Int64(profile.mediaWriteNanoseconds * 1000) / Int64(units)
    backlogMax = writeTime * Int64(units + profile.evictionQueueBlocks)
    self.random = random
  }

  /// Lines held that the medium has not written.
  package var heldLines: UInt64 {
    var sum: UInt64 = 0
    for index in 0..<slots.count { sum += UInt64(slots[index].lines) }
    return sum
  }

  /// Stores a line, numbered from the start of the module.
  ///
  /// - Parameters:
  ///   - line: The line; four in a row from a multiple of four make a block.
  ///   - time: When, in picoseconds; not before the line before.
  ///   - isDoubtful: Whether earlier or later lines of the block are missing from the sample.
  package mutating func store(line: UInt64, at time: Int64, isDoubtful: Bool) {
    writeFullBlocks(until: time)
    let block = line >> 2
    let bit: UInt8 = 1 << UInt8(truncatingIfNeeded: line & 3)
    var slot = slot(of: block)
    if slot < 0 {
      slot = victim()
      if slots[slot].mask != 0 {
        mediumFree = min(max(mediumFree, time), time &+ backlogMax) &+ writeTime
        if slots[slot].isFull { removeFull(slot) }
        clean(slot)
      }
      replace(slot, by: block)
    }
    stamp &+= 1
    if rule != .firstIn { slots[slot].stamp = stamp }
    slots[slot].mask |= bit
    slots[slot].lines &+= 1
    if isDoubtful { slots[slot].isDoubtful = true }
    if slots[slot].mask == Self.fullMask && !slots[slot].isFull {
      slots[slot].isFull = true
      full[fullCount] = Int16(truncatingIfNeeded: slot)
      fullCount &+= 1
    }
  }

  /// Takes it that the sample says no more about a block that is held.
  package func doubt(line: UInt64) {
    let slot = slot(of: line >> 2)
    if slot >= 0 && slots[slot].mask != 0 { slots[slot].isDoubtful = true }
  }

  /// Lets the medium write full blocks as long as it is free.
  private mutating func writeFullBlocks(until time: Int64) {
    while fullCount > 0 && mediumFree <= time {
      let slot = Int(full[0])
      removeFull(slot)
      clean(slot)
      // A medium that idled since starts now; one that works back to back goes on from its last.
      mediumFree = max(mediumFree, time &- writeTime) &+ writeTime
    }
  }

  /// Counts a slot's block as written; the slot stays, clean.
  private mutating func clean(_ slot: Int) {
    if slots[slot].isDoubtful {
      doubtfulLines &+= UInt64(slots[slot].lines)
    } else {
      writtenBlocks &+= 1
      writtenLines &+= UInt64(slots[slot].lines)
    }
    slots[slot].mask = 0
    slots[slot].lines = 0
    slots[slot].isDoubtful = false
  }

  private mutating func removeFull(_ slot: Int) {
    slots[slot].isFull = false
    var place = 0
    while Int(full[place]) != slot { place &+= 1 }
    fullCount &-= 1
    while place < fullCount {
      full[place] = full[place &+ 1]
      place &+= 1
    }
  }

  /// The slot that makes room.
  private mutating func victim() -> Int {
    var chosen = 0
    if rule == .leastRecentOfRandom {
      chosen = random.below(slots.count)
      for _ in 1..<candidates {
        let other = random.below(slots.count)
        if slots[other].stamp < slots[chosen].stamp { chosen = other }
      }
    } else {
      for other in 1..<slots.count where slots[other].stamp < slots[chosen].stamp {
        chosen = other
      }
    }
    return chosen
  }

  private static func bucket(of block: UInt64) -> Int {
    Int(truncatingIfNeeded: (block &* 0x9E37_79B9_7F4A_7C15) >> 56)
  }

  private func slot(of block: UInt64) -> Int {
    var slot = Int(buckets[Self.bucket(of: block)])
    while slot >= 0 && slots[slot].block != block { slot = Int(slots[slot].next) }
    return slot
  }

  /// Gives a clean slot to another block.
  private mutating func replace(_ slot: Int, by block: UInt64) {
    let old = slots[slot].block
    if old != .max {
      let bucket = Self.bucket(of: old)
      if Int(buckets[bucket]) == slot {
        buckets[bucket] = slots[slot].next
      } else {
        var before = Int(buckets[bucket])
        while Int(slots[before].next) != slot { before = Int(slots[before].next) }
        slots[before].next = slots[slot].next
      }
    }
    let bucket = Self.bucket(of: block)
    slots[slot].block = block
    slots[slot].next = buckets[bucket]
    buckets[bucket] = Int16(truncatingIfNeeded: slot)
    allocatedBlocks &+= 1
    if rule == .firstIn { slots[slot].stamp = stamp &+ 1 }
  }
}
