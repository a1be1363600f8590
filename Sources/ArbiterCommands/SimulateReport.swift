// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterReport
internal import ArbiterScheduler

/// The page of `arbiter simulate --report`: bandwidth and amplification, a line for each scheme.
struct SimulateReport {
  let options: SimulateOptions
  let profile: DeviceProfile
  let results: [ReportedResult]

  func report(_ document: ResultDocument) -> Report {
    let varied = options.vary.map { " Every run is repeated with other values of \($0.key)." }
    return Report(
      title: "Arbiter: writers on \(profile.name)",
      summary: "\(profile.summary) All figures are the model's (virtual time), not this machine's."
        + (varied ?? ""),
      document: document,
      plots: [
        plot("bandwidth", "Effective bandwidth", "effective bandwidth (GB/s)") {
          $0.effectiveBandwidth / 1e9
        },
        plot("write-amplification", "Write amplification", "media ÷ iMC writes") {
          $0.writeAmplification
        },
      ])
  }

  private func plot(
    _ name: String, _ title: String, _ label: String, _ value: (RunResult) -> Double?
  ) -> Plot {
    let isVaried = options.vary != nil
    var series: [Plot.Series] = []
    for scheme in options.admission.schemes.map(\.rawValue) {
      let own = results.filter { $0.scheme == scheme }
      guard isVaried else {
        series.append(
          line(scheme, own.map { (Double($0.result.threadCount), value($0.result)) }))
        continue
      }
      for count in Set(own.map(\.result.threadCount)).sorted() {
        let runs = own.filter { $0.result.threadCount == count }
        series.append(
          line(
            "\(scheme), \(count) \(count == 1 ? "thread" : "threads")",
            runs.compactMap { run in run.variedValue.map { ($0, value(run.result)) } }))
      }
    }
    return Plot(
      name: name, title: title,
      x: .init(options.vary?.key ?? "threads", startsAtZero: !isVaried),
      y: .init(label, startsAtZero: true), series: series)
  }

  private func line(_ name: String, _ points: [(x: Double, y: Double?)]) -> Plot.Series {
    Plot.Series(name, points.sorted { $0.x < $1.x }.map { Plot.Point(x: $0.x, y: $0.y) })
  }
}
