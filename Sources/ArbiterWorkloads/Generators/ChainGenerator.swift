// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

/// Every access of the region once, in an order without pattern, and again in that order.
///
/// The order is a permutation computed place by place, so that a chain through a large region needs
/// no memory: numbers below the next power of two are mixed reversibly, and those that fall outside
/// the region are left out.
struct ChainGenerator: Sendable {
  private let base: UInt64
  private let accessBytes: UInt64
  private let accessCount: UInt64
  private let mask: UInt64
  private let shift: UInt64
  private var number: UInt64 = 0

  init(_ workload: Workload, base: UInt64) {
    self.base = base
    accessBytes = UInt64(workload.accessBytes)
    accessCount = UInt64(workload.regionBytes / workload.accessBytes)
    var bits: UInt64 = 1
    while 1 << bits < accessCount { bits += 1 }
    mask = 1 << bits - 1
    shift = (bits + 1) / 2
  }

  /// Returns the next access.
  ///
  /// - Complexity: O(1) on average: fewer than half of the numbers fall outside.
  mutating func next() -> AccessPlace {
    var index: UInt64
    repeat {
      index = mixed(number)
      number = (number &+ 1) & mask
    } while index >= accessCount
    return AccessPlace(address: base &+ index &* accessBytes, count: 1, stride: 0)
  }

  /// A permutation of the numbers up to the mask: odd factors and shifts to the right undo.
  private func mixed(_ number: UInt64) -> UInt64 {
    var value = number
    value = (value &* 0x9E37_79B9_7F4A_7C15 &+ 0x632B_E59B_D9B4_E019) & mask
    value ^= value >> shift
    value = (value &* 0xBF58_476D_1CE4_E5B9) & mask
    value ^= value >> shift
    value = (value &* 0x94D0_49BB_1331_11EB) & mask
    return value ^ value >> shift
  }
}
