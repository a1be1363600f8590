// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// A core's line fill buffers.
//
// An entry is taken when a line is issued, waits until the memory controller accepts the line, and
// is free again a fixed time later. Which waiting line goes first is the point of the whole model:
// in random order each core keeps several blocks half written at the module, and concurrent write
// amplification appears; oldest first, it does not.
//
// Invariant W1: entries in flight = waiting + elsewhere + returning, and never exceed the limit.

internal import ArbiterCore
internal import ArbiterDevice

/// A line that waits in a core's window for the memory controller.
struct PendingLine {
  /// Byte address of the line within its module.
  var address: UInt64 = 0
  /// When the thread entered the gate for it.
  var entered: Int64 = 0
  /// The thread whose program asked for it; differs from the core's under delegation.
  var owner: Int32 = 0
  /// What becomes of the line.
  var operation = Operation.storeNonTemporal
  /// The module that holds the line.
  var module: UInt8 = 0
}

/// The entries of one core for one direction.
struct StoreWindow {
  static let maximumLines = 16

  /// Lines that wait to be accepted, oldest first.
  private var waiting = InlineArray<32, PendingLine>(repeating: PendingLine())
  private(set) var waitingCount = 0
  /// When accepted entries come free, earliest first.
  private var returning = InlineArray<16, Int64>(repeating: 0)
  private var returningHead = 0
  private(set) var returningCount = 0
  /// Entries that are not free.
  private(set) var inFlight = 0

  /// Whether every line of the window has been accepted.
  @inline(__always)
  var isAccepted: Bool { inFlight == returningCount }

  /// When the last accepted entry comes free; nil where none is on its way.
  var lastReturn: Int64? {
    returningCount == 0 ? nil : returning[(returningHead &+ returningCount &- 1) & 15]
  }

  /// When the next accepted entry comes free.
  ///
  /// Precondition: an entry is on its way.
  @inline(__always)
  var nextReturn: Int64 { returning[returningHead] }

  /// Gives back entries that have come free by now.
  @inline(__always)
  mutating func reclaim(now: Int64) {
    while returningCount > 0 && returning[returningHead] <= now {
      returningHead = (returningHead &+ 1) & 15
      returningCount &-= 1
      inFlight &-= 1
    }
  }

  /// Takes an entry for a line that is on its way to become one of those that wait.
  @inline(__always)
  mutating func take() {
    assert(inFlight < Self.maximumLines, "store window overflow")
    inFlight &+= 1
  }

  /// Lets the line of a taken entry wait.
  @inline(__always)
  mutating func wait(_ line: PendingLine) {
    waiting[waitingCount] = line
    waitingCount &+= 1
  }

  /// Records that a taken entry comes free at the given time, no earlier than any before it.
  @inline(__always)
  mutating func accept(returningAt time: Int64) {
    let last = lastReturn ?? time
    returning[(returningHead &+ returningCount) & 15] = time > last ? time : last
    returningCount &+= 1
  }

  /// The line that waits at the given place.
  @inline(__always)
  func waitingLine(at index: Int) -> PendingLine { waiting[index] }

  /// Removes and returns the waiting line at the given place.
  @inline(__always)
  mutating func remove(at index: Int) -> PendingLine {
    let line = waiting[index]
    waitingCount &-= 1
    var place = index
    while place < waitingCount {
      waiting[place] = waiting[place &+ 1]
      place &+= 1
    }
    return line
  }
}
