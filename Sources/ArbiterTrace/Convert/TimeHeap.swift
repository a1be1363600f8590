// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A binary heap of times: whose turn is next.
///
/// Of equal times the smaller lane comes first, so that an order is the same in every run.
struct TimeHeap: Sendable {
  private struct Entry: Sendable {
    let time: UInt64
    let lane: Int

    func precedes(_ other: Entry) -> Bool { (time, lane) < (other.time, other.lane) }
  }

  private var entries: [Entry] = []

  /// Adds a lane, which is not in the heap.
  mutating func push(_ lane: Int, at time: UInt64) {
    entries.append(Entry(time: time, lane: lane))
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard entries[child].precedes(entries[parent]) else { return }
      entries.swapAt(child, parent)
      child = parent
    }
  }

  /// Removes and returns the lane with the earliest time.
  mutating func pop() -> Int? {
    guard let first = entries.first else { return nil }
    let last = entries.removeLast()
    guard !entries.isEmpty else { return first.lane }
    entries[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < entries.count && entries[child].precedes(entries[least]) {
        least = child
      }
      guard least != parent else { return first.lane }
      entries.swapAt(parent, least)
      parent = least
    }
  }
}
