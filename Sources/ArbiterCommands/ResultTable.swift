// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterReport

/// The tables of the verbs: what fits 80 columns and answers the first question.
enum ResultTable {
  /// One row per scheme, grouped by thread count.
  static func byThreads(_ results: [ReportedResult]) -> Table {
    var table = Table(
      [
        .init("threads", .right), .init("scheme"), .init("GB/s", .right), .init("WA", .right),
        .init("p50", .right), .init("p99", .right), .init("delay", .right),
        .init("CPU s/GiB", .right), .init("fairness", .right),
      ], keyColumnCount: 2)
    for result in results {
      let run = result.result
      table.add([
        .count(run.threadCount), .text(result.scheme),
        .text(Figures.gigabytesPerSecond(run.effectiveBandwidth)),
        .number(run.writeAmplification),
        .text(Figures.duration(nanoseconds: run.latencyNanoseconds?.p50)),
        .text(Figures.duration(nanoseconds: run.latencyNanoseconds?.p99)),
        .text(Figures.duration(nanoseconds: run.delayNanosecondsMean)),
        .number(run.cpuSecondsPerGiB), .number(run.fairness),
      ])
    }
    return table
  }
}
