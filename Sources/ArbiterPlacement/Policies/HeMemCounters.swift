// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// HeMem's three counters of a page, and the cooling clock as of which they hold.
struct HeMemCounters: Sendable {
  enum Kind: Sendable { case fastLoads, slowLoads, stores }

  private var fastLoads = 0
  private var slowLoads = 0
  private(set) var writes = 0
  private(set) var clock = 0

  var reads: Int { fastLoads + slowLoads }

  subscript(kind: Kind) -> Int {
    get {
      switch kind {
      case .fastLoads: fastLoads
      case .slowLoads: slowLoads
      case .stores: writes
      }
    }
    set {
      switch kind {
      case .fastLoads: fastLoads = newValue
      case .slowLoads: slowLoads = newValue
      case .stores: writes = newValue
      }
    }
  }

  mutating func count(_ kind: Kind) { self[kind] += 1 }

  /// Halves all counters as often as the clock has moved.
  mutating func cool(to newClock: Int) {
    fastLoads >>= newClock - clock
    slowLoads >>= newClock - clock
    writes >>= newClock - clock
    clock = newClock
  }

  /// Halves one counter and takes the page as cooled: the release's defect.
  mutating func cool(only kind: Kind, to newClock: Int) {
    self[kind] >>= newClock - clock
    clock = newClock
  }
}
