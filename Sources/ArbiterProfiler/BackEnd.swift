// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A way to learn which task accesses which memory.
public enum BackEnd: String, Sendable, Hashable, CaseIterable {
  /// Precise events of the processor: addresses and widths of retired stores and loads.
  case pebs
  /// A clock's samples, with the access decoded from the code around them.
  case timer
  /// The kernel's page faults: first touches.
  case faults
  /// What the gates of an `arbiter run` counted.
  case gates

  /// What its figures are; never compare those of two kinds.
  public var measure: AccountMeasure {
    switch self {
    case .pebs: .accessedBytes
    case .timer: .timeWeightedStoreCost
    case .faults: .firstTouches
    case .gates: .storedBytes
    }
  }
}

/// What an account's figures are.
public enum AccountMeasure: String, Sendable, Hashable, CaseIterable {
  /// Bytes that instructions stored and loaded, estimated: width times period.
  case accessedBytes = "accessed-bytes"
  /// Time that threads spent at stores and loads, estimated: it ranks memory by what it costs, and
  /// counts no store.
  case timeWeightedStoreCost = "time-weighted-store-cost"
  /// Pages that were touched for the first time, counted, in bytes.
  case firstTouches = "first-touches"
  /// Bytes that passed gates, counted.
  case storedBytes = "stored-bytes"

  /// The unit of its figures: `bytes`, or `nanoseconds` for costs.
  public var unit: String { self == .timeWeightedStoreCost ? "nanoseconds" : "bytes" }
}
