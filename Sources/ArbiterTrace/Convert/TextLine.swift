// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Cuts a stream of bytes into lines.
///
/// Holds the beginning of one line between two pieces of the stream, and no line of more than
/// ``lineBytesMax``.
struct LineCutter: Sendable {
  static let lineBytesMax = 4096

  /// Number of the line that comes next, from 1.
  private(set) var lineNumber: UInt64 = 1
  /// Where that line begins.
  private(set) var offset: UInt64 = 0
  private var rest: [UInt8] = []

  /// Bytes after the last newline.
  var restCount: Int { rest.count }

  /// Takes the next piece and hands on each line that it ends, without its newline.
  mutating func add(
    _ bytes: ArraySlice<UInt8>, _ line: (borrowing TextLine) throws -> Void
  ) throws {
    rest += bytes
    var start = 0
    while let end = Self.newline(in: rest, from: start) {
      try line(TextLine(bytes: rest, start: start, end: end, number: lineNumber, offset: offset))
      lineNumber += 1
      offset += UInt64(end + 1 - start)
      start = end + 1
    }
    rest.removeFirst(start)
    guard rest.count <= Self.lineBytesMax else {
      throw TraceError(
        .syntax, offset: offset,
        reason: "line \(lineNumber) is longer than \(Self.lineBytesMax) bytes",
        nextStep: "check that the file is a text of accesses")
    }
  }

  private static func newline(in bytes: [UInt8], from start: Int) -> Int? {
    var index = start
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "\n") { return index }
      index += 1
    }
    return nil
  }
}

/// A line and the numbers in it.
struct TextLine {
  let bytes: [UInt8]
  private(set) var start: Int
  let end: Int
  let number: UInt64
  let offset: UInt64

  init(bytes: [UInt8], start: Int, end: Int, number: UInt64, offset: UInt64) {
    self.bytes = bytes
    self.start = start
    self.end = end
    self.number = number
    self.offset = offset
  }

  /// The next byte, or nil at the end.
  var first: UInt8? { start < end ? bytes[start] : nil }

  /// The rest of the line as text, for errors: at most 40 characters, all printable.
  var shown: String {
    let scalars = bytes[start..<end].prefix(40).map { byte -> Unicode.Scalar in
      (0x20..<0x7F).contains(byte) ? Unicode.Scalar(byte) : "?"
    }
    return String(String.UnicodeScalarView(scalars)) + (end - start > 40 ? "..." : "")
  }

  /// Whether the rest begins with a text.
  func begins(with text: StaticString) -> Bool {
    // SAFETY: a static string's bytes live for ever, and there are utf8CodeUnitCount of them.
    let wanted = unsafe UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    guard end - start >= wanted.count else { return false }
    return unsafe wanted.elementsEqual(bytes[start..<start + wanted.count])
  }

  /// Skips bytes; returns whether there was one at least.
  @discardableResult
  mutating func skip(_ byte: Character) -> Bool {
    let before = start
    while start < end, bytes[start] == byte.asciiValue { start += 1 }
    return start > before
  }

  /// Skips one byte.
  mutating func skipFirst() { start = min(start + 1, end) }

  /// Takes a hexadecimal number; nil where there is none or it has more than 64 bits.
  mutating func takeHexadecimal() -> UInt64? {
    var value: UInt64 = 0
    let before = start
    while start < end, let digit = Self.digit(bytes[start]) {
      guard value >> 60 == 0 else { return nil }
      value = value << 4 | digit
      start += 1
    }
    return start > before ? value : nil
  }

  /// Takes a decimal number; nil where there is none or it has more than 64 bits.
  mutating func takeDecimal() -> UInt64? {
    var value: UInt64 = 0
    let before = start
    while start < end, let digit = Self.digit(bytes[start]), digit < 10 {
      let (tens, overflows) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflowsToo) = tens.addingReportingOverflow(digit)
      guard !overflows, !overflowsToo else { return nil }
      value = sum
      start += 1
    }
    return start > before ? value : nil
  }

  private static func digit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }

  /// An error about this line.
  func error(_ reason: String, _ nextStep: String) -> TraceError {
    TraceError(.syntax, offset: offset, reason: "line \(number) \(reason)", nextStep: nextStep)
  }
}
