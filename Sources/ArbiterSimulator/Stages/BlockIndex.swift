// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

/// Which slot of a buffer holds which block: a hash table that is chained through the slots.
///
/// Fixed in size, so that a look-up costs about two loads whatever the buffer holds. Invariant: a
/// block has at most one slot, and a slot at most one block.
struct BlockIndex: ~Copyable {
  // Not private: Swift 6.3.1 emits a broken module for a private type in a generic container.
  struct Entry {
    var block = UInt64.max
    /// The next slot whose block has the same hash; -1 for none.
    var next: Int16 = -1
  }

  private static let bucketCount = 512
  private let entries: FixedArray<Entry>
  /// The first slot of each chain; -1 for none.
  private let buckets: FixedArray<Int16>

  /// Makes the index of a buffer whose slots are empty.
  init(slotCount: Int) {
    entries = FixedArray(count: slotCount) { _ in Entry() }
    buckets = FixedArray(count: Self.bucketCount) { _ in -1 }
  }

  @inline(__always)
  private static func bucket(of block: UInt64) -> Int {
    Int(truncatingIfNeeded: (block &* 0x9E37_79B9_7F4A_7C15) >> 55)
  }

  /// The slot that holds a block; -1 where none does.
  @inline(__always)
  func slot(of block: UInt64) -> Int {
    var slot = Int(buckets[Self.bucket(of: block)])
    while slot >= 0 && entries[slot].block != block { slot = Int(entries[slot].next) }
    return slot
  }

  /// The block that a slot holds; nil where the slot is empty.
  @inline(__always)
  func block(in slot: Int) -> UInt64? {
    let block = entries[slot].block
    return block == .max ? nil : block
  }

  /// Records that an empty slot holds a block from now on.
  @inline(__always)
  func insert(_ block: UInt64, into slot: Int) {
    precondition(entries[slot].block == .max, "slot in use")
    let bucket = Self.bucket(of: block)
    entries[slot] = Entry(block: block, next: buckets[bucket])
    buckets[bucket] = Int16(truncatingIfNeeded: slot)
  }

  /// Empties a slot.
  ///
  /// Precondition: the slot holds a block.
  @inline(__always)
  func remove(from slot: Int) {
    precondition(entries[slot].block != .max, "slot is empty")
    let bucket = Self.bucket(of: entries[slot].block)
    if Int(buckets[bucket]) == slot {
      buckets[bucket] = entries[slot].next
    } else {
      var before = Int(buckets[bucket])
      while Int(entries[before].next) != slot { before = Int(entries[before].next) }
      entries[before].next = entries[slot].next
    }
    entries[slot].block = .max
  }
}
