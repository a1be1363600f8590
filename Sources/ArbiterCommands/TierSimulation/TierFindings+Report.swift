// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterReport
internal import ArbiterSimulator

extension TierFindings {
  /// The page of `arbiter simulate --tiers --report`: run times side by side, the course of every
  /// stream, and all figures.
  func report(in session: ResultSession) -> Report {
    var parts: [Report.Section.Part] = [
      .text(
        "Run time of the same work, divided by the time that it takes with everything left where "
          + "it was put first: below 1 is faster.")
    ]
    parts.append(.table(ratioTable))
    parts += streams.compactMap(TierStreamKind.init).map { .text("\($0.rawValue): \($0.meaning).") }
    return Report(
      title: "Arbiter: placement in two tiers of memory",
      summary: (sentences + remarks.filter { !sentences.contains($0) }).joined(separator: " "),
      document: session.document([]),
      sections: [
        .init("Run time by that of first touch", parts),
        .init("Accesses that fast memory answers", [.plots(streams.map(plot))]),
        .init("Every figure", [.table(table)]),
      ],
      files: [
        .init("tiers.json", json(in: session).document()), .init("tiers.csv", csv),
      ])
  }

  /// A row per stream, a column per policy.
  private var ratioTable: Table {
    let policies = findings.filter { $0.stream == streams.first }.map(\.policy)
      .filter { $0 != .firstTouch }
    var table = Table([.init("stream")] + policies.map { .init($0.rawValue, .right) })
    for stream in streams {
      let ratios = policies.map { policy -> Table.Cell in
        let found = findings.first { $0.stream == stream && $0.policy == policy }
        return .number(found?.spread(\.timeByFirstTouch)?.median)
      }
      table.add([Table.Cell.text(stream)] + ratios)
    }
    return table
  }

  private func plot(_ stream: String) -> Plot {
    let series = findings.filter { $0.stream == stream }.compactMap { finding -> Plot.Series? in
      guard let course = finding.runs.first?.outcome.course, !course.isEmpty else { return nil }
      return Plot.Series(
        finding.policy.rawValue,
        course.map { Plot.Point(x: $0.seconds, y: $0.hitShare * 100) }, style: .line)
    }
    return Plot(
      name: "hits-\(stream)", title: "Accesses that fast memory answers: \(stream)",
      x: .init("virtual time (s)", startsAtZero: true),
      y: .init("share of the accesses (%)", startsAtZero: true), series: series,
      caption: "The first run of each policy; a line ends where the work is done.", size: .small)
  }
}
