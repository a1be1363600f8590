// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import Arbiter

/// A log of numbers in a region: a count, alone in its cache line, and the numbers behind it.
///
/// Without checksums: a number is durable before the count that promises it.
public struct DurableLog {
  /// How many numbers the log holds.
  public private(set) var count: Int

  /// Opens the log of a region; a region of zeros is an empty log.
  public init(_ region: borrowing MappedRegion) {
    count = Int(region.loadAtomically(at: 0))
  }

  private static func offset(_ index: Int) -> Int { 64 + index * 8 }

  /// Appends numbers; on return they are durable, and a crash before leaves all or none of them.
  public mutating func append(_ numbers: [UInt64], to region: borrowing MappedRegion) throws {
    let start = Self.offset(count)
    numbers.withUnsafeBytes { region.copy($0, to: start) }
    // The numbers first: without this fence the count may survive and the numbers be lost.
    region.drain()
    count += numbers.count
    region.storeAtomically(UInt64(count), at: 0)
    try region.persist(0..<8)
  }

  /// Reads the whole log.
  public func numbers(in region: borrowing MappedRegion) -> [UInt64] {
    (0..<count).map { region.loadAtomically(at: Self.offset($0)) }
  }
}
