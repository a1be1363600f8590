// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What the adaptive policy knows of a chunk.
struct ChunkState: Sendable {
  /// Averages of heat: nanoseconds, fading with the short and the long time constant.
  var short: Float = 0
  var long: Float = 0
  /// Heat since the last step.
  var pending: Float = 0
  /// Islands that had a sample since the last step.
  var touched: UInt64 = 0
  /// Islands that are proven idle and had no sample since.
  var idle: UInt64 = 0
  /// Where the islands lie, as of the last step or outcome.
  var slow: UInt64 = 0
  var present = UInt64.max
  /// Islands that lie elsewhere than the first touch put them, by what this policy did.
  var raised: UInt64 = 0
  var lowered: UInt64 = 0
  /// Islands that a decision without an outcome moves.
  var underWay: UInt64 = 0
  var underWaySince: Int64 = 0
  var bytesUnderWay = 0
  var costUnderWay = 0.0
  /// The last move.
  var moved: UInt64 = 0
  var movedAt = Int64.min / 2
  var wasPromoted = false
  /// How often it went back and forth, fading.
  var turns: Float = 0
  /// Not before this time after a refusal.
  var retryAt = Int64.min
  var refusals: UInt8 = 0
  /// When it was first seen.
  var seenAt = Int64.min
  /// Since when it has been warm without a break.
  var warmSince = Int64.max
  var isKnown = false
  var isMovable = false
  /// The group that it is in, and those of the steps before: the newest lowest.
  var groups = UInt32.max

  var group: UInt8 { UInt8(truncatingIfNeeded: groups) }
  /// The group of three steps before.
  var groupBefore: UInt8 { UInt8(truncatingIfNeeded: groups >> 24) }

  /// What is left of the turns.
  func turns(at time: Int64, fadingNanoseconds: Int64) -> Float {
    max(0, turns - Float(time - movedAt) / Float(fadingNanoseconds))
  }

  /// Takes in an outcome; tells the bytes that are no longer under way.
  mutating func settle(
    _ outcome: MigrationOutcome, at time: Int64, turnNanoseconds: Int64
  ) -> Int {
    let bytes = bytesUnderWay
    let islands = underWay
    underWay = 0
    bytesUnderWay = 0
    costUnderWay = 0
    switch outcome.status {
    case .moved:
      refusals = 0
      noteMove(
        of: islands, up: outcome.migration.destination == .fast, at: time,
        turnNanoseconds: turnNanoseconds)
    case .busy, .failed:
      // 1 s, 2 s, 4 s, ... about a minute.
      retryAt = time + Int64(1_000_000_000) << Int64(min(refusals, 6))
      refusals = min(refusals + 1, 7)
    case .stale, .full:
      break
    }
    return bytes
  }

  private mutating func noteMove(
    of islands: UInt64, up: Bool, at time: Int64, turnNanoseconds: Int64
  ) {
    turns = turns(at: time, fadingNanoseconds: turnNanoseconds)
    if up != wasPromoted, moved & islands != 0, time - movedAt < turnNanoseconds {
      turns = min(turns + 1, 8)
    }
    moved = islands
    movedAt = time
    wasPromoted = up
    if up {
      slow &= ~islands
      raised |= islands & ~lowered
      lowered &= ~islands
    } else {
      slow |= islands
      lowered |= islands & ~raised
      raised &= ~islands
    }
  }
}
