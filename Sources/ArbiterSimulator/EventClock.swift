// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The calendar of the simulation.
//
// Every component (a thread, a module's link, a module's medium) has at most one pending event, so
// the calendar is a tournament tree over components and not a queue of events: no allocation, no
// search, and a fixed cost per change. An entry packs time and component into one word, so that the
// earlier of two events is the smaller of two numbers and ties are broken by component number,
// which makes runs repeatable.

internal import ArbiterCore

/// The earliest pending event of a fixed set of components.
package struct EventClock: ~Copyable {
  package static let componentBits: UInt64 = 10
  package static let never = UInt64.max

  /// Node 1 is the winner of all, node i that of nodes 2i and 2i + 1; leaves come last.
  private let nodes: FixedArray<UInt64>
  private let leafCount: Int

  package init(componentCount: Int) {
    precondition(componentCount <= 1 << Int(Self.componentBits), "too many components")
    var leaves = 2
    while leaves < componentCount { leaves *= 2 }
    leafCount = leaves
    nodes = FixedArray(count: leaves * 2) { _ in Self.never }
  }

  /// The packed time and component of the earliest event; ``never`` where none is pending.
  @inline(__always)
  package var first: UInt64 { nodes[1] }

  @inline(__always)
  package static func time(of entry: UInt64) -> Int64 {
    Int64(truncatingIfNeeded: entry >> componentBits)
  }

  @inline(__always)
  package static func component(of entry: UInt64) -> Int {
    Int(truncatingIfNeeded: entry & (1 << componentBits - 1))
  }

  /// Makes `time` the component's next event, in place of any that was pending.
  @inline(__always)
  package func schedule(_ component: Int, at time: Int64) {
    let packed = UInt64(truncatingIfNeeded: time) << Self.componentBits
    place(component, packed | UInt64(truncatingIfNeeded: component))
  }

  /// Removes the component's pending event, if any.
  @inline(__always)
  package func cancel(_ component: Int) { place(component, Self.never) }

  @inline(__always)
  private func place(_ component: Int, _ entry: UInt64) {
    var node = leafCount &+ component
    // Carried upwards in a register: a parent that read both children would wait for the store.
    var winner = entry
    nodes[node] = winner
    while node > 1 {
      let sibling = nodes[node ^ 1]
      winner = winner < sibling ? winner : sibling
      node >>= 1
      nodes[node] = winner
    }
  }
}
