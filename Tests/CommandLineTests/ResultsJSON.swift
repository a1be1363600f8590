// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// A result document as it was read.
struct ResultsJSON {
  let text: String
  let top: [String: Any]

  init(_ text: String) throws {
    self.text = text
    let any = try JSONSerialization.jsonObject(with: Data(text.utf8))
    top = try #require(any as? [String: Any])
  }

  var results: [[String: Any]] { top["results"] as? [[String: Any]] ?? [] }
  var host: [String: Any] { top["host"] as? [String: Any] ?? [:] }
  var hostResults: [[String: Any]] { host["results"] as? [[String: Any]] ?? [] }

  /// The keys of the document in their order.
  var topKeys: [String] { Self.keys(indent: "  ", in: text) }

  /// The keys of the first result in their order.
  var resultKeys: [String] {
    let body = text.components(separatedBy: "\n  \"results\": [").last ?? ""
    let first = body.components(separatedBy: "\n    }").first ?? ""
    return Self.keys(indent: "      ", in: first)
  }

  /// The text without the lines of `host`.
  var withoutHost: String {
    var isInside = false
    return text.split(separator: "\n", omittingEmptySubsequences: false).filter { line in
      if line == "  \"host\": {" { isInside = true }
      defer { if line == "  }," && isInside { isInside = false } }
      return !isInside
    }.joined(separator: "\n")
  }

  private static func keys(indent: String, in text: String) -> [String] {
    text.split(separator: "\n").compactMap { line in
      guard line.hasPrefix(indent + "\"") else { return nil }
      return String(line.dropFirst(indent.count + 1).prefix { $0 != "\"" })
    }
  }

  /// The keys of every result, in order.
  static let keys = [
    "parameters", "scheme", "threads", "modules", "profile", "pattern", "access_bytes",
    "program_write_bytes", "effective_bandwidth_bytes_per_second", "media_write_bytes_per_second",
    "media_read_bytes_per_second", "imc_read_bytes_per_second",
    "equivalent_write_bytes_per_second", "write_amplification_ratio", "read_amplification_ratio",
    "cache_amplification_ratio", "latency_ns", "delay_ns_mean", "cpu_seconds_per_gib",
    "fairness_ratio", "requests_count", "simulated_seconds", "counter_source", "replay",
  ]

  /// Keys whose values are words; all others but `parameters` and `latency_ns` are numbers.
  static let words = ["scheme", "profile", "pattern", "counter_source"]
}

/// Whether a value is a number and no truth value.
func isNumber(_ value: Any?) -> Bool {
  guard let number = value as? NSNumber else { return false }
  return !(value is Bool) || "\(number)" != "true" && "\(number)" != "false"
}

func number(_ value: Any?) -> Double? { (value as? NSNumber)?.doubleValue }
