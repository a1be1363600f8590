// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// Tells code from comments and string literals in Swift and C, so that a rule about code is not
// misled by a text that mentions it. Works on bytes; both results have the layout of the source,
// with blanks for what does not belong. What is written inside an interpolation counts as text of
// the string. Left out: regular-expression literals with a quote in them.

/// A scanner over the bytes of one file.
struct CodeSplitter {
  private let bytes: [UInt8]
  /// Whether block comments nest, as they do in Swift and not in C.
  private let nested: Bool
  private var code: [UInt8]
  private var comments: [UInt8]
  private var at = 0

  private init(_ text: String, nested: Bool) {
    bytes = Array(text.utf8)
    self.nested = nested
    code = bytes.map { $0 == UInt8(ascii: "\n") ? $0 : UInt8(ascii: " ") }
    comments = code
  }

  /// Splits a source into its code and its comments.
  static func split(_ text: String, nested: Bool) -> (code: String, comments: String) {
    var splitter = CodeSplitter(text, nested: nested)
    splitter.run()
    return (
      String(decoding: splitter.code, as: UTF8.self),
      String(decoding: splitter.comments, as: UTF8.self)
    )
  }

  private mutating func run() {
    while at < bytes.count {
      if starts("//") {
        while at < bytes.count, bytes[at] != UInt8(ascii: "\n") { keepComment() }
      } else if starts("/*") {
        blockComment()
      } else if bytes[at] == UInt8(ascii: "\"") {
        string(pounds: 0)
      } else if nested, bytes[at] == UInt8(ascii: "#"), let pounds = poundsBeforeQuote() {
        at += pounds
        string(pounds: pounds)
      } else if !nested, bytes[at] == UInt8(ascii: "'") {
        characterLiteral()
      } else {
        code[at] = bytes[at]
        at += 1
      }
    }
  }

  private mutating func blockComment() {
    var depth = 0
    repeat {
      if starts("/*"), depth == 0 || nested {
        depth += 1
        keepComment()
      } else if starts("*/") {
        depth -= 1
        keepComment()
      }
      keepComment()
    } while depth > 0 && at < bytes.count
  }

  private mutating func string(pounds: Int) {
    let tail = String(repeating: "#", count: pounds)
    let multiline = nested && starts("\"\"\"")
    let quote = multiline ? "\"\"\"" : "\""
    let end = quote + tail
    let escape = "\\" + tail
    at += quote.utf8.count
    while at < bytes.count {
      if starts(end) {
        at += end.utf8.count
        return
      }
      if nested, starts(escape + "(") {
        at += escape.utf8.count
        interpolation()
      } else if starts(escape) {
        at += escape.utf8.count + 1
      } else if !multiline, bytes[at] == UInt8(ascii: "\n") {
        return
      } else {
        at += 1
      }
    }
  }

  private mutating func interpolation() {
    var depth = 0
    repeat {
      switch bytes[at] {
      case UInt8(ascii: "("):
        depth += 1
        at += 1
      case UInt8(ascii: ")"):
        depth -= 1
        at += 1
      case UInt8(ascii: "\""): string(pounds: 0)
      default: at += 1
      }
    } while depth > 0 && at < bytes.count
  }

  private mutating func characterLiteral() {
    at += 1
    while at < bytes.count, bytes[at] != UInt8(ascii: "'"), bytes[at] != UInt8(ascii: "\n") {
      at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1
    }
    at += 1
  }

  private mutating func keepComment() {
    guard at < bytes.count else { return }
    comments[at] = bytes[at]
    at += 1
  }

  private func poundsBeforeQuote() -> Int? {
    let after = bytes[at...].prefix { $0 == UInt8(ascii: "#") }.endIndex
    return after < bytes.count && bytes[after] == UInt8(ascii: "\"") ? after - at : nil
  }

  private func starts(_ text: String) -> Bool {
    bytes[at...].starts(with: text.utf8)
  }
}
