// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The dirty lines of a core's plain stores.
//
// A line is filled by a read from the module, is dirty from then on, and leaves because another one
// needs its place (which one, chance decides) or because the program flushes it. A store to a line
// that is held, or on its way here, costs no read. What it leaves out: clean lines, the sharing of
// lines between cores, and that a non-temporal store evicts the line it goes to.
//
// Invariant C1: every held line is found under its address, and no line is held twice.

/// A set of dirty lines with a fixed number of places.
package struct CoreCache: ~Copyable {
  /// Where a line is.
  package enum Holding {
    /// Not here.
    case absent
    /// Its fill is under way.
    case filling
    /// Here.
    case dirty
  }

  /// A line on its way here.
  package struct Fill: Sendable, Hashable {
    var line: UInt64
    /// Whether the program has flushed it meanwhile, so that it does not stay.
    package var isFlushed = false
    /// Stores that have come for it meanwhile, the first one apart.
    package var joinedPlainCount = 0
    /// The same of stores that are written back at once.
    package var joinedWriteBackCount = 0
  }

  /// The lines that are held, in no order.
  private var lines: [UInt64] = []
  /// Places in ``lines`` by hashed address, with linear probing; -1 is empty.
  private var table: [Int32] = []
  private var shift: UInt64 = 0
  /// Lines whose fill is under way, at most as many as a window has entries.
  private var fills: [Fill] = []
  private let capacity: Int

  /// Makes an empty cache; memory is taken when the first line comes.
  package init(capacity: Int) {
    precondition(capacity >= 1, "a cache needs a place")
    self.capacity = capacity
  }

  /// Whether any line has ever come here; stored, because every load asks.
  package private(set) var isInUse = false

  /// Lines held now.
  package var count: Int { lines.count }

  /// Whether a new line needs the place of another.
  package var isFull: Bool { lines.count == capacity }

  private func bucket(of line: UInt64) -> Int {
    Int(truncatingIfNeeded: (line &* 0x9E37_79B9_7F4A_7C15) >> shift)
  }

  /// The bucket that holds a line, or the empty one where the search for it ended.
  private func find(_ line: UInt64) -> Int {
    var bucket = bucket(of: line)
    while table[bucket] >= 0 && lines[Int(table[bucket])] != line {
      bucket = (bucket + 1) & (table.count - 1)
    }
    return bucket
  }

  /// Where a line is.
  package func holding(of line: UInt64) -> Holding {
    if !lines.isEmpty && table[find(line)] >= 0 { return .dirty }
    return fills.contains { $0.line == line } ? .filling : .absent
  }

  /// A line is being read from its module.
  ///
  /// - Precondition: the line is absent.
  package mutating func beginFill(_ line: UInt64) {
    isInUse = true
    fills.append(Fill(line: line))
  }

  /// The program flushes a line that is on its way: it goes on to the module when it is here.
  ///
  /// - Parameters:
  ///   - line: The line.
  ///   - isStore: Whether it stores to the line first.
  package mutating func flushAfterFill(_ line: UInt64, isStore: Bool = false) {
    guard let place = fills.firstIndex(where: { $0.line == line }) else { return }
    fills[place].isFlushed = true
    if isStore { fills[place].joinedWriteBackCount += 1 }
  }

  /// The program stores to a line that is on its way.
  package mutating func joinFill(_ line: UInt64) {
    guard let place = fills.firstIndex(where: { $0.line == line }) else { return }
    fills[place].joinedPlainCount += 1
  }

  /// A line has been read.
  ///
  /// - Returns: What the program did to it meanwhile; nil where its fill was not under way.
  package mutating func endFill(_ line: UInt64) -> Fill? {
    guard let place = fills.firstIndex(where: { $0.line == line }) else { return nil }
    return fills.remove(at: place)
  }

  /// Holds a line from now on.
  ///
  /// - Precondition: the line is not held and the cache is not full.
  package mutating func insert(_ line: UInt64) {
    precondition(lines.count < capacity, "no free place in the cache")
    isInUse = true
    if table.isEmpty {
      var bits: UInt64 = 2
      while 1 << bits < capacity * 2 { bits += 1 }
      shift = 64 - bits
      table = Array(repeating: -1, count: 1 << Int(bits))
    }
    table[find(line)] = Int32(lines.count)
    lines.append(line)
  }

  /// Puts a line in the place of another.
  ///
  /// - Returns: The line that had the place.
  /// - Precondition: the line is not held and the place is in use.
  package mutating func replace(at place: Int, by line: UInt64) -> UInt64 {
    let victim = lines[place]
    clear(find(victim))
    lines[place] = line
    // The search compares with what is in the table alone, so the new line is not found too early.
    table[find(line)] = Int32(place)
    return victim
  }

  /// Lets a line go.
  ///
  /// - Precondition: the line is held.
  package mutating func remove(_ line: UInt64) {
    let bucket = find(line)
    let place = Int(table[bucket])
    precondition(place >= 0, "the cache does not hold the line")
    clear(bucket)
    let last = lines.removeLast()
    guard place < lines.count else { return }
    let moved = find(last, at: lines.count)
    lines[place] = last
    table[moved] = Int32(place)
  }

  /// The bucket that points to a place, found by the line that was there.
  private func find(_ line: UInt64, at place: Int) -> Int {
    var bucket = bucket(of: line)
    while Int(table[bucket]) != place { bucket = (bucket + 1) & (table.count - 1) }
    return bucket
  }

  /// Empties a bucket and moves up whoever was displaced over it.
  private mutating func clear(_ bucket: Int) {
    let mask = table.count - 1
    var hole = bucket
    var next = (bucket + 1) & mask
    while table[next] >= 0 {
      let home = self.bucket(of: lines[Int(table[next])])
      // Whoever's home lies behind the hole, seen from its place, stays.
      if (next - home) & mask >= (next - hole) & mask {
        table[hole] = table[next]
        hole = next
      }
      next = (next + 1) & mask
    }
    table[hole] = -1
  }

  /// A sentence for every violation of C1.
  package func violations(_ index: Int) -> [String] {
    var found: [String] = []
    for (place, line) in lines.enumerated() where Int(table[find(line)]) != place {
      found.append("thread \(index): its cache holds line \(line) twice or has lost it (C1)")
    }
    if !table.isEmpty && table.count(where: { $0 >= 0 }) != lines.count {
      found.append("thread \(index): its cache points to lines that it does not hold (C1)")
    }
    return found
  }
}
