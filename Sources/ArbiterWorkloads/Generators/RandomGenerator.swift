// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

/// Addresses drawn uniformly from the region, aligned to the access size.
struct RandomGenerator: Sendable {
  private let base: UInt64
  private let accessBytes: UInt64
  private let accessCount: UInt64

  init(_ workload: Workload, base: UInt64) {
    self.base = base
    accessBytes = UInt64(workload.accessBytes)
    accessCount = UInt64(workload.regionBytes / workload.accessBytes)
  }

  func next(_ random: inout SeededRandom) -> AccessPlace {
    let index = random.next().multipliedFullWidth(by: accessCount).high
    return AccessPlace(address: base &+ index &* accessBytes, count: 1, stride: 0)
  }
}
