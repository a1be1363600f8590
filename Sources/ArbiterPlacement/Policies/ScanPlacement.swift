// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What page-table scanning can know, as the rival that HeMem's authors built ("LRU"): a scan reads
// and clears the accessed bit of every chunk; a chunk is active while the bit was set in two scans
// one after the other, as with the kernel's active list, and inactive after a scan without it.
// Active chunks of the slow tier replace inactive ones of the fast tier, in the order in which they
// became so. Where every chunk is touched between scans, as with random access, all are active and
// nothing can be told apart.

/// Ranks chunks by accessed bits, as page-table scanners do.
public struct ScanPlacement: PlacementPolicy {
  /// Its name in reports.
  public var name: String { "scan" }

  /// Nanoseconds from one step to the next: a scan precedes each.
  public var stepNanoseconds: Int64

  /// The sampling period that it asks for: samples serve the report alone.
  public var samplingPeriodNanoseconds: Int64 { 16_000_000 }

  /// Nanoseconds from one scan to the next.
  public var scanNanoseconds: Int64? { stepNanoseconds }

  /// Bytes per second that it moves at most.
  public var bytesPerSecond: Double

  private struct Page {
    /// The bits of the last scans, the newest lowest.
    var scans: UInt8 = 0
    /// The scan in which it became active or inactive.
    var since = 0
    var isUnderWay = false
  }

  private var pages: [Page] = []
  private var scans = 0
  private var bytesUnderWay = 0

  /// Makes a policy that scans once per so many nanoseconds.
  public init(scanNanoseconds: Int64 = 1_000_000_000, bytesPerSecond: Double = 10e9) {
    precondition(scanNanoseconds > 0 && bytesPerSecond > 0)
    stepNanoseconds = scanNanoseconds
    self.bytesPerSecond = bytesPerSecond
  }

  /// Ignores the sample: it knows bits alone.
  public mutating func record(_ sample: TierSample) {}

  /// Takes in that a chunk's accessed bit was set.
  public mutating func recordAccessed(chunk: Int) {
    guard chunk >= 0 else { return }
    grow(to: chunk + 1)
    pages[chunk].scans |= 1
  }

  /// Exchanges active chunks of the slow tier for inactive ones of the fast tier.
  public mutating func step(
    _ view: borrowing PlacementView, into migrations: inout [Migration]
  ) {
    let chunks = view.chunks
    grow(to: chunks.capacity)
    scans += 1
    var rising: [Int] = []
    var falling: [Int] = []
    chunks.forEach { index, chunk in
      let bits = pages[index].scans
      let changed = bits & 0b11 != bits >> 1 & 0b11
      if changed { pages[index].since = scans }
      pages[index].scans = bits << 1
      guard chunk.isMovable, !pages[index].isUnderWay, !chunk.presentIslands.isEmpty else { return }
      if !chunk.slowIslands.isDisjoint(with: chunk.presentIslands) {
        if bits & 0b11 == 0b11 { rising.append(index) }
      } else if bits & 1 == 0 {
        falling.append(index)
      }
    }
    rising.sort { (pages[$0].since, $0) < (pages[$1].since, $1) }
    falling.sort { (pages[$0].since, $0) < (pages[$1].since, $1) }
    var free = view.tiers.fastBytes - chunks.fastBytes - bytesUnderWay
    var budget = Int(bytesPerSecond * Double(stepNanoseconds) / 1e9)
    var victims = falling.makeIterator()
    for index in rising {
      guard let chunk = chunks[index], budget > 0 else { return }
      let islands = chunk.slowIslands.intersection(chunk.presentIslands)
      while free < islands.bytes {
        guard let victim = victims.next(), let old = chunks[victim] else { return }
        let room = old.presentIslands.subtracting(old.slowIslands)
        decide(victim, room, .slow, .exchange, &migrations)
        free += room.bytes
        budget -= room.bytes
      }
      decide(index, islands, .fast, .hot, &migrations)
      free -= islands.bytes
      budget -= islands.bytes
    }
  }

  /// Takes in that the chunk may be decided on again.
  public mutating func complete(_ outcome: MigrationOutcome) {
    let chunk = Int(outcome.migration.chunk)
    guard pages.indices.contains(chunk), pages[chunk].isUnderWay else { return }
    pages[chunk].isUnderWay = false
    let bytes = outcome.migration.islands.bytes
    bytesUnderWay -= outcome.migration.destination == .fast ? bytes : -bytes
  }

  /// Forgets the bits of a chunk; an outcome that comes later is still booked.
  public mutating func forget(chunk: Int) {
    guard pages.indices.contains(chunk) else { return }
    pages[chunk].scans = 0
    pages[chunk].since = 0
  }

  private mutating func decide(
    _ index: Int, _ islands: IslandSet, _ destination: Tier, _ reason: Migration.Reason,
    _ migrations: inout [Migration]
  ) {
    pages[index].isUnderWay = true
    bytesUnderWay += destination == .fast ? islands.bytes : -islands.bytes
    migrations.append(
      Migration(chunk: Int32(index), islands: islands, to: destination, because: reason))
  }

  private mutating func grow(to count: Int) {
    guard count > pages.count else { return }
    pages.append(contentsOf: repeatElement(Page(), count: count - pages.count))
  }
}
