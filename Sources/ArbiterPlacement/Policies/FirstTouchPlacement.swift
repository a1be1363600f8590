// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Leaves everything where the first touch put it: what other policies must not fall behind.
public struct FirstTouchPlacement: PlacementPolicy {
  /// Its name in reports.
  public var name: String { "first-touch" }

  /// Nanoseconds from one step to the next; nothing happens in any.
  public var stepNanoseconds: Int64 { 1_000_000_000 }

  /// The sampling period that it asks for: samples serve the report alone.
  public var samplingPeriodNanoseconds: Int64 { 16_000_000 }

  /// Makes a policy.
  public init() {}

  /// Ignores the sample.
  public mutating func record(_ sample: TierSample) {}

  /// Decides nothing.
  public mutating func step(
    _ view: borrowing PlacementView, into migrations: inout [Migration]
  ) {}

  /// Has no decision to hear of.
  public mutating func complete(_ outcome: MigrationOutcome) {}

  /// Knows no chunk.
  public mutating func forget(chunk: Int) {}
}
