// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
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
  ///   - hidden: Headers of figures to leave out.
  /// - Returns: A table of at most 80 columns.
  static func byThreads(_ results: [ReportedResult], hiding hidden: Set<String> = []) -> Table {
    let shown = figures.filter { !hidden.contains($0.column.header) }
    var table = Table(
      [.init("threads", .right), .init("scheme")] + shown.map(\.column), keyColumnCount: 2)
    for result in results {
      table.add(
        [.count(result.result.threadCount), .text(result.scheme)]
          + shown.map { $0.cell(result.result) })
    }
    return table
  }
}
