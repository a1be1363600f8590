// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

/// The first half of every media block of the region, then every second half, and again; the second
/// halves in descending order where the pattern says so.
struct HalvesGenerator: Sendable {
  private let base: UInt64
  private let blockCount: UInt64
  private let isBack: Bool
  private var block: UInt64 = 0
  private var half: UInt64 = 0

  init(_ workload: Workload, base: UInt64) {
    self.base = base
    isBack = workload.pattern == .halvesBack
    blockCount = UInt64(max(1, workload.regionBytes / Granularity.mediaBlockBytes))
  }

  mutating func next(limit: UInt32) -> AccessPlace {
    let isDescending = isBack && half == 1
    let count = isDescending ? 1 : min(UInt64(limit), blockCount - block)
    let first = isDescending ? blockCount - 1 - block : block
    let place = AccessPlace(
      address: base &+ first &* 256 &+ half &* 128, count: UInt32(count), stride: 256)
    block += count
    if block == blockCount {
      block = 0
      half = 1 - half
    }
    return place
  }
}
