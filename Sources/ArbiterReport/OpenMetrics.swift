// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// Metrics as text, in the two forms that Prometheus reads:
//
//   OpenMetrics 1.0.0     what a server that asks for it gets over HTTP
//   Prometheus 0.0.4      everything else: browsers, and files for node_exporter's textfile
//                         collector, which reads no OpenMetrics
//
// They differ in what a family is called. OpenMetrics declares a counter without the ending that
// its samples bear (`x_bytes`, samples `x_bytes_total`), knows information as a kind of its own,
// names units, and ends with `# EOF`. The older form declares what its samples are called, takes
// information for a gauge that is 1, and has neither units nor an end.
//
// M1  A family's lines stand together: its description first, then its samples.
// M2  No value is NaN or infinite: what is missing is left out (``MetricValue/init(_:)-(Double)``).
// M3  A family without a sample is not written.

/// What the samples of a family are.
public enum MetricKind: String, Sendable, Hashable {
  /// A count that only grows, but for a restart; its samples end in `_total`.
  case counter
  /// A figure that goes up and down.
  case gauge
  /// A fact in labels; its samples end in `_info` and are 1.
  case info

  /// What the names of samples end in.
  var ending: String {
    switch self {
    case .counter: "_total"
    case .gauge: ""
    case .info: "_info"
    }
  }
}

/// The value of a sample: finite.
public struct MetricValue: Sendable, Hashable {
  /// The value as text, exact for whole numbers.
  let text: String

  /// Makes a value; nil of NaN and infinities.
  public init?(_ number: Double) {
    guard number.isFinite else { return nil }
    // Below 2^53 whole numbers are exact, and read better without a point.
    let isWhole = number.magnitude < 0x1p53 && number == number.rounded(.towardZero)
    text = isWhole ? String(Int64(number)) : number.description
  }

  /// Makes a value of a whole number, exactly.
  public init(_ number: UInt64) {
    text = String(number)
  }
}

/// A label of a sample.
public struct MetricLabel: Sendable, Hashable {
  /// Its name: letters, digits and underscores.
  public let name: String
  /// Its value: any text.
  public let value: String

  /// Makes a label.
  public init(_ name: String, _ value: String) {
    precondition(MetricFamily.isName(name), "label name '\(name)'")
    self.name = name
    self.value = value
  }
}

/// Samples of one name, with what they mean.
public struct MetricFamily: Sendable, Hashable {
  /// One figure with its labels.
  public struct Sample: Sendable, Hashable {
    /// What tells it from the family's other samples.
    public let labels: [MetricLabel]
    /// The figure.
    public let value: MetricValue
  }

  /// The name without the ending of its kind: `arbiter_device_imc_write_bytes`.
  public let name: String
  /// What the samples are.
  public let kind: MetricKind
  /// The base unit, with which the name ends; nil for plain numbers and for information.
  public let unit: String?
  /// What it means, as one sentence.
  public let help: String
  /// The figures, no two with the same labels.
  public private(set) var samples: [Sample] = []

  /// Makes a family without samples.
  ///
  /// - Precondition: The name is one of letters, digits and underscores that ends with the unit
  ///   and not with the ending of its kind.
  public init(_ name: String, _ kind: MetricKind, unit: String? = nil, help: String) {
    precondition(Self.isName(name), "metric name '\(name)'")
    precondition(unit.map { name.hasSuffix("_\($0)") } ?? true, "'\(name)' lacks its unit")
    precondition(kind != .info || unit == nil, "information '\(name)' has a unit")
    precondition(
      !name.hasSuffix("_total") && !name.hasSuffix("_info"), "'\(name)' has the ending of a sample")
    self.name = name
    self.kind = kind
    self.unit = unit
    self.help = help
  }

  /// Adds a sample.
  public mutating func add(_ value: MetricValue, _ labels: [MetricLabel] = []) {
    samples.append(Sample(labels: labels, value: value))
  }

  /// The name that samples bear.
  public var sampleName: String { name + kind.ending }

  static func isName(_ text: String) -> Bool {
    guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
    else { return false }
    return text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "_"):
        true
      default: false
      }
    }
  }
}

/// A form of metrics as text.
public enum MetricForm: String, Sendable, Hashable, CaseIterable {
  /// OpenMetrics 1.0.0.
  case openMetrics = "openmetrics"
  /// The text form of Prometheus, version 0.0.4.
  case text

  /// The media type by which HTTP names it.
  public var contentType: String {
    switch self {
    case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
    case .text: "text/plain; version=0.0.4; charset=utf-8"
    }
  }

  /// What the last line is: a reader of OpenMetrics takes text without it for cut off.
  public var end: String { self == .openMetrics ? "# EOF\n" : "" }

  /// The families as text, without the end.
  ///
  /// - Complexity: O(*n*) in bytes of text.
  public func lines(of families: [MetricFamily]) -> String {
    var text = ""
    for family in families where !family.samples.isEmpty {
      describe(family, in: &text)
      for sample in family.samples {
        text += family.sampleName
        write(sample.labels, to: &text)
        text += " \(sample.value.text)\n"
      }
    }
    return text
  }

  private func describe(_ family: MetricFamily, in text: inout String) {
    let name = self == .openMetrics ? family.name : family.sampleName
    let kind = self == .text && family.kind == .info ? MetricKind.gauge : family.kind
    text += "# HELP \(name) \(escaped(family.help, quotes: self == .openMetrics))\n"
    text += "# TYPE \(name) \(kind.rawValue)\n"
    if self == .openMetrics, let unit = family.unit { text += "# UNIT \(name) \(unit)\n" }
  }

  private func write(_ labels: [MetricLabel], to text: inout String) {
    guard !labels.isEmpty else { return }
    text += "{"
    for (index, label) in labels.enumerated() {
      text += index == 0 ? "" : ","
      text += "\(label.name)=\"\(escaped(label.value, quotes: true))\""
    }
    text += "}"
  }

  /// Escapes as both forms do; other control characters, which mean nothing, become `?`.
  private func escaped(_ text: String, quotes: Bool) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": escaped += "\\\\"
      case "\n": escaped += "\\n"
      case "\"" where quotes: escaped += "\\\""
      default:
        let isControl = scalar.properties.generalCategory == .control
        escaped.unicodeScalars.append(isControl ? "?" : scalar)
      }
    }
    return escaped
  }
}
