// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// Wear levelling: a module moves a block of the medium elsewhere once it was written too often in
// too short a time, and stands still meanwhile.
//
// The published tests agree on the stall (50 to 60 us) and not on its rule. That stalls become rare
// as a hot spot grows (Yang et al., FAST'20, figure 3) excludes a plain count, which would come to
// its threshold after as many writes whatever their spread; a count that time takes back does not.
// A block's count is kept as the time at which it will be forgotten: every write moves that on by
// `forget`, and the block moves once it lies `threshold` writes ahead.
//
// Invariant L1: no count is ahead by more than the threshold.

internal import ArbiterCore
internal import ArbiterDevice

/// The write counts of one module's blocks.
struct WearLevelling: ~Copyable {
  struct Count {
    var block = UInt64.max
    /// When everything counted will be forgotten.
    var forgotten = Int64.min
  }

  /// Blocks that are counted at once; where two share a place, the first one keeps it while its
  /// count lasts.
  private static let places = 4096

  private let counts: FixedArray<Count>
  private let shift: UInt64
  private let forget: Int64
  private let limit: Int64
  private let stall: Int64
  private let jitter: Int64
  private var random: SeededRandom

  init(profile: DeviceProfile, random: SeededRandom) {
    let isOn = profile.wearThresholdWrites > 0
    counts = FixedArray(count: isOn ? Self.places : 0) { _ in Count() }
    shift = UInt64(max(profile.wearBlockBytes / 256, 1).trailingZeroBitCount)
    forget = TimeSpan.nanoseconds(profile.wearForgetNanoseconds).picoseconds
    limit = isOn ? forget &* Int64(profile.wearThresholdWrites) : 0
    stall = TimeSpan.nanoseconds(profile.wearStallNanoseconds).picoseconds
    jitter = Int64(Double(stall) * profile.mediaJitterRatio)
    self.random = random
  }

  /// Counts a write of the medium.
  ///
  /// - Returns: For how long the module stands still, if the write made it.
  @inline(__always)
  mutating func note(mediaBlock: UInt64, now: Int64) -> Int64? {
    if limit == 0 { return nil }
    let block = mediaBlock >> shift
    let place = Int(truncatingIfNeeded: block & UInt64(Self.places - 1))
    let start = max(counts[place].forgotten, now)
    if counts[place].block != block {
      if start > now { return nil }
      counts[place].block = block
    }
    counts[place].forgotten = start &+ forget
    return start &+ forget &- now > limit ? level(place, now) : nil
  }

  /// The block moves, and its new place has no history.
  @inline(never)
  private mutating func level(_ place: Int, _ now: Int64) -> Int64 {
    counts[place].forgotten = now
    return jitter == 0 ? stall : stall &+ random.symmetric(jitter)
  }
}
