// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

/// How many accesses lie between two samples of a thread: random, so that samples do not keep step
/// with fences and syncs.
struct SampleSpacing {
  private var random: SeededRandom
  private let mean: Int

  /// Begins; a mean of 0 takes no sample, one of 1 each access.
  init(mean: Int, seed: UInt64, thread: Int) {
    self.mean = mean
    random = SeededRandom(seed: ~seed, stream: UInt64(thread) + 1)
  }

  /// Accesses until the next sample.
  @inline(__always)
  mutating func next() -> Int {
    switch mean {
    case 0: .max
    case 1: 1
    default: 1 &+ random.below(2 &* mean &- 1)
    }
  }
}
