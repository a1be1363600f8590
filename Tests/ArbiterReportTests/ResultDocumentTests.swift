// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterReport
import Foundation
import Testing

private func parsed(_ document: ResultDocument) throws -> [String: Any] {
  let object = try JSONSerialization.jsonObject(with: Data(document.json.document().utf8))
  return try #require(object as? [String: Any])
}

private func results(_ document: ResultDocument) throws -> [[String: Any]] {
  try #require(try parsed(document)["results"] as? [[String: Any]])
}

@Suite("JSON values")
struct JSONValueTests {
  @Test(arguments: [
    (0.1, "0.1"), (1, "1"), (-3, "-3"), (2.28e9, "2280000000"),
    (9_007_199_254_740_992, "9007199254740992"),
    (1e300, "1e+300"), (1.0 / 3, "0.3333333333333333"), (.nan, "null"), (-.infinity, "null"),
  ])
  func `a number is written as short as it can be and reads back`(number: Double, text: String) {
    #expect(JSONValue.number(number).line == text)
    if number.isFinite { #expect(Double(text) == number) }
  }

  @Test func `any text survives`() throws {
    let text = "a\"b\\c\n\r\t\u{1}\u{1F}/é😀\u{2028}"
    let bytes = Data(JSONValue.array([.string(text)]).line.utf8)
    #expect(try JSONSerialization.jsonObject(with: bytes) as? [String] == [text])
  }

  @Test func `objects keep their order and empty ones stay on a line`() {
    let value = JSONValue.object([
      .init("z", .object([])), .init("a", .array([.integer(1), .null])), .init("m", .bool(true)),
    ])
    #expect(value.document() == "{\n  \"z\": {},\n  \"a\": [1, null],\n  \"m\": true\n}\n")
    #expect(value.line == #"{"z": {}, "a": [1, null], "m": true}"#)
  }
}

@Suite("Result document")
struct ResultDocumentTests {
  @Test func `every figure reads back with its value`() throws {
    let result = try #require(try results(document([fullResult()])).first)
    #expect(result["scheme"] as? String == "baseline")
    #expect(result["access_bytes"] as? Int == 256)
    #expect(result["program_write_bytes"] as? Int == 100_000_000)
    #expect(result["effective_bandwidth_bytes_per_second"] as? Double == 1.54e9)
    #expect(result["media_write_bytes_per_second"] as? Double == 2.2333e9)
    #expect(result["imc_read_bytes_per_second"] as? Double == 0)
    #expect(result["write_amplification_ratio"] as? Double == 1.45)
    #expect(result["read_amplification_ratio"] is NSNull)
    let latency = try #require(result["latency_ns"] as? [String: Double])
    #expect(latency == ["p50": 2559, "p99": 4095, "p999": 5119, "max": 6203])
    #expect(result["simulated_seconds"] as? Double == 0.05)
    #expect(result["counter_source"] as? String == "model")
    let parameters = try #require(result["parameters"] as? [String: Any])
    #expect(parameters["delay"] as? String == "200ns")
  }

  @Test func `unavailable figures are null and the shape is the same`() throws {
    let rows = try results(document([fullResult(), emptyResult()]))
    #expect(Set(rows[0].keys) == Set(rows[1].keys))
    for key in [
      "profile", "access_bytes", "media_write_bytes_per_second", "write_amplification_ratio",
      "cpu_seconds_per_gib", "fairness_ratio", "simulated_seconds",
    ] { #expect(rows[1][key] is NSNull, "\(key)") }
    let latency = try #require(rows[1]["latency_ns"] as? [String: Any])
    #expect(latency.count == 4)
    #expect(latency.values.allSatisfy { $0 is NSNull })
  }

  @Test func `the top level is the same for no, one and many results`() throws {
    for count in [0, 1, 3] {
      let whole = try parsed(document(Array(repeating: fullResult(), count: count)))
      #expect(
        Set(whole.keys) == ["schema", "tool", "command", "seed", "host", "results"])
      #expect(whole["schema"] as? String == "arbiter-results/1")
      #expect(whole["seed"] as? UInt64 == .max)
      #expect((whole["results"] as? [Any])?.count == count)
      let host = try #require(whole["host"] as? [String: Any])
      #expect((host["results"] as? [Any])?.count == count)
    }
  }

  @Test func `wall times change the host part alone`() throws {
    var slower = fullResult()
    slower.wallSeconds = 1
    let first = try parsed(document([fullResult()]))
    let second = try parsed(document([slower]))
    let host = try #require(first["host"] as? [String: Any])
    let rows = try #require(host["results"] as? [[String: Double]])
    #expect(rows == [["wall_seconds": 0.125, "requests_per_wall_second": 12_500_000]])
    for key in first.keys where key != "host" {
      #expect((first[key] as? NSObject) == (second[key] as? NSObject), "\(key)")
    }
    #expect((first["host"] as? NSObject) != (second["host"] as? NSObject))
  }

  @Test func `equal results have equal bytes`() {
    #expect(document([fullResult()]).json.document() == document([fullResult()]).json.document())
    #expect(document([fullResult()]).csv == document([fullResult()]).csv)
  }

  @Test func `the table fits a terminal of 80 columns`() {
    var result = fullResult(scheme: "arbiter-paper", threads: 26)
    result.pattern = "random"
    let text = document([fullResult(), result]).table.text()
    for line in text.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
    #expect(text.contains("arbiter-paper") && text.contains("5.58"))
    #expect(!text.contains("\n\n"), "one part, not several:\n\(text)")
  }

  @Test func `a field has one name and one sentence`() {
    let names = ResultField.all.map(\.flatName)
    #expect(Set(names).count == names.count)
    for field in ResultField.all { #expect(field.meaning.hasSuffix(".")) }
  }
}

@Suite("CSV")
struct CSVTests {
  /// Reads CSV as RFC 4180 describes it, so that the writer is not its own judge.
  private func read(_ text: String) -> [[String]] {
    var rows: [[String]] = []
    var row: [String] = []
    var field = ""
    var isQuoted = false
    var rest = Array(text.unicodeScalars)[...]
    while let scalar = rest.popFirst() {
      if isQuoted {
        if scalar != "\"" {
          field.unicodeScalars.append(scalar)
        } else if rest.first == "\"" {
          rest.removeFirst()
          field += "\""
        } else {
          isQuoted = false
        }
      } else if scalar == "\"" {
        isQuoted = true
      } else if scalar == "," || scalar == "\n" {
        row.append(field)
        field = ""
        if scalar == "\n" {
          rows.append(row)
          row = []
        }
      } else if scalar != "\r" {
        field.unicodeScalars.append(scalar)
      }
    }
    return rows
  }

  @Test func `fields with commas, quotes and line ends read back`() {
    let fields = ["plain", "a,b", "say \"x\"", "two\nlines", "cr\r", "", " spaced ", "\"\u{301}"]
    let text = CSV.row(fields)
    #expect(text.hasSuffix("\r\n"))
    #expect(text.hasPrefix("plain,\"a,b\",\"say \"\"x\"\"\",\"two\nlines\","))
    #expect(read(text).first == fields)
  }

  @Test func `every row has a field for each column`() throws {
    var other = fullResult()
    other.parameters = [.init("modules", .integer(6))]
    let rows = read(document([fullResult(), other, emptyResult()]).csv)
    #expect(rows.count == 4)
    #expect(Set(rows.map(\.count)) == [ResultField.all.count + 3])
    #expect(
      Array(rows[0].suffix(3)) == ["parameter_threads", "parameter_delay", "parameter_modules"])
    #expect(Array(rows[1].suffix(3)) == ["8", "200ns", ""])
    #expect(Array(rows[2].suffix(3)) == ["", "", "6"])
    let column = try #require(rows[0].firstIndex(of: "latency_ns_p999"))
    #expect(rows[1][column] == "5119")
    #expect(rows[3][column] == "")
    let pattern = try #require(rows[0].firstIndex(of: "pattern"))
    #expect(rows[3][pattern] == "a, \"b\"\nc")
  }

  @Test func `no results give the header alone`() {
    #expect(read(document([]).csv).count == 1)
  }
}
