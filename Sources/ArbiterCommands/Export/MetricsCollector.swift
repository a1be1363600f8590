// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterReport

/// Families while they are being filled, in the order in which they were declared.
///
/// A figure that is missing becomes a sample of `arbiter_unavailable_info`, never a 0.
struct MetricsCollector {
  /// What a missing figure is a figure of, beside the figures that are there.
  enum Subject {
    /// The machine, or Arbiter itself.
    case machine
    /// An interleave set or other slow memory, by its name.
    case device(String)
    /// A process, by its number.
    case process(String)

    var labels: [MetricLabel] {
      switch self {
      case .machine: []
      case .device(let name): [MetricLabel("device", name)]
      case .process(let number): [MetricLabel("process", number)]
      }
    }
  }

  /// Characters of a sentence that are kept; a label is no place for an essay.
  private static let charactersMax = 240

  private var order: [String] = []
  private var families: [String: MetricFamily] = [:]
  private var absences = MetricFamily(
    "arbiter_unavailable", .info,
    help: "A figure that cannot be seen, by the name it would have, and why; it is left out and "
      + "not 0.")
  private var reported: Set<[MetricLabel]> = []

  init() {}

  /// Declares a family, where it is not yet declared.
  mutating func declare(_ family: MetricFamily) {
    guard families[family.name] == nil else { return }
    families[family.name] = family
    order.append(family.name)
  }

  /// Adds a figure, or the reason why there is none.
  ///
  /// - Parameters:
  ///   - figure: The figure, in the family's unit.
  ///   - family: The family, declared here where it is new.
  ///   - labels: What tells the figure from others of its family.
  ///   - subject: What it is a figure of.
  mutating func add(
    _ figure: Figure<Double>, to family: MetricFamily, _ labels: [MetricLabel] = [],
    of subject: Subject
  ) {
    switch figure {
    case .known(let number):
      guard let value = MetricValue(number) else {
        return note(family, "its source gave no finite number", of: subject)
      }
      add(value, to: family, labels)
    case .unavailable(let reason): note(family, reason, of: subject)
    }
  }

  /// Adds a figure of a whole number, exactly, or the reason why there is none.
  mutating func add(
    _ figure: Figure<UInt64>, to family: MetricFamily, _ labels: [MetricLabel] = [],
    of subject: Subject
  ) {
    switch figure {
    case .known(let number): add(MetricValue(number), to: family, labels)
    case .unavailable(let reason): note(family, reason, of: subject)
    }
  }

  /// Adds a value.
  mutating func add(_ value: MetricValue, to family: MetricFamily, _ labels: [MetricLabel] = []) {
    declare(family)
    families[family.name]?.add(value, labels)
  }

  private mutating func note(_ family: MetricFamily, _ reason: String, of subject: Subject) {
    let identity = [MetricLabel("figure", family.sampleName)] + subject.labels
    // One reason for each figure: two samples may lack the same one.
    guard reported.insert(identity).inserted else { return }
    absences.add(
      MetricValue(UInt64(1)), identity + [MetricLabel("reason", Self.stable(reason))])
  }

  /// A sentence as the value of a label: short, and without numbers, each of which would be a
  /// series of its own for ever.
  static func stable(_ sentence: String) -> String {
    let isPartOfNumber: (Character) -> Bool = { "0123456789.,%".contains($0) }
    let words = sentence.split(separator: " ").map { word in
      let isNumber = word.allSatisfy(isPartOfNumber) && word.contains(where: \.isNumber)
      return isNumber ? "N" : word
    }
    return String(words.joined(separator: " ").prefix(charactersMax))
  }

  /// All families, with what is unavailable last.
  var result: [MetricFamily] {
    order.compactMap { families[$0] } + [absences]
  }
}
