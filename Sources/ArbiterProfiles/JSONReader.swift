// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// A strict reader of JSON (RFC 8259) for files that people write by hand.
//
// It is not Foundation's, for three reasons: every value keeps the line it stands on, so that an
// error can point there; keys keep their order; a key that occurs twice is an error instead of a
// silent loss. Input is bounded in size and depth, so that the recursion is bounded too.

/// A JSON value and the line on which it starts.
package struct JSONNode: Sendable {
  /// A member of an object.
  package struct Member: Sendable {
    /// The key.
    package let key: String
    /// The line of the key, from 1.
    package let line: Int
    /// What belongs to the key.
    package let node: JSONNode
  }

  /// The forms of a value.
  package enum Value: Sendable {
    case object([Member])
    case array([JSONNode])
    case string(String)
    case number(Double)
    case bool(Bool)
    case null
  }

  /// The line on which the value starts, from 1.
  package let line: Int
  /// The value.
  package let value: Value

  /// The form of the value as a word for messages.
  package var kind: String {
    switch value {
    case .object: "an object"
    case .array: "an array"
    case .string: "a string"
    case .number: "a number"
    case .bool: "true or false"
    case .null: "null"
    }
  }
}

/// Text that is not JSON.
package struct JSONReadError: Error, Equatable {
  /// The line, from 1.
  package let line: Int
  /// What is wrong, without a final full stop.
  package let reason: String
}

/// Reads one JSON document.
package struct JSONReader {
  /// Bytes that a document may have.
  package static let bytesMax = 1 << 20
  /// How deep values may be nested.
  package static let depthMax = 32

  private let bytes: [UInt8]
  private var place = 0
  private var line = 1

  private init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// Reads a document that fills the given bytes.
  package static func read(_ bytes: [UInt8]) throws(JSONReadError) -> JSONNode {
    guard bytes.count <= bytesMax else {
      throw JSONReadError(line: 1, reason: "the text is longer than \(bytesMax) bytes")
    }
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw JSONReadError(line: 1, reason: "the text is not UTF-8")
    }
    var reader = JSONReader(bytes)
    let node = try reader.value(depth: 0)
    reader.skipSpace()
    guard reader.peek == nil else { throw reader.failure("there is text after the document") }
    return node
  }

  private var peek: UInt8? { place < bytes.count ? bytes[place] : nil }

  private func failure(_ reason: String) -> JSONReadError {
    JSONReadError(line: line, reason: reason)
  }

  /// The next character as messages show it.
  private var found: String {
    guard let byte = peek else { return "the end of the text" }
    return byte < 0x80 && byte > 0x20
      ? "'\(Character(UnicodeScalar(byte)))'" : "a strange character"
  }

  private mutating func skipSpace() {
    while let byte = peek {
      switch byte {
      case UInt8(ascii: "\n"): line += 1
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): break
      default: return
      }
      place += 1
    }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard peek == UInt8(ascii: character) else { return false }
    place += 1
    return true
  }

  private mutating func value(depth: Int) throws(JSONReadError) -> JSONNode {
    guard depth < Self.depthMax else {
      throw failure("values are nested deeper than \(Self.depthMax)")
    }
    skipSpace()
    let start = line
    switch peek {
    case UInt8(ascii: "{"):
      return JSONNode(line: start, value: .object(try members(depth: depth)))
    case UInt8(ascii: "["):
      return JSONNode(line: start, value: .array(try elements(depth: depth)))
    case UInt8(ascii: "\""):
      return JSONNode(line: start, value: .string(try string()))
    case .some(UInt8(ascii: "-")), .some(UInt8(ascii: "0")...UInt8(ascii: "9")):
      return JSONNode(line: start, value: .number(try number()))
    case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"):
      return JSONNode(line: start, value: try word())
    default:
      throw failure("a value should stand here, not \(found)")
    }
  }

  private mutating func members(depth: Int) throws(JSONReadError) -> [JSONNode.Member] {
    place += 1
    var members: [JSONNode.Member] = []
    var seen: Set<String> = []
    skipSpace()
    if take("}") { return members }
    while true {
      skipSpace()
      guard peek == UInt8(ascii: "\"") else {
        throw failure("a key in double quotes should stand here, not \(found)")
      }
      let keyLine = line
      let key = try string()
      guard seen.insert(key).inserted else { throw failure("the key '\(key)' occurs twice") }
      skipSpace()
      guard take(":") else { throw failure("a ':' should follow the key '\(key)', not \(found)") }
      let node = try value(depth: depth + 1)
      members.append(JSONNode.Member(key: key, line: keyLine, node: node))
      skipSpace()
      if take("}") { return members }
      guard take(",") else {
        throw failure("a ',' or '}' should follow the value of '\(key)', not \(found)")
      }
    }
  }

  private mutating func elements(depth: Int) throws(JSONReadError) -> [JSONNode] {
    place += 1
    var elements: [JSONNode] = []
    skipSpace()
    if take("]") { return elements }
    while true {
      elements.append(try value(depth: depth + 1))
      skipSpace()
      if take("]") { return elements }
      guard take(",") else {
        throw failure("a ',' or ']' should follow an element, not \(found)")
      }
    }
  }

  private mutating func word() throws(JSONReadError) -> JSONNode.Value {
    let words: [(String, JSONNode.Value)] = [
      ("true", .bool(true)), ("false", .bool(false)), ("null", .null),
    ]
    for (word, value) in words where bytes[place...].starts(with: word.utf8) {
      place += word.utf8.count
      return value
    }
    throw failure("a value should stand here: text needs double quotes")
  }

  private mutating func digits() -> Int {
    let start = place
    while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { place += 1 }
    return place - start
  }

  private mutating func number() throws(JSONReadError) -> Double {
    let start = place
    _ = take("-")
    let isZeroFirst = peek == UInt8(ascii: "0")
    let whole = digits()
    var isNumber = whole > 0 && !(isZeroFirst && whole > 1)
    if take(".") { isNumber = digits() > 0 && isNumber }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      isNumber = digits() > 0 && isNumber
    }
    let text = String(decoding: bytes[start..<place], as: UTF8.self)
    guard isNumber, let number = Double(text), number.isFinite else {
      throw failure("'\(text)' is not a number of JSON")
    }
    return number
  }

  private mutating func string() throws(JSONReadError) -> String {
    place += 1
    var units: [UInt8] = []
    while let byte = peek {
      place += 1
      switch byte {
      case UInt8(ascii: "\""):
        return String(decoding: units, as: UTF8.self)
      case UInt8(ascii: "\\"):
        units += try escape()
      case 0..<0x20:
        throw failure("a string may not run over the end of a line; is a '\"' missing")
      default:
        units.append(byte)
      }
    }
    throw failure("a string has no end")
  }

  private mutating func escape() throws(JSONReadError) -> [UInt8] {
    guard let byte = peek else { throw failure("a string has no end") }
    place += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"):
      var code = try codeUnit()
      if (0xD800..<0xDC00).contains(code), take("\\"), take("u") {
        let low = try codeUnit()
        guard (0xDC00..<0xE000).contains(low) else { throw failure("half a \\u pair") }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = UnicodeScalar(code) else { throw failure("half a \\u pair") }
      return Array(String(Character(scalar)).utf8)
    default:
      throw failure("a string holds an escape that JSON does not have")
    }
  }

  private mutating func codeUnit() throws(JSONReadError) -> UInt32 {
    let text = String(decoding: bytes[place..<min(place + 4, bytes.count)], as: UTF8.self)
    guard text.utf8.count == 4, text.allSatisfy(\.isHexDigit), let code = UInt32(text, radix: 16)
    else { throw failure("\\u needs four hexadecimal digits") }
    place += 4
    return code
  }
}
