// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiter
internal import Glibc

/// How a thread waits for another: it spins a little, gives the processor away a few times, then
/// sleeps for longer and longer, up to a limit.
///
/// With more threads than processors a thread that only spins may keep the one it waits for from
/// running.
struct Backoff {
  private var round = 0

  private static let spinRounds = 6
  private static let yieldRounds = 10
  private static let sleepMicrosecondsMin: UInt32 = 20
  private static let sleepMicrosecondsMax: UInt32 = 500

  /// Waits a while, longer with every call.
  mutating func wait() {
    if round < Self.spinRounds {
      for _ in 0..<(1 << round) { arb_pause() }
    } else if round < Self.spinRounds + Self.yieldRounds {
      sched_yield()
    } else {
      let doublings = min(5, round - Self.spinRounds - Self.yieldRounds)
      usleep(min(Self.sleepMicrosecondsMin << UInt32(doublings), Self.sleepMicrosecondsMax))
    }
    round = min(round + 1, 1000)
  }

  /// Starts over, after something has happened.
  mutating func reset() {
    round = 0
  }
}
