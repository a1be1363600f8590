// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Sizes that the hardware fixes.
public enum Granularity {
  /// Bytes of a cache line, what the processor moves.
  public static let cacheLineBytes = 64
  /// Bytes of a media block, what the medium reads and writes (vendor word: XPLine).
  public static let mediaBlockBytes = 256
  /// Cache lines of a media block.
  public static let linesPerMediaBlock = mediaBlockBytes / cacheLineBytes
}

/// A text that does not say a quantity, with the reason and the spelling that would.
public struct QuantityError: Error, Equatable, CustomStringConvertible {
  /// The text as it was given.
  public let text: String
  /// What is wrong with it and what to write instead, without a final full stop.
  public let reason: String

  /// Makes an error from the offending text and the reason.
  public init(text: String, reason: String) {
    self.text = text
    self.reason = reason
  }

  /// The text in quotes and the reason.
  public var description: String { "'\(text)' \(reason)" }
}

/// A number of bytes.
public struct ByteCount: Hashable, Comparable, Sendable {
  /// Bytes; never negative.
  public var bytes: Int

  /// Makes a count of the given bytes.
  public init(bytes: Int) {
    precondition(bytes >= 0, "negative byte count")
    self.bytes = bytes
  }

  /// Makes a count of the given binary kilobytes (1024 B).
  public static func kibibytes(_ count: Int) -> ByteCount { ByteCount(bytes: count * (1 << 10)) }

  /// Makes a count of the given binary megabytes (1024 KiB).
  public static func mebibytes(_ count: Int) -> ByteCount { ByteCount(bytes: count * (1 << 20)) }

  /// Makes a count of the given binary gigabytes (1024 MiB).
  public static func gibibytes(_ count: Int) -> ByteCount { ByteCount(bytes: count * (1 << 30)) }

  /// Orders by bytes.
  public static func < (left: ByteCount, right: ByteCount) -> Bool { left.bytes < right.bytes }

  private static let suffixes: [(String, Int)] = [
    ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40),
    ("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("B", 1),
  ]

  /// Reads a size such as `256B`, `16KiB` or `4kB`; underscores may group the digits.
  ///
  /// - Throws: ``QuantityError`` where the unit is missing or ambiguous, the number is malformed or
  ///   the size exceeds 2^62 B.
  public init(parsing text: String) throws(QuantityError) {
    for (suffix, scale) in Self.suffixes where text.hasSuffix(suffix) {
      guard let number = DecimalNumber(text.dropLast(suffix.count)) else { break }
      guard let bytes = number.exactly(times: scale), bytes < 1 << 62 else {
        throw QuantityError(text: text, reason: "is not a whole number of bytes below 2^62")
      }
      self.init(bytes: Int(bytes))
      return
    }
    let digits = text.hasSuffix("B") ? text.dropLast(2) : text.dropLast()
    if let last = text.dropFirst(digits.count).first, "kKmMgGtT".contains(last),
      DecimalNumber(digits) != nil
    {
      let unit = last.uppercased()
      let decimal = unit == "K" ? "kB" : "\(unit)B"
      throw QuantityError(
        text: text, reason: "is ambiguous: write \(digits)\(unit)iB or \(digits)\(decimal)")
    }
    throw QuantityError(text: text, reason: "is not a size: write digits and a unit, as 16KiB")
  }
}

extension ByteCount: CustomStringConvertible {
  /// The shortest exact spelling with a binary unit, which ``init(parsing:)`` reads back.
  public var description: String {
    for (suffix, scale) in [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
    where bytes >= scale && bytes % scale == 0 {
      return "\(bytes / scale)\(suffix)"
    }
    return "\(bytes)B"
  }
}

/// A span of time in whole picoseconds, real or virtual.
public struct TimeSpan: Hashable, Comparable, Sendable {
  /// Picoseconds; negative only as a difference.
  public var picoseconds: Int64

  /// Makes a span of the given picoseconds.
  public init(picoseconds: Int64) {
    self.picoseconds = picoseconds
  }

  /// No time.
  public static let zero = TimeSpan(picoseconds: 0)

  /// Makes a span of nanoseconds, rounded to the nearest picosecond.
  ///
  /// - Precondition: The count is finite and its magnitude below 9.2e15 (about 106 days).
  public static func nanoseconds(_ count: Double) -> TimeSpan {
    TimeSpan(picoseconds: Int64((count * 1e3).rounded()))
  }

  /// Makes a span of microseconds.
  public static func microseconds(_ count: Double) -> TimeSpan { .nanoseconds(count * 1e3) }

  /// Makes a span of milliseconds.
  public static func milliseconds(_ count: Double) -> TimeSpan { .nanoseconds(count * 1e6) }

  /// Makes a span of seconds.
  public static func seconds(_ count: Double) -> TimeSpan { .nanoseconds(count * 1e9) }

  /// The span in nanoseconds.
  public var nanoseconds: Double { Double(picoseconds) / 1e3 }

  /// The span in seconds.
  public var seconds: Double { Double(picoseconds) / 1e12 }

  /// Orders by length.
  public static func < (left: TimeSpan, right: TimeSpan) -> Bool {
    left.picoseconds < right.picoseconds
  }

  /// Adds two spans.
  public static func + (left: TimeSpan, right: TimeSpan) -> TimeSpan {
    TimeSpan(picoseconds: left.picoseconds + right.picoseconds)
  }

  /// The difference of two spans.
  public static func - (left: TimeSpan, right: TimeSpan) -> TimeSpan {
    TimeSpan(picoseconds: left.picoseconds - right.picoseconds)
  }

  private static let suffixes: [(String, Int)] = [
    ("ns", 1000), ("us", 1_000_000), ("ms", 1_000_000_000), ("ps", 1), ("s", 1_000_000_000_000),
  ]

  private static let parsedMax: UInt128 = 1_000_000_000_000_000_000

  /// Reads a duration such as `200ns`, `5us`, `2ms` or `1s`; a bare `0` is no time.
  ///
  /// Fractions of a picosecond are rounded to the nearest, halves up.
  ///
  /// - Throws: ``QuantityError`` where the unit is missing, the number is malformed or the span
  ///   exceeds 10^6 s.
  public init(parsing text: String) throws(QuantityError) {
    if text == "0" {
      self = .zero
      return
    }
    for (suffix, scale) in Self.suffixes where text.hasSuffix(suffix) {
      guard let number = DecimalNumber(text.dropLast(suffix.count)) else { break }
      let picoseconds = number.rounded(times: scale)
      guard picoseconds <= Self.parsedMax else {
        throw QuantityError(text: text, reason: "is longer than 1000000s")
      }
      self.init(picoseconds: Int64(picoseconds))
      return
    }
    throw QuantityError(
      text: text, reason: "is not a duration: write digits and ns, us, ms or s, as 200ns")
  }
}

extension TimeSpan: CustomStringConvertible {
  /// The shortest exact spelling; ``init(parsing:)`` reads it back unless it is negative.
  public var description: String {
    if picoseconds == 0 { return "0" }
    let scales: [(String, Int64)] = [
      ("s", 1_000_000_000_000), ("ms", 1_000_000_000), ("us", 1_000_000), ("ns", 1000),
    ]
    for (suffix, scale) in scales where picoseconds % scale == 0 {
      return "\(picoseconds / scale)\(suffix)"
    }
    return "\(picoseconds)ps"
  }
}

/// Digits with at most one decimal point, kept exactly, so that what is printed is what is read.
private struct DecimalNumber {
  /// The digits as one whole number; below 10^24, so that a product with a scale fits.
  private let digits: UInt128
  /// Ten to the number of digits behind the point, those at the end that are zero left out.
  private let divisor: UInt128

  /// Reads what ``Quantity/plainNumber(_:)`` reads, up to 24 digits.
  init?(_ text: Substring) {
    guard Quantity.plainNumber(text) != nil else { return nil }
    var whole = text.utf8.filter { $0 != UInt8(ascii: "_") }
    var fraction: ArraySlice<UInt8> = []
    if let point = whole.firstIndex(of: UInt8(ascii: ".")) {
      fraction = whole[(point + 1)...]
      while fraction.last == UInt8(ascii: "0") { fraction.removeLast() }
      whole.removeSubrange(point...)
    }
    let significant = (whole + fraction).drop { $0 == UInt8(ascii: "0") }
    guard significant.count <= 24, fraction.count <= 24 else { return nil }
    digits = significant.reduce(0) { $0 * 10 + UInt128($1 - UInt8(ascii: "0")) }
    divisor = fraction.reduce(1) { power, _ in power * 10 }
  }

  /// The product with a scale of at most 10^12, or nil where it is not whole.
  func exactly(times scale: Int) -> UInt128? {
    let product = digits * UInt128(scale)
    return product % divisor == 0 ? product / divisor : nil
  }

  /// The product with a scale of at most 10^12, rounded to the nearest whole number, halves up.
  func rounded(times scale: Int) -> UInt128 {
    (digits * UInt128(scale) + divisor / 2) / divisor
  }
}

/// Reads of plain numbers, shared by the quantities.
public enum Quantity {
  /// Reads digits with at most one decimal point and grouping underscores; nil for anything else.
  ///
  /// Signs, exponents, spaces, `inf`, `nan` and numbers beyond the range of `Double` are refused.
  public static func plainNumber(_ digits: Substring) -> Double? {
    guard let first = digits.first, first.isASCII, first.isNumber || first == "." else {
      return nil
    }
    let plain = digits.filter { $0 != "_" }
    guard plain.allSatisfy({ $0 == "." || ($0.isASCII && $0.isNumber) }) else { return nil }
    guard let number = Double(plain), number.isFinite else { return nil }
    return number
  }

  /// Reads a ratio written as `0.25`, `25%` or `1/4`.
  ///
  /// - Throws: ``QuantityError`` for anything that is not a number of at least 0 in those forms.
  public static func ratio(parsing text: String) throws(QuantityError) -> Double {
    if text.hasSuffix("%"), let number = plainNumber(text.dropLast()) { return number / 100 }
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    if parts.count == 2, let above = plainNumber(parts[0]), let below = plainNumber(parts[1]),
      below > 0
    {
      let quotient = above / below
      if quotient.isFinite { return quotient }
    }
    if parts.count == 1, let number = plainNumber(parts[0]) { return number }
    throw QuantityError(text: text, reason: "is not a ratio: write 0.25, 25% or 1/4")
  }
}
