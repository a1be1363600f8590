// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The write-back cache of a CXL device with flash behind it: pages of 4 KiB in sets, the least
// recently used page of a set leaves. Only names and states of pages are kept, never data, so that
// a page costs 32 bytes; profiles model a few thousand pages and scale footprints with them.
//
//      empty ──first line──► pending ──flash read──► ready ──victim──► pending (another page)
//                            (stores merge            │ dirty: its page is
//                             already, loads wait)    ▼ programmed
//
// Sets, and not one list of all pages: the measured bandwidth falls before the cache is full. With
// pages strewn over sets some sets overflow early; one list would hold out to the last page.
//
// A page that was evicted and is wanted again is read from flash even while its program runs: only
// times are modelled, and a device that kept it would save one read in a great many.
//
// Invariants
//   P1  a page has at most one place
//   P2  lines in = lines handed to the flash + lines overwritten in the cache + dirty lines held

internal import ArbiterCore
package import ArbiterDevice

/// A dirty page on its way to the flash.
package struct PageWrite {
  package var page: UInt64 = .max
  /// Which of the 64 lines the program wrote, one bit each.
  package var mask: UInt64 = 0
}

/// The cache of one CXL device.
package struct PageCache: ~Copyable {
  /// log2 of the bytes of a page.
  package static let pageShift: UInt64 = 12

  package enum Lookup: Equatable {
    case ready(slot: Int)
    case pending(slot: Int)
    case absent
  }

  package struct Entry {
    var page: UInt64 = .max
    /// Higher is more recent.
    var stamp: UInt64 = 0
    /// Dirty lines, one bit each.
    var mask: UInt64 = 0
    /// First of the loads that wait for the page; -1 for none.
    var waiters: Int32 = -1
    var isPending = false
  }

  private let entries: FixedArray<Entry>
  private let ways: Int
  private let setCount: Int
  private var stamp: UInt64 = 0
  /// Lines that were written again before the flash had them.
  package private(set) var overwrittenLines: UInt64 = 0
  /// Pages that the flash still reads.
  package private(set) var pendingCount = 0

  package init(profile: DeviceProfile) {
    ways = profile.pageCacheWays
    setCount = (profile.pageCachePages + ways - 1) / ways
    entries = FixedArray<Entry>(count: setCount * ways) { _ in Entry() }
  }

  /// Pages that the cache holds at most.
  package var pageCount: Int { entries.count }

  /// Dirty lines held now.
  package var dirtyLines: Int {
    var sum = 0
    for slot in 0..<entries.count { sum += entries[slot].mask.nonzeroBitCount }
    return sum
  }

  /// The first place of a page's set.
  private func firstSlot(of page: UInt64) -> Int {
    // Mixed twice: one multiplication spreads neighbours so evenly that no set would overflow.
    var hash = page &* 0x9E37_79B9_7F4A_7C15
    hash = (hash ^ hash >> 30) &* 0xBF58_476D_1CE4_E5B9
    hash = (hash ^ hash >> 27) >> 32
    return Int((hash &* UInt64(setCount)) >> 32) * ways
  }

  /// Where a page is.
  package func lookup(_ page: UInt64) -> Lookup {
    let first = firstSlot(of: page)
    for slot in first..<first + ways where entries[slot].page == page {
      return entries[slot].isPending ? .pending(slot: slot) : .ready(slot: slot)
    }
    return .absent
  }

  /// Records that a page was used.
  package mutating func touch(_ slot: Int) {
    stamp &+= 1
    entries[slot].stamp = stamp
  }

  /// Merges a line into its page, which may still be pending.
  package mutating func write(line: Int, into slot: Int) {
    let bit: UInt64 = 1 << UInt64(truncatingIfNeeded: line)
    if entries[slot].mask & bit != 0 { overwrittenLines &+= 1 }
    entries[slot].mask |= bit
    touch(slot)
  }

  /// The place that makes room for an absent page, and whether its page must be programmed first;
  /// nil where every place of the set waits for the flash.
  package func chooseVictim(for page: UInt64) -> (slot: Int, isDirty: Bool)? {
    let first = firstSlot(of: page)
    var victim: Int?
    for slot in first..<first + ways where !entries[slot].isPending {
      if let chosen = victim, entries[chosen].stamp <= entries[slot].stamp { continue }
      victim = slot
    }
    return victim.map { ($0, entries[$0].mask != 0) }
  }

  /// Gives a place to another page, pending, and returns what the place held.
  package mutating func replace(_ slot: Int, with page: UInt64) -> PageWrite {
    precondition(!entries[slot].isPending, "the flash still reads into the place")
    let old = PageWrite(page: entries[slot].page, mask: entries[slot].mask)
    entries[slot] = Entry(page: page, isPending: true)
    pendingCount += 1
    touch(slot)
    return old
  }

  /// Puts a load at the head of a pending page's list and returns the former head.
  package mutating func addWaiter(_ waiter: Int32, to slot: Int) -> Int32 {
    let next = entries[slot].waiters
    entries[slot].waiters = waiter
    return next
  }

  /// Marks a page as read and returns the first of its waiting loads, -1 for none.
  package mutating func complete(_ slot: Int) -> Int32 {
    precondition(entries[slot].isPending, "the page was not pending")
    entries[slot].isPending = false
    pendingCount -= 1
    let head = entries[slot].waiters
    entries[slot].waiters = -1
    return head
  }
}
