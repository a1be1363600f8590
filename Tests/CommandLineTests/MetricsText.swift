// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterReport

/// Metrics as their readers take them, stricter than any of them: whatever is not exactly as the
/// form's text says is an error that quotes the line.
struct MetricsText {
  struct Sample {
    var name: String
    var labels: [String: String]
    var value: Double
  }

  struct Family {
    var name: String
    var kind: String?
    var help: String?
    var unit: String?
    var samples: [Sample] = []
  }

  struct Malformed: Error, CustomStringConvertible {
    var description: String
  }

  private(set) var families: [Family] = []

  /// Every sample of a name; nothing where there is none.
  func samples(_ name: String) -> [Sample] {
    families.flatMap(\.samples).filter { $0.name == name }
  }

  /// The value of the only sample with these labels among others.
  func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
    let found = samples(name).filter { sample in
      labels.allSatisfy { sample.labels[$0.key] == $0.value }
    }
    return found.count == 1 ? found.first?.value : nil
  }

  init(_ text: String, _ form: MetricForm) throws {
    var text = text
    if form == .openMetrics {
      guard text.hasSuffix("\n# EOF\n") else { throw Malformed(description: "no end") }
      text.removeLast("# EOF\n".count)
    }
    guard text.hasSuffix("\n") else { throw Malformed(description: "no newline at the end") }
    for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("# ") {
        try describe(line, form)
      } else {
        try take(Sample(line), line, form)
      }
    }
    for family in families { try Self.check(family, form) }
  }

  private mutating func describe(_ line: Substring, _ form: MetricForm) throws {
    let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
    guard words.count == 4, !words[3].isEmpty else { throw Malformed(description: "\(line)") }
    let (name, text) = (String(words[2]), String(words[3]))
    if families.last?.name != name {
      guard !families.contains(where: { $0.name == name }) else {
        throw Malformed(description: "the family is in two places: \(line)")
      }
      families.append(Family(name: name))
    }
    let index = families.count - 1
    guard families[index].samples.isEmpty else { throw Malformed(description: "late: \(line)") }
    let part: WritableKeyPath<Family, String?>
    switch words[1] {
    case "HELP": part = \.help
    case "TYPE": part = \.kind
    case "UNIT" where form == .openMetrics: part = \.unit
    default: throw Malformed(description: "\(line)")
    }
    guard families[index][keyPath: part] == nil else {
      throw Malformed(description: "twice: \(line)")
    }
    families[index][keyPath: part] = text
  }

  private mutating func take(_ sample: Sample, _ line: Substring, _ form: MetricForm) throws {
    guard var family = families.popLast() else { throw Malformed(description: "\(line)") }
    defer { families.append(family) }
    let ending =
      form == .text ? "" : ["counter": "_total", "info": "_info", "gauge": ""][family.kind ?? "-"]
    guard let ending, sample.name == family.name + ending else {
      throw Malformed(description: "not of \(family.name): \(line)")
    }
    guard sample.value.isFinite else { throw Malformed(description: "no number: \(line)") }
    guard !family.samples.contains(where: { $0.labels == sample.labels }) else {
      throw Malformed(description: "twice: \(line)")
    }
    family.samples.append(sample)
  }

  private static func check(_ family: Family, _ form: MetricForm) throws {
    func require(_ holds: Bool, _ what: String) throws {
      if !holds { throw Malformed(description: "\(family.name): \(what)") }
    }
    try require(family.help?.hasSuffix(".") == true, "no sentence of help")
    try require(!family.samples.isEmpty, "no sample")
    let isCounter = family.kind == "counter"
    if form == .text {
      try require(["counter", "gauge"].contains(family.kind), "kind \(family.kind ?? "-")")
      try require(isCounter == family.name.hasSuffix("_total"), "a counter's name")
    } else {
      try require(["counter", "gauge", "info"].contains(family.kind), "kind \(family.kind ?? "-")")
      let last = family.name.split(separator: "_").last.map(String.init) ?? ""
      let unit = ["bytes", "seconds", "ratio"].contains(last) ? last : nil
      try require(family.unit == unit, "unit \(family.unit ?? "-")")
    }
    if isCounter {
      try require(family.samples.allSatisfy { $0.value >= 0 }, "a count below 0")
    }
    if family.name.hasSuffix("_info") || family.kind == "info" {
      try require(family.samples.allSatisfy { $0.value == 1 }, "a fact that is not 1")
    }
  }
}

extension MetricsText.Sample {
  init(_ line: Substring) throws {
    func malformed() -> MetricsText.Malformed { .init(description: "\(line)") }
    let isNamePart: (Character) -> Bool = {
      $0.isASCII && ($0.isLetter || $0.isNumber) || $0 == "_"
    }
    name = String(line.prefix(while: isNamePart))
    var rest = line.dropFirst(name.count)
    guard let first = name.first, !first.isNumber else { throw malformed() }
    labels = [:]
    if rest.first == "{" {
      repeat {
        rest = rest.dropFirst()
        let label = String(rest.prefix(while: isNamePart))
        rest = rest.dropFirst(label.count)
        guard !label.isEmpty, labels[label] == nil, rest.hasPrefix("=\"") else { throw malformed() }
        rest = rest.dropFirst(2)
        guard let value = Self.quoted(&rest) else { throw malformed() }
        labels[label] = value
      } while rest.first == ","
      guard rest.first == "}" else { throw malformed() }
      rest = rest.dropFirst()
    }
    let digits = rest.dropFirst()
    guard rest.first == " ", let value = Double(digits),
      digits.allSatisfy({ "0123456789.eE+-".contains($0) })
    else { throw malformed() }
    self.value = value
  }

  /// Takes a value up to its closing quote; nil where an escape is unknown or the quote is missing.
  private static func quoted(_ rest: inout Substring) -> String? {
    var value = ""
    while let character = rest.popFirst() {
      switch character {
      case "\"": return value
      case "\\":
        guard let escaped = rest.popFirst(),
          let meant = ["\\": "\\", "\"": "\"", "n": "\n"][escaped]
        else { return nil }
        value += meant
      default: value.append(character)
      }
    }
    return nil
  }
}
