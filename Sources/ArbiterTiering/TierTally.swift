// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement
internal import ArbiterProfiler

/// What a session has counted so far.
struct TierTally {
  var managedSampleCount: UInt64 = 0
  var losses = SamplingLosses()
  var promotionCount: UInt64 = 0
  var demotionCount: UInt64 = 0
  var promotedBytes: UInt64 = 0
  var demotedBytes: UInt64 = 0
  var refusals: [MigrationOutcome.Status: UInt64] = [:]
  var trackerNanoseconds: UInt64 = 0
  /// When the session ended; nil while it goes on.
  var endNanoseconds: Int64?

  /// Counts what became of a migration.
  mutating func record(_ outcome: MigrationOutcome) {
    let bytes = UInt64(max(0, outcome.bytesCopied))
    switch (outcome.status, outcome.migration.destination) {
    case (.moved, .fast):
      promotionCount += 1
      promotedBytes += bytes
    case (.moved, .slow):
      demotionCount += 1
      demotedBytes += bytes
    default: refusals[outcome.status, default: 0] += 1
    }
  }
}
