// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// Whether migrations pay is measured, not only expected.
//
// A1  Earned: accesses to islands that lie in fast memory only because a policy moved them there,
//     less those to islands that lie in slow memory only because it moved them away; each at the
//     difference of the tiers. Together that is the gain over first-touch placement.
// A2  Spent: the time that copies and kernel calls took. What makes room for memory that the
//     program allocates is no bet, and not taken from the balance: the program's growth bounds it,
//     and while memory is first used a move may cost many times what it costs afterwards.
// A3  The balance starts at a stake, small against a run, and grows by a share of elapsed time.
//     While it is empty nothing is moved but what lies in slow memory because it was moved there:
//     that only goes back. So no program loses more than stake and share to migrations that do
//     not pay, whatever it does, but for what A2 leaves out.
// A4  The balance has a ceiling, since long success does not pay for long failure, and as deep a
//     floor.
// A5  What was moved and is seen to earn is good for credit: what it will earn within some seconds
//     at the rate of the last one, chance excluded, may be spent before it has come in. A hot set
//     whose moves cost seconds is followed at the mover's speed, not at that of its earnings. A
//     program that disappoints it is lent to once: the debt stays in the balance.

/// What migrations earned and cost, and how fast they may go.
struct MigrationAccount: Sendable {
  /// Nanoseconds of threads' time that may be spent.
  private(set) var balance: Double
  /// Nanoseconds of threads' time that were gained over first touch.
  private(set) var earned = 0.0
  /// Nanoseconds that migrations took.
  private(set) var spent = 0.0
  /// Nanoseconds that the mover may work now.
  private(set) var tokens = 0.0
  /// What the last second earned, and the squares of its parts.
  private var recent = 0.0
  private var recentSquares = 0.0
  private let stake: Double
  private let creditSeconds: Double

  init(stake: Double, creditSeconds: Double) {
    self.stake = stake
    self.creditSeconds = creditSeconds
    balance = stake
  }

  /// What may be spent before it is earned.
  var credit: Double {
    let sure = recent - 2 * recentSquares.squareRoot()
    return min(max(0, sure * creditSeconds), stake * 8)
  }

  var canSpend: Bool { balance + credit > 0 }

  mutating func earn(_ nanoseconds: Double) {
    earned += nanoseconds
    recent += nanoseconds
    recentSquares += nanoseconds * nanoseconds
    balance = max(-stake * 8, min(balance + nanoseconds, stake * 8))
  }

  /// Spends time, on a bet or to make room.
  mutating func spend(_ nanoseconds: Double, because reason: Migration.Reason) {
    spent += nanoseconds
    if reason != .reserve { balance -= nanoseconds }
  }

  /// Time passes: the allowance, and the tokens of a bucket that holds two steps.
  mutating func advance(seconds: Double, allowance: Double, moverShare: Double) {
    if balance < stake { balance = min(stake, balance + seconds * 1e9 * allowance) }
    let faded = exponential(-seconds)
    recent *= faded
    recentSquares *= faded
    let added = seconds * 1e9 * moverShare
    tokens = min(tokens + added, added * 2)
  }

  mutating func take(_ nanoseconds: Double) { tokens -= nanoseconds }
}
