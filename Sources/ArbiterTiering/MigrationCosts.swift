// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterPlacement

/// What migrations cost beside their copies, learnt of those that were made.
///
/// A line through CPU time over bytes, by sums that fade: what it shows at no bytes is the cost of
/// kernel calls and faults. Where all migrations are of one size, the copy is taken at the tiers'
/// bandwidth.
package struct MigrationCosts {
  private var weight = 0.0
  private var bytes = 0.0
  private var squares = 0.0
  private var nanoseconds = 0.0
  private var products = 0.0

  /// Begins to learn.
  package init() {}

  /// What an older migration counts for each one that came after it.
  private static let fading = 0.98
  /// Migrations below which nothing is said.
  private static let tellingCount = 8.0
  /// Sizes that differ less than this share of their mean, squared, lie on no line.
  private static let spreadMin = 0.05

  /// Takes in a migration that was made.
  package mutating func record(_ outcome: MigrationOutcome) {
    guard outcome.status == .moved, outcome.bytesCopied > 0, outcome.cpuNanoseconds > 0 else {
      return
    }
    let (size, time) = (Double(outcome.bytesCopied), Double(outcome.cpuNanoseconds))
    weight = weight * Self.fading + 1
    bytes = bytes * Self.fading + size
    squares = squares * Self.fading + size * size
    nanoseconds = nanoseconds * Self.fading + time
    products = products * Self.fading + size * time
  }

  /// What a migration costs beside its copy; nil until it can be told.
  package func migrationNanoseconds(bytesPerSecond: Double) -> Double? {
    guard weight >= Self.tellingCount, bytesPerSecond > 0 else { return nil }
    let (meanBytes, meanTime) = (bytes / weight, nanoseconds / weight)
    let variance = squares / weight - meanBytes * meanBytes
    if variance > Self.spreadMin * meanBytes * meanBytes {
      let slope = max(0, (products / weight - meanBytes * meanTime) / variance)
      return max(0, meanTime - slope * meanBytes)
    }
    return max(0, meanTime - meanBytes / bytesPerSecond * 1e9)
  }
}
