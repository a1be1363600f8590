// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterReport

extension MetricForm {
  /// The form that a client prefers among those that it accepts.
  ///
  /// OpenMetrics is for whoever names it in version 1.0.0 (or 0.0.1, as the servers of its time
  /// did); everybody else gets the older form, which a browser shows and every collector reads.
  ///
  /// - Parameter accept: The header `Accept`; nil where there is none.
  /// - Returns: The form.
  package static func negotiated(_ accept: String?) -> MetricForm {
    var qualityOfOpenMetrics = 0.0
    var qualityOfText = 0.0
    for range in (accept ?? "").split(separator: ",").prefix(32) {
      let parts = range.split(separator: ";").map { $0.trimmed.lowercased() }
      guard let type = parts.first else { continue }
      var quality = 1.0
      var version: String?
      for part in parts.dropFirst() {
        if part.hasPrefix("q=") { quality = Double(part.dropFirst(2)) ?? 0 }
        if part.hasPrefix("version=") {
          version = String(part.dropFirst(8)).filter { $0 != "\"" }
        }
      }
      switch type {
      case "application/openmetrics-text":
        guard version.map({ ["1.0.0", "0.0.1"].contains($0) }) ?? true else { continue }
        qualityOfOpenMetrics = max(qualityOfOpenMetrics, quality)
      case "text/plain", "text/*", "*/*": qualityOfText = max(qualityOfText, quality)
      default: continue
      }
    }
    return qualityOfOpenMetrics > 0 && qualityOfOpenMetrics >= qualityOfText ? .openMetrics : .text
  }
}

extension Substring {
  fileprivate var trimmed: String {
    let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
    let start = drop(while: isBlank)
    return String(start.reversed().drop(while: isBlank).reversed())
  }
}
