// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

/// Moves random chunks and islands to and fro without end: for tests of what carries moves out.
public struct RandomPlacement: PlacementPolicy {
  /// Its name in reports.
  public var name: String { "random" }

  /// Nanoseconds from one step to the next.
  public var stepNanoseconds: Int64

  /// The sampling period that it asks for: samples serve the report alone.
  public var samplingPeriodNanoseconds: Int64 { 16_000_000 }

  /// Decisions of one step, at most.
  public var movesPerStep: Int

  private var random: SeededRandom
  private var underWay: Set<Int32> = []
  private var bytesUnderWay = 0

  /// Makes a policy; the same seed draws the same chunks.
  public init(seed: UInt64, movesPerStep: Int = 8, stepNanoseconds: Int64 = 20_000_000) {
    precondition(movesPerStep > 0 && stepNanoseconds > 0)
    self.movesPerStep = movesPerStep
    self.stepNanoseconds = stepNanoseconds
    random = SeededRandom(seed: seed, stream: 0x72_616e_64)
  }

  /// Ignores the sample.
  public mutating func record(_ sample: TierSample) {}

  /// Draws chunks; a quarter of the moves take a random part of their islands.
  public mutating func step(
    _ view: borrowing PlacementView, into migrations: inout [Migration]
  ) {
    let chunks = view.chunks
    guard chunks.capacity > 0 else { return }
    var free = view.tiers.fastBytes - chunks.fastBytes - bytesUnderWay
    var left = movesPerStep
    // Numbers that are not in use are drawn in vain, so draws have a bound of their own.
    for _ in 0..<movesPerStep * 4 where left > 0 {
      let index = random.below(chunks.capacity)
      let drawn = random.below(4) == 0 ? IslandSet(rawValue: random.next()) : .all
      let part = view.moveUnit == .island ? drawn : .all
      guard let chunk = chunks[index], chunk.isMovable, !underWay.contains(Int32(index)) else {
        continue
      }
      let slow = chunk.slowIslands.intersection(chunk.presentIslands)
      let fast = chunk.presentIslands.subtracting(chunk.slowIslands)
      let rises = fast.isEmpty || (!slow.isEmpty && random.below(2) == 0)
      let islands = (rises ? slow : fast).intersection(part)
      guard !islands.isEmpty, !rises || islands.bytes <= free else { continue }
      let bytes = rises ? islands.bytes : -islands.bytes
      free -= bytes
      bytesUnderWay += bytes
      underWay.insert(Int32(index))
      migrations.append(
        Migration(
          chunk: Int32(index), islands: islands, to: rises ? .fast : .slow, because: .random))
      left -= 1
    }
  }

  /// Takes in that the chunk may be drawn again.
  public mutating func complete(_ outcome: MigrationOutcome) {
    guard underWay.remove(outcome.migration.chunk) != nil else { return }
    let bytes = outcome.migration.islands.bytes
    bytesUnderWay -= outcome.migration.destination == .fast ? bytes : -bytes
  }

  /// Forgets a chunk; an outcome that comes later is its end.
  public mutating func forget(chunk: Int) {}
}
