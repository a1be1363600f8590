// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterPlacement
internal import Glibc

/// What migrations cost beside their copies, learnt of those that were just made.
///
/// A line through CPU time over bytes, by sums that fade: what it shows at no bytes is the cost of
/// kernel calls and faults. Where all migrations are of one size, the copy is taken at the tiers'
/// bandwidth.
///
/// What was seen a while ago is not held on to: where memory is used for the first time a move
/// costs ten times what it costs once pages are exchanged, and who believes that for good does not
/// move enough to see that it has changed. A wrong guess is for the account of a policy to bear.
package struct MigrationCosts {
  /// What a migration is taken to cost while none was made.
  package let usual: Double
  private var weight = 0.0
  private var bytes = 0.0
  private var squares = 0.0
  private var nanoseconds = 0.0
  private var products = 0.0
  private var lastNanoseconds: Int64?

  /// Begins to learn; two pieces of a chunk, as measured with the benchmark tier-migrate.
  package init(usualNanoseconds: Double = 2 * 57_000) { usual = usualNanoseconds }

  /// The time in which all but a third is forgotten.
  private static let secondsKept = 1.0
  /// Migrations that the usual cost counts for.
  private static let usualCount = 8.0
  /// Sizes that differ less than this share of their mean, squared, lie on no line.
  private static let spreadMin = 0.05

  /// Takes in a migration that was made.
  package mutating func record(_ outcome: MigrationOutcome, at now: Int64) {
    guard outcome.status == .moved, outcome.bytesCopied > 0, outcome.cpuNanoseconds > 0 else {
      return
    }
    let (size, time) = (Double(outcome.bytesCopied), Double(outcome.cpuNanoseconds))
    let kept = kept(until: now)
    lastNanoseconds = now
    weight = weight * kept + 1
    bytes = bytes * kept + size
    squares = squares * kept + size * size
    nanoseconds = nanoseconds * kept + time
    products = products * kept + size * time
  }

  /// What a migration costs beside its copy.
  package func migrationNanoseconds(bytesPerSecond: Double, at now: Int64) -> Double {
    guard weight > 0, bytesPerSecond > 0 else { return usual }
    let (meanBytes, meanTime) = (bytes / weight, nanoseconds / weight)
    let variance = squares / weight - meanBytes * meanBytes
    var seen = max(0, meanTime - meanBytes / bytesPerSecond * 1e9)
    if variance > Self.spreadMin * meanBytes * meanBytes {
      let slope = max(0, (products / weight - meanBytes * meanTime) / variance)
      seen = max(0, meanTime - slope * meanBytes)
    }
    let count = weight * kept(until: now)
    return (seen * count + usual * Self.usualCount) / (count + Self.usualCount)
  }

  private func kept(until now: Int64) -> Double {
    guard let lastNanoseconds else { return 1 }
    return exp(-Double(max(0, now - lastNanoseconds)) / 1e9 / Self.secondsKept)
  }
}
