// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

/// Ascending addresses, one stride apart; starts at a random page of the region, wraps at its end.
struct SequentialGenerator: Sendable {
  private let base: UInt64
  private let stride: UInt64
  private let accessCount: UInt64
  private var next: UInt64

  init(_ workload: Workload, base: UInt64, random: inout SeededRandom) {
    self.base = base
    stride = UInt64(workload.strideBytes == 0 ? workload.accessBytes : workload.strideBytes)
    accessCount = UInt64(workload.regionBytes) / stride
    // Threads that start at equal offsets would walk an interleave set in step: no program does.
    let pageBytes: UInt64 = 4096
    let pages = UInt64(workload.regionBytes) / pageBytes
    let start = pages > 0 && pages < 1 << 31 ? UInt64(random.below(Int(pages))) * pageBytes : 0
    next = start % stride == 0 ? start / stride : 0
  }

  mutating func next(limit: UInt32) -> AccessPlace {
    let count = min(UInt64(limit), accessCount - next)
    let place = AccessPlace(
      address: base &+ next &* stride, count: UInt32(count), stride: UInt32(stride))
    next += count
    if next == accessCount { next = 0 }
    return place
  }
}
