// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A moment of universal time, to the second, for documents that are read again.
///
/// Written as `2026-11-21T20:32:04Z`, the one form of ISO 8601 that is also read.
public struct UniversalTime: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// Seconds since the beginning of 1970, without leap seconds.
  public let secondsSinceEpoch: Int64

  /// The years that can be written with four digits, as seconds.
  private static let range: ClosedRange<Int64> = 0...253_402_300_799

  /// Makes a moment; one before 1970 or after 9999 becomes the nearest within.
  public init(secondsSinceEpoch: Int64) {
    self.secondsSinceEpoch = min(max(secondsSinceEpoch, 0), Self.range.upperBound)
  }

  /// Reads the one form; nil for anything else, a day that no month has included.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard bytes.count == 20 else { return nil }
    for (place, mark) in [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"), (19, "Z")]
    where bytes[place] != mark.utf8.first { return nil }
    func number(_ digits: Range<Int>) -> Int64? {
      var value: Int64 = 0
      for byte in bytes[digits] {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
        value = value * 10 + Int64(byte - UInt8(ascii: "0"))
      }
      return value
    }
    guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
      let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
      year >= 1970, (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60,
      second < 60
    else { return nil }
    let days = Self.days(year: year, month: month, day: day)
    self.init(secondsSinceEpoch: days * 86_400 + hour * 3600 + minute * 60 + second)
    guard description == text else { return nil }
  }

  /// The day, as 2026-11-21.
  public var day: String { String(description.prefix(10)) }

  /// The moment in the one form.
  public var description: String {
    let (days, seconds) = secondsSinceEpoch.quotientAndRemainder(dividingBy: 86_400)
    let (year, month, day) = Self.date(days: days)
    func padded(_ number: Int64, _ digits: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T"
      + "\(padded(seconds / 3600, 2)):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))Z"
  }

  /// Orders moments by time.
  public static func < (first: UniversalTime, second: UniversalTime) -> Bool {
    first.secondsSinceEpoch < second.secondsSinceEpoch
  }

  // Years are counted from March, so that a leap day comes last: then day 306 of a year is the
  // first of January, and the days before a month are (153 * month + 2) / 5.

  private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let marchYear = month > 2 ? year : year - 1
    let marchMonth = (month + 9) % 12
    let inYear = (153 * marchMonth + 2) / 5 + day - 1
    // 719,468 days lie between the first of March of the year 0 and the beginning of 1970.
    return marchYear * 365 + marchYear / 4 - marchYear / 100 + marchYear / 400 + inYear - 719_468
  }

  private static func date(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let count = days + 719_468
    let (era, inEra) = count.quotientAndRemainder(dividingBy: 146_097)
    let yearOfEra = (inEra - inEra / 1460 + inEra / 36_524 - inEra / 146_096) / 365
    let inYear = inEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * inYear + 2) / 153
    let day = inYear - (153 * marchMonth + 2) / 5 + 1
    let month = (marchMonth + 2) % 12 + 1
    return (era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, day)
  }
}
