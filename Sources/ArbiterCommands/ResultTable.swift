// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterProfiles
internal import ArbiterReport

/// The tables of the verbs: what fits 80 columns and answers the first question.
enum ResultTable {
  private typealias Figure = (column: Table.Column, cell: @Sendable (RunResult) -> Table.Cell)

  private static let figures: [Figure] = [
    (.init("GB/s", .right), { .text(Figures.gigabytesPerSecond($0.effectiveBandwidth)) }),
    (.init("WA", .right), { .number($0.writeAmplification) }),
    (.init("p50", .right), { .text(Figures.duration(nanoseconds: $0.latencyNanoseconds?.p50)) }),
    (.init("p99", .right), { .text(Figures.duration(nanoseconds: $0.latencyNanoseconds?.p99)) }),
    (.init("delay", .right), { .text(Figures.duration(nanoseconds: $0.delayNanosecondsMean)) }),
    (.init("CPU s/GiB", .right), { .number($0.cpuSecondsPerGiB) }),
    (.init("fairness", .right), { .number($0.fairness) }),
  ]

  /// One row per run, in the order of the runs.
  ///
  /// - Parameters:
  ///   - results: The runs.
  ///   - key: The parameter of the profile that the runs vary; its value comes first.
  ///   - hidden: Headers of figures to leave out.
  /// - Returns: A table of at most 80 columns.
  static func byThreads(
    _ results: [ReportedResult], varying key: String? = nil, hiding hidden: Set<String> = []
  ) -> Table {
    let shown = figures.filter { !hidden.contains($0.column.header) }
    let varied: [Table.Column] = key.map { [.init(words(of: $0), .right)] } ?? []
    var table = Table(
      varied + [.init("threads", .right), .init("scheme")] + shown.map(\.column),
      keyColumnCount: 2 + varied.count)
    for result in results {
      table.add(
        (key == nil ? [] : [.text(result.variedValue.map(plain) ?? Figures.unavailable)])
          + [.count(result.result.threadCount), .text(result.scheme)]
          + shown.map { $0.cell(result.result) })
    }
    return table
  }

  /// A key in words between which a header can wrap.
  private static func words(of key: String) -> String { key.replacing("_", with: " ") }
}

extension ReportedResult {
  /// The value that the run gave to the varied parameter; nil where it varied none.
  var variedValue: Double? {
    for parameter in parameters where parameter.key == "varied_value" {
      if case .number(let value) = parameter.value { return value }
    }
    return nil
  }
}
