// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterWorkloads

/// Divides addresses into regions of a recording.
///
/// Without a range each part of the address space that is touched becomes a region, in the order of
/// first touch; its size is the power of two that holds everything touched so far.
struct AddressMap: Sendable {
  enum Place {
    /// The region and the offset in it.
    case found(region: UInt8, offset: UInt64)
    /// Why the access cannot be kept.
    case missing(ConversionTally.Loss)
  }

  private struct Window: Sendable {
    let number: UInt8
    let start: UInt64
    var byteCount: UInt64
  }

  private let range: Range<UInt64>?
  private let windowBits: UInt64
  private var windows: [UInt64: Window] = [:]
  private var last: Window?
  private var changed: Set<UInt64> = []

  /// Makes a map; windows are of 2^`windowBits` bytes.
  init(range: Range<UInt64>?, windowBits: UInt64) {
    self.range = range
    self.windowBits = windowBits
    guard let range else { return }
    windows[0] = Window(
      number: 0, start: range.lowerBound, byteCount: range.upperBound - range.lowerBound)
    changed = [0]
  }

  /// Whether a region has become larger than it was described.
  var hasGrown: Bool { !changed.isEmpty }

  /// Finds the region of an access.
  mutating func find(_ address: UInt64, _ length: UInt32) -> Place {
    let (end, overflows) = address.addingReportingOverflow(UInt64(length))
    if let range {
      guard !overflows, address >= range.lowerBound, end <= range.upperBound else {
        return .missing(.outsideRange)
      }
      return .found(region: 0, offset: address - range.lowerBound)
    }
    let key = address >> windowBits
    // An access across the end of a window belongs to the first, whose region may be longer then.
    let start = key << windowBits
    if let last, last.start == start, end - start <= last.byteCount, !overflows {
      return .found(region: last.number, offset: address - start)
    }
    guard !overflows else { return .missing(.beyondRegions) }
    var window = windows[key]
    if window == nil {
      guard windows.count < 256 else { return .missing(.beyondRegions) }
      window = Window(number: UInt8(windows.count), start: start, byteCount: 4096)
      changed.insert(key)
    }
    guard var window else { return .missing(.beyondRegions) }
    while window.byteCount < end - start {
      window.byteCount *= 2
      changed.insert(key)
    }
    windows[key] = window
    last = window
    return .found(region: window.number, offset: address - start)
  }

  /// Describes the regions that are new or have grown.
  mutating func describe(in writer: inout TraceWriter) throws {
    for key in changed.sorted() {
      guard let window = windows[key] else { continue }
      try writer.describe(
        TraceRegion(
          number: window.number, name: "0x" + String(window.start, radix: 16),
          byteCount: window.byteCount))
    }
    changed = []
  }
}
