// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterMetrics

/// The share of sampled accesses that met fast memory, in all and of the last seconds.
package struct HitShare {
  /// Weights of samples.
  private struct Sums {
    var fast = 0.0
    var all = 0.0
    var squares = 0.0

    mutating func add(_ other: Sums) {
      fast += other.fast
      all += other.all
      squares += other.squares
    }
  }

  private var total = Sums()
  private var window: [Sums]
  private var slot = 0
  private var slotBegan: Int64 = 0

  /// Parts of the recent past, and how long each is.
  private static let slotCount = 10
  private static let slotNanoseconds: Int64 = 500_000_000

  /// Begins at time 0 of the session.
  package init() {
    window = Array(repeating: Sums(), count: Self.slotCount)
  }

  /// Takes in a sample.
  package mutating func record(weight: Double, isFast: Bool) {
    let sums = Sums(fast: isFast ? weight : 0, all: weight, squares: weight * weight)
    total.add(sums)
    window[slot].add(sums)
  }

  /// Lets time go by.
  package mutating func advance(to now: Int64) {
    // After a long pause nothing of the window is recent.
    let steps = min(Int64(Self.slotCount), max(0, now - slotBegan) / Self.slotNanoseconds)
    guard steps > 0 else { return }
    for _ in 0..<steps {
      slot = (slot + 1) % Self.slotCount
      window[slot] = Sums()
    }
    slotBegan = now - (now - slotBegan) % Self.slotNanoseconds
  }

  /// Since the beginning.
  package var overall: Figure<Estimate> { Self.share(total, "of managed memory") }

  /// Over the last five seconds.
  package var recent: Figure<Estimate> {
    var sum = Sums()
    for part in window { sum.add(part) }
    return Self.share(sum, "of managed memory in the last seconds")
  }

  /// The share, with the error of a binomial share of as many samples as the weights amount to.
  ///
  /// One sample of each kind is added for the error alone: that a few samples were all fast does
  /// not make the share certain.
  private static func share(_ sums: Sums, _ what: String) -> Figure<Estimate> {
    guard sums.all > 0, sums.squares > 0 else {
      return .unavailable("no access was sampled \(what)")
    }
    let share = min(1, max(0, sums.fast / sums.all))
    let count = sums.all * sums.all / sums.squares
    let guarded = (share * count + 1) / (count + 2)
    let error = (guarded * (1 - guarded) / count).squareRoot()
    return .known(Estimate(share, standardError: error))
  }
}
