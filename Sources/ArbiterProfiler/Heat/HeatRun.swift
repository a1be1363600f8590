// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A run of equal accesses: `count` times `length` bytes, `stride` bytes apart.
///
/// The accesses are spread evenly over the run's time.
public struct HeatRun: Sendable, Hashable {
  /// The lowest byte of the first access.
  public var position: UInt64
  /// Bytes of each access.
  public var length: UInt64
  /// How many accesses.
  public var count: UInt64
  /// Bytes from the start of one access to the start of the next; at most 2^31 either way.
  public var stride: Int64
  /// When the run began, in nanoseconds.
  public var timeNanoseconds: UInt64
  /// How long it took.
  public var spanNanoseconds: UInt64
  /// What each byte of each access weighs.
  public var weightPerByte: Double
  /// Whether memory was written.
  public var isStore: Bool
  /// Whether memory was read.
  public var isLoad: Bool

  /// Makes a run.
  public init(
    position: UInt64, length: UInt64, count: UInt64 = 1, stride: Int64 = 0,
    timeNanoseconds: UInt64, spanNanoseconds: UInt64 = 0, weightPerByte: Double = 1,
    isStore: Bool, isLoad: Bool
  ) {
    self.position = position
    self.length = length
    self.count = count
    self.stride = stride
    self.timeNanoseconds = timeNanoseconds
    self.spanNanoseconds = spanNanoseconds
    self.weightPerByte = weightPerByte
    self.isStore = isStore
    self.isLoad = isLoad
  }

  /// The lowest and the highest byte; nil where there is none or they are not within 64 bits.
  var extent: (low: UInt64, high: UInt64)? {
    guard length > 0, count > 0, count < 1 << 32, length <= 1 << 40,
      stride.magnitude <= 1 << 31
    else { return nil }
    let travel = UInt64(stride.magnitude) * (count - 1)
    let (first, isBelow) =
      stride < 0 ? position.subtractingReportingOverflow(travel) : (position, false)
    let (last, isAbove) =
      stride < 0 ? (position, false) : position.addingReportingOverflow(travel)
    let (high, isTooHigh) = last.addingReportingOverflow(length - 1)
    // One below the end, so that the end of every bin is a number.
    return isBelow || isAbove || isTooHigh || high == .max ? nil : (first, high)
  }

  /// When the last access began.
  var lastNanoseconds: UInt64 {
    timeNanoseconds + Self.share(spanNanoseconds, of: count - 1, among: count)
  }

  /// How many accesses began before a time.
  ///
  /// Access *i* of *n* begins at `time + floor(span * i / n)`.
  func countBefore(_ time: UInt64) -> UInt64 {
    guard time > timeNanoseconds else { return 0 }
    let wanted = time - timeNanoseconds
    guard spanNanoseconds > 0, wanted < spanNanoseconds else { return count }
    // floor(span * i / n) < wanted exactly where i < wanted * n / span, rounded up.
    let product = wanted.multipliedFullWidth(by: count)
    let (quotient, rest) = spanNanoseconds.dividingFullWidth(product)
    return min(count, quotient + (rest > 0 ? 1 : 0))
  }

  /// Part of the run: accesses by their number, at one time.
  func part(_ range: Range<UInt64>) -> HeatRun {
    var part = self
    let travel = Int64(range.lowerBound) * stride
    part.position = position &+ UInt64(bitPattern: travel)
    part.count = range.upperBound - range.lowerBound
    return part
  }

  private static func share(_ whole: UInt64, of part: UInt64, among count: UInt64) -> UInt64 {
    count.dividingFullWidth(whole.multipliedFullWidth(by: part)).quotient
  }

  /// Bytes of all accesses that lie below a position, each counted as often as it is accessed.
  ///
  /// - Complexity: O(1), whatever the count.
  func bytesBelow(_ limit: UInt64) -> Double {
    guard let extent, limit > extent.low else { return 0 }
    guard limit <= extent.high else { return Double(length) * Double(count) }
    let reach = limit - extent.low
    let step = UInt64(stride.magnitude)
    guard step > 0, count > 1 else { return Double(min(reach, length)) * Double(count) }
    // Sorted by position, access i begins at i * step. Those that begin below the limit:
    let begun = min(count, (reach - 1) / step + 1)
    // Of them, those that end there or below:
    let whole = reach < length ? 0 : min(count, (reach - length) / step + 1)
    // The rest of those begun are cut: reach - i * step bytes each, an arithmetic series.
    let cut = begun - whole
    guard cut > 0 else { return Double(whole) * Double(length) }
    let first = Double(reach - whole * step)
    let last = Double(reach - (begun - 1) * step)
    return Double(whole) * Double(length) + Double(cut) * (first + last) / 2
  }
}
