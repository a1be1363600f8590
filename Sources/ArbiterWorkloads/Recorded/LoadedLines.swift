// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The lines that a thread loaded last and that its cache therefore holds.
///
/// A direct-mapped set over hashed addresses: what is loaded again soon is found, and a program
/// that walks over memory finds nothing. Without it every step through the root of a tree would be
/// a read of the module.
struct LoadedLines: Sendable {
  private var lines: [UInt64]
  private let shift: UInt64

  /// Makes an empty set of at least one line.
  init(count: Int) {
    var bits: UInt64 = 1
    while 1 << bits < count && bits < 20 { bits += 1 }
    lines = Array(repeating: .max, count: 1 << Int(bits))
    shift = 64 - bits
  }

  private func place(of line: UInt64) -> Int {
    Int(truncatingIfNeeded: ((line >> 6) &* 0x9E37_79B9_7F4A_7C15) >> shift)
  }

  /// Whether the line at an address is held.
  func holds(_ line: UInt64) -> Bool { lines[place(of: line)] == line }

  /// Whether every line of a short range is held.
  func holdsAll(from first: UInt64, to end: UInt64) -> Bool {
    guard first < end, (end - first) >> 6 <= 64 else { return false }
    var line = first
    while line < end {
      guard holds(line) else { return false }
      line += 64
    }
    return true
  }

  /// Takes in the lines of a range; of a long one, those that would be left in the end.
  mutating func insert(from first: UInt64, to end: UInt64) {
    guard first < end else { return }
    var line = max(first, end - min(end, UInt64(lines.count) * 64))
    while line < end {
      lines[place(of: line)] = line
      line += 64
    }
  }

  /// Drops the lines of a range.
  mutating func remove(from first: UInt64, to end: UInt64) {
    guard first < end else { return }
    guard (end - first) >> 6 < UInt64(lines.count) else {
      for place in lines.indices where lines[place] >= first && lines[place] < end {
        lines[place] = .max
      }
      return
    }
    var line = first
    while line < end {
      let place = place(of: line)
      if lines[place] == line { lines[place] = .max }
      line += 64
    }
  }
}
