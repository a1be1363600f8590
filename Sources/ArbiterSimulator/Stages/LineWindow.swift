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

/// The entries of one core for one direction.
package struct LineWindow: ~Copyable {
  package static let maximumLines = 16

  /// When accepted entries come free, earliest first.
  private let returning = FixedArray<Int64>(count: maximumLines) { _ in 0 }
  private var returningHead = 0
  package private(set) var returningCount = 0
  /// Entries that are not free.
  package private(set) var inFlight = 0

  package init() {}

  /// Whether every line of the window has been accepted.
  @inline(__always)
  package var isAccepted: Bool { inFlight == returningCount }

  /// When the last accepted entry comes free; nil where none is on its way.
  @inline(__always)
  package var lastReturn: Int64? {
    returningCount == 0 ? nil : returning[(returningHead &+ returningCount &- 1) & 15]
  }

  /// When the next accepted entry comes free.
  ///
  /// Precondition: an entry is on its way.
  @inline(__always)
  package var nextReturn: Int64 { returning[returningHead & 15] }

  /// Gives back entries that have come free by now.
  @inline(__always)
  package mutating func reclaim(now: Int64) {
    while returningCount > 0 && nextReturn <= now {
      returningHead = (returningHead &+ 1) & 15
      returningCount &-= 1
      inFlight &-= 1
    }
  }

  /// Takes an entry for a line that is on its way to become one of those that wait.
  @inline(__always)
  package mutating func take() {
    assert(inFlight < Self.maximumLines, "window overflow")
    inFlight &+= 1
  }

  /// Records that a taken entry comes free at the given time, no earlier than any before it.
  @inline(__always)
  package mutating func accept(returningAt time: Int64) {
    let last = lastReturn ?? time
    returning[(returningHead &+ returningCount) & 15] = time > last ? time : last
    returningCount &+= 1
  }
}
