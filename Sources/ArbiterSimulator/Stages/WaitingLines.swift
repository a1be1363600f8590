// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The lines of a core's window that wait for the memory controller, oldest first. Any of them may
// leave next, so the order of those that stay must survive: lines stay where they are and a packed
// list of slot numbers keeps their order, which makes a removal a few shifts instead of a loop over
// lines.

internal import ArbiterCore
package import ArbiterDevice

/// A line that waits in a core's window for the memory controller.
package struct PendingLine {
  /// Byte address of the line within its module.
  package var address: UInt64 = 0
  /// When the thread entered the gate for it.
  package var entered: Int64 = 0
  /// The thread whose program asked for it; differs from the core's under delegation.
  package var owner: Int32 = 0
  /// What becomes of the line.
  package var operation = Operation.storeNonTemporal
  /// The module that holds the line.
  package var module: UInt8 = 0

  package init(
    address: UInt64 = 0, entered: Int64 = 0, owner: Int32 = 0,
    operation: Operation = .storeNonTemporal, module: UInt8 = 0
  ) {
    self.address = address
    self.entered = entered
    self.owner = owner
    self.operation = operation
    self.module = module
  }
}

/// Up to 16 stores of a core in the order of their age, any of which may leave.
package struct WaitingLines: ~Copyable {
  package static let capacity = 16

  private let lines = FixedArray(count: capacity) { _ in PendingLine() }
  /// All slot numbers, four bits each: first those in use, oldest first, then the free ones.
  private var order: UInt64 = 0xFEDC_BA98_7654_3210
  package private(set) var count = 0

  package init() {}

  @inline(__always)
  private func slot(at place: Int) -> Int {
    Int(truncatingIfNeeded: order &>> UInt64(truncatingIfNeeded: place &* 4)) & 15
  }

  /// The line that came after `place` others that wait.
  @inline(__always)
  package subscript(place: Int) -> PendingLine { lines[slot(at: place)] }

  @inline(__always)
  package mutating func append(_ line: PendingLine) {
    precondition(count < Self.capacity, "waiting stores overflow")
    lines[slot(at: count)] = line
    count &+= 1
  }

  @inline(__always)
  package mutating func remove(at place: Int) -> PendingLine {
    precondition(place >= 0 && place < count, "waiting store index")
    count &-= 1
    let slot = slot(at: place)
    // Places below stay, those above move down by one, and the slot becomes the first free one.
    let below = (1 &<< UInt64(truncatingIfNeeded: place &* 4)) &- 1 as UInt64
    let upTo = (1 &<< UInt64(truncatingIfNeeded: count &* 4)) &- 1 as UInt64
    let freed = UInt64(truncatingIfNeeded: slot) &<< UInt64(truncatingIfNeeded: count &* 4)
    let free = order & ~(upTo &<< 4 | 15)
    order = order & below | (order &>> 4) & (upTo & ~below) | freed | free
    return lines[slot]
  }
}

extension WaitingLines {
  /// How many lines wait for a module, or for any where none is named.
  @inline(__always)
  package func count(ofModule module: Int?) -> Int {
    guard let module else { return count }
    var matching = 0
    for place in 0..<count where Int(self[place].module) == module { matching &+= 1 }
    return matching
  }

  /// Removes the line that `turn` older ones precede; only a named module's lines count.
  @inline(__always)
  package mutating func remove(_ turn: Int, ofModule module: Int?) -> PendingLine {
    guard let module else { return remove(at: turn) }
    var left = turn
    for place in 0..<count where Int(self[place].module) == module {
      if left == 0 { return remove(at: place) }
      left &-= 1
    }
    preconditionFailure("no such waiting line")
  }
}
