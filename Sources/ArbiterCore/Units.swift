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
  public static func kibibytes(_ count: Int) -> ByteCount { ByteCount(bytes: count << 10) }

  /// Makes a count of the given binary megabytes (1024 KiB).
  public static func mebibytes(_ count: Int) -> ByteCount { ByteCount(bytes: count << 20) }

  /// Makes a count of the given binary gigabytes (1024 MiB).
  public static func gibibytes(_ count: Int) -> ByteCount { ByteCount(bytes: count << 30) }

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
      let digits = text.dropLast(suffix.count)
      guard let number = Self.number(digits) else {
        throw QuantityError(text: text, reason: "is not a size: write digits and a unit, as 16KiB")
      }
      let bytes = number * Double(scale)
      guard bytes < 4.6e18, bytes == bytes.rounded() else {
        throw QuantityError(text: text, reason: "is not a whole number of bytes below 2^62")
      }
      self.init(bytes: Int(bytes))
      return
    }
    if let last = text.last, "kKmMgGtT".contains(last), Self.number(text.dropLast()) != nil {
      let unit = last.uppercased()
      let decimal = unit == "K" ? "kB" : "\(unit)B"
      let digits = text.dropLast()
      throw QuantityError(
        text: text, reason: "is ambiguous: write \(digits)\(unit)iB or \(digits)\(decimal)")
    }
    throw QuantityError(text: text, reason: "is not a size: write digits and a unit, as 16KiB")
  }

  private static func number(_ digits: Substring) -> Double? {
    Quantity.plainNumber(digits)
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

  private static let suffixes: [(String, Double)] = [
    ("ns", 1), ("us", 1e3), ("ms", 1e6), ("ps", 1e-3), ("s", 1e9),
  ]

  /// Reads a duration such as `200ns`, `5us`, `2ms` or `1s`; a bare `0` is no time.
  ///
  /// - Throws: ``QuantityError`` where the unit is missing, the number is malformed or the span
  ///   exceeds 10^6 s.
  public init(parsing text: String) throws(QuantityError) {
    if text == "0" {
      self = .zero
      return
    }
    for (suffix, nanoseconds) in Self.suffixes where text.hasSuffix(suffix) {
      guard let number = Quantity.plainNumber(text.dropLast(suffix.count)) else { break }
      guard number * nanoseconds <= 1e15 else {
        throw QuantityError(text: text, reason: "is longer than 1000000s")
      }
      self = .nanoseconds(number * nanoseconds)
      return
    }
    throw QuantityError(
      text: text, reason: "is not a duration: write digits and ns, us, ms or s, as 200ns")
  }
}

extension TimeSpan: CustomStringConvertible {
  /// The shortest exact spelling, which ``init(parsing:)`` reads back.
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

/// Reads of plain numbers, shared by the quantities.
public enum Quantity {
  /// Reads digits with at most one decimal point and grouping underscores; nil for anything else.
  ///
  /// Signs, exponents, spaces, `inf` and `nan` are refused.
  public static func plainNumber(_ digits: Substring) -> Double? {
    guard let first = digits.first, first.isASCII, first.isNumber || first == "." else {
      return nil
    }
    let plain = digits.filter { $0 != "_" }
    guard plain.allSatisfy({ $0 == "." || ($0.isASCII && $0.isNumber) }) else { return nil }
    return Double(plain)
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
      return above / below
    }
    if parts.count == 1, let number = plainNumber(parts[0]) { return number }
    throw QuantityError(text: text, reason: "is not a ratio: write 0.25, 25% or 1/4")
  }
}
