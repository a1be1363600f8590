// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterReport
internal import ArbiterSimulator

extension TierFindings {
  /// The page of `arbiter simulate --tiers --report`: the table, and the course of every stream.
  func report(in session: ResultSession) -> Report {
    let streams = Set(findings.map(\.stream))
    let plots =
      TierStreamKind.allCases.map(\.rawValue).filter(streams.contains)
      + streams.subtracting(TierStreamKind.allCases.map(\.rawValue)).sorted()
    return Report(
      title: "Arbiter: placement in two tiers of memory",
      summary: sentences.joined(separator: " "), document: session.document([]),
      plots: plots.map(plot), sections: [Report.Section("Every stream", [.table(table)])],
      files: [
        .init("tiers.json", json(in: session).document()), .init("tiers.csv", csv),
      ])
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
      caption: "The first run of each policy; a line ends where the work is done.")
  }
}
