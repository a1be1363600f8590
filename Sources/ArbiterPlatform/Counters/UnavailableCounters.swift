// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice

/// The reader of a machine that counts nothing that Arbiter can use.
public struct UnavailableCounters: CounterReader {
  /// Why nothing can be counted.
  public let reason: String

  /// Makes a reader with the reason for its existence.
  public init(reason: String) {
    self.reason = reason
  }

  /// Always ``CounterSource/unavailable``.
  public var source: CounterSource { .unavailable }

  /// The reason, as it was given.
  public var reasonForAbsence: String? { reason }

  /// The time and no figure.
  public func snapshot() -> CounterSnapshot {
    .unavailable(atNanoseconds: SystemClock.monotonicRawNanoseconds())
  }
}
