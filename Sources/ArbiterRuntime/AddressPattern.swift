// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

/// The order in which a thread of a real run walks its slice of the region.
public enum AddressPattern: String, Sendable, Hashable, CaseIterable {
  /// One access after the other, starting over at the end.
  case sequential
  /// Anywhere, evenly; aligned to the size of an access.
  case random
}

/// The offsets of one thread's accesses; the same configuration gives the same offsets again.
struct AddressStream {
  private let start: Int
  private let unitCount: Int
  private let accessBytes: Int
  private let pattern: AddressPattern
  private var position = -1
  private var random: SeededRandom

  init(slice: Range<Int>, accessBytes: Int, pattern: AddressPattern, seed: UInt64, thread: Int) {
    start = slice.lowerBound
    unitCount = slice.count / accessBytes
    self.accessBytes = accessBytes
    self.pattern = pattern
    random = SeededRandom(seed: seed, stream: UInt64(thread) + 1)
  }

  /// The offset of the next access.
  @inline(__always)
  mutating func next() -> Int {
    switch pattern {
    case .sequential:
      position &+= 1
      if position == unitCount { position = 0 }
    case .random: position = random.below(unitCount)
    }
    return start &+ position &* accessBytes
  }
}
