// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import Testing

@Suite("Fixed queue")
struct FixedQueueTests {
  @Test(arguments: [1, 2, 3, 8, 23])
  func `a queue does what an array does`(capacity: Int) {
    var queue = FixedQueue(capacity: capacity, filler: 0)
    var reference: [Int] = []
    var random = SeededRandom(seed: UInt64(capacity))
    for serial in 0..<2003 {
      switch random.below(5) {
      case 0, 1:
        if reference.count < capacity {
          queue.push(serial)
          reference.append(serial)
        }
      case 2, 3:
        if !reference.isEmpty {
          #expect(queue.first == reference[0])
          #expect(queue.pop() == reference.removeFirst())
        }
      default:
        if !reference.isEmpty {
          let place = random.below(reference.count)
          reference.swapAt(place, 0)
          #expect(queue.pop(at: place) == reference.removeFirst())
        }
      }
      #expect(queue.count == reference.count)
      #expect(queue.isEmpty == reference.isEmpty)
      #expect(queue.isFull == (reference.count == capacity))
      for place in reference.indices { #expect(queue[place] == reference[place]) }
    }
  }

  @Test func `every sequence of pushes and pops of three places keeps the order`() {
    for sequence in 0..<(1 << 12) {
      var queue = FixedQueue(capacity: 3, filler: -1)
      var reference: [Int] = []
      var isSame = true
      for step in 0..<12 {
        if sequence >> step & 1 == 1 {
          if reference.count == 3 { continue }
          queue.push(step)
          reference.append(step)
        } else if !reference.isEmpty {
          isSame = isSame && queue.pop() == reference.removeFirst()
        }
        isSame = isSame && queue.count == reference.count
      }
      #expect(isSame, "sequence \(sequence)")
    }
  }
}

@Suite("Fixed array")
struct FixedArrayTests {
  private final class Counter {
    nonisolated(unsafe) static var alive = 0  // SAFETY: used by one test only.
    init() { unsafe Self.alive += 1 }
    deinit { unsafe Self.alive -= 1 }
  }

  @Test func `elements are made once, changed in place and destroyed`() {
    do {
      let array = FixedArray(count: 23) { _ in Counter() }
      #expect(unsafe Counter.alive == 23)
      array[7] = Counter()
      #expect(unsafe Counter.alive == 23)
      #expect(array.count == 23)
    }
    #expect(unsafe Counter.alive == 0)
  }
}
