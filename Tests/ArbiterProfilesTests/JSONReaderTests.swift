// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterProfiles
import Testing

private func refusal(_ text: String) -> JSONReadError? {
  do {
    _ = try JSONReader.read(Array(text.utf8))
    return nil
  } catch {
    return error
  }
}

@Suite("JSON reader")
struct JSONReaderTests {
  @Test(arguments: [
    ("", 1, "a value should stand here, not the end of the text"),
    ("{\n\"a\": 1,\n}", 3, "a key in double quotes should stand here, not '}'"),
    ("{\"a\": 1\n\"b\": 2}", 2, "a ',' or '}' should follow the value of 'a', not '\"'"),
    ("{\"a\" 1}", 1, "a ':' should follow the key 'a', not '1'"),
    ("{\"a\": 1, \"a\": 2}", 1, "the key 'a' occurs twice"),
    ("[1 2]", 1, "a ',' or ']' should follow an element, not '2'"),
    ("[1,]", 1, "a value should stand here, not ']'"),
    ("[01]", 1, "'01' is not a number of JSON"),
    ("[1.]", 1, "'1.' is not a number of JSON"),
    ("[-]", 1, "'-' is not a number of JSON"),
    ("[1e999]", 1, "'1e999' is not a number of JSON"),
    ("[nil]", 1, "a value should stand here: text needs double quotes"),
    ("\"a\nb\"", 1, "a string may not run over the end of a line; is a '\"' missing"),
    ("\"abc", 1, "a string has no end"),
    ("\"\\x\"", 1, "a string holds an escape that JSON does not have"),
    ("\"\\ud800\"", 1, "half a \\u pair"),
    ("\"\\u12\"", 1, "\\u needs four hexadecimal digits"),
    ("1 2", 1, "there is text after the document"),
    ("// note\n1", 1, "a value should stand here, not '/'"),
  ])
  func `text that is not JSON is refused with its line`(
    text: String, line: Int, reason: String
  ) throws {
    let error = try #require(refusal(text))
    #expect(error.line == line)
    #expect(error.reason == reason)
  }

  @Test func `every prefix of a document is refused and none traps`() {
    let text = #"{"a": [1.5e3, -2, true, null, "x\u00e9\ud83d\ude00\n"], "b": {"c": false}}"#
    #expect(refusal(text) == nil)
    let bytes = Array(text.utf8)
    for count in bytes.indices {
      #expect(throws: JSONReadError.self) { try JSONReader.read(Array(bytes[..<count])) }
    }
  }

  @Test func `strings, numbers and lines come out as written`() throws {
    let node = try JSONReader.read(Array("{\"k\":\n \"\\u0041\\ud83d\\ude00\\t/\"}".utf8))
    guard case .object(let members) = node.value, case .string(let text) = members[0].node.value
    else {
      Issue.record("not an object with a string")
      return
    }
    #expect(text == "A😀\t/")
    #expect(members[0].line == 1)
    #expect(members[0].node.line == 2)
    guard case .number(let number) = try JSONReader.read(Array("-1.25e-2".utf8)).value else {
      Issue.record("not a number")
      return
    }
    #expect(number == -0.0125)
  }

  @Test func `depth, length and encoding are bounded`() {
    let deep = String(repeating: "[", count: 5000)
    #expect(refusal(deep)?.reason == "values are nested deeper than 32")
    let long = String(repeating: " ", count: JSONReader.bytesMax + 1)
    #expect(refusal(long)?.reason == "the text is longer than 1048576 bytes")
    #expect {
      try JSONReader.read([0x22, 0xFF, 0x22])
    } throws: {
      ($0 as? JSONReadError)?.reason == "the text is not UTF-8"
    }
  }
}
