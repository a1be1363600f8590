// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice

/// A source of a module's cumulative counters.
///
/// One file per source. A reader that cannot see a figure leaves it nil; it never reports 0 for
/// what it did not count.
public protocol CounterReader: Sendable {
  /// Where the figures come from.
  var source: CounterSource { get }

  /// Why figures are missing, as one clause; nil where the source sees everything.
  var reasonForAbsence: String? { get }

  /// Reads the counters now, stamped in nanoseconds of CLOCK_MONOTONIC_RAW.
  mutating func snapshot() -> CounterSnapshot
}
