// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterWorkloads

/// The forms of `arbiter trace cat`: one event a line.
struct EventLines {
  let format: OutputFormat

  /// The line above all others; empty for JSON, where every line is an object.
  var header: String {
    switch format {
    case .text: "     start ns thread operation  region:offset       bytes span ns more\n"
    case .json: ""
    case .csv:
      "start_ns,thread,operation,region,offset_bytes,length_bytes,count,stride_bytes,is_fenced,"
        + "span_ns\n"
    }
  }

  /// An event's line.
  func line(_ event: TraceEvent, thread: UInt32) -> String {
    switch format {
    case .text: Self.text(event, thread)
    case .json: Self.json(event, thread)
    case .csv: Self.csv(event, thread)
    }
  }

  private static func text(_ event: TraceEvent, _ thread: UInt32) -> String {
    var line = right("\(event.startNanoseconds)", 13) + " " + right("\(thread)", 6) + " "
    line += left(event.operation.word, 10) + " "
    let hasPlace = event.operation != .fence
    let place = hasPlace ? "\(event.region):0x\(String(event.offset, radix: 16))" : "-"
    line += left(place, 17) + " " + right(hasPlace ? "\(event.length)" : "-", 7) + " "
    line += right("\(event.spanNanoseconds)", 7)
    if event.count > 1 {
      line += " x\(event.count) every \(event.stride)"
    }
    if event.isFenced { line += " fenced" }
    return line + "\n"
  }

  private static func json(_ event: TraceEvent, _ thread: UInt32) -> String {
    // The words of operations need no quoting.
    """
    {"start_ns": \(event.startNanoseconds), "thread": \(thread), \
    "operation": "\(event.operation.word)", "region": \(event.region), \
    "offset_bytes": \(event.offset), "length_bytes": \(event.length), "count": \(event.count), \
    "stride_bytes": \(event.stride), "is_fenced": \(event.isFenced), \
    "span_ns": \(event.spanNanoseconds)}

    """
  }

  private static func csv(_ event: TraceEvent, _ thread: UInt32) -> String {
    "\(event.startNanoseconds),\(thread),\(event.operation.word),\(event.region),\(event.offset),"
      + "\(event.length),\(event.count),\(event.stride),\(event.isFenced),"
      + "\(event.spanNanoseconds)\n"
  }

  private static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.utf8.count)) + text
  }

  private static func left(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.utf8.count))
  }
}
