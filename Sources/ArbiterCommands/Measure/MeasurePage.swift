// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterMetrics
internal import ArbiterReport
internal import ArbiterWorkloads

// The page of `arbiter measure --report`.

extension MeasureFindings {
  /// The page and its files.
  func report(in session: ResultSession) -> Report {
    Report(
      title: "Arbiter: latency and bandwidth of \(subject.name)",
      summary: sentences.joined(separator: " "), document: session.document([]),
      plots: [storePlot, readPlot, threadPlot, costPlot(isSystem: false), costPlot(isSystem: true)]
        .filter { $0.series.contains { $0.points.contains { $0.y != nil } } },
      sections: [Report.Section("Every figure", tables.map { .table($0) })],
      files: [
        .init("measure.json", json(in: session).document()), .init("measure.csv", csv),
      ])
  }

  private func latencySeries(
    _ kind: MeasurementPoint.Kind, _ name: String, _ color: Int,
    _ read: @escaping (AccessLatency) -> Double?
  ) -> Plot.Series {
    let own = points.filter { $0.point.aspect == .latency && $0.point.kind == kind }
    return Plot.Series(
      name,
      own.map { point in
        let spread = point.latency(read)
        return Plot.Point(
          x: Double(point.point.sizeBytes), y: spread?.median, error: spread?.range)
      }, color: color)
  }

  private var storePlot: Plot {
    Plot(
      name: "latency-by-size", title: "Latency of durable stores by size",
      x: .init("bytes", isLogarithmic: true, ticks: sizeTicks(.nt)),
      y: .init("ns", isLogarithmic: true),
      series: [
        latencySeries(.nt, "nt p50", 0) { $0.p50 }, latencySeries(.nt, "nt p99", 1) { $0.p99 },
        latencySeries(.nt, "nt p99.9", 2) { $0.p999 },
        latencySeries(.clwb, "clwb p50", 3) { $0.p50 },
        latencySeries(.clwb, "clwb p99", 4) { $0.p99 },
        latencySeries(.clwb, "clwb p99.9", 5) { $0.p999 },
      ],
      caption: "Stored, written back, fenced, one after the other. Bars span the rounds.")
  }

  private var readPlot: Plot {
    Plot(
      name: "read-latency", title: "Latency of dependent loads by working set",
      x: .init("working set in bytes", isLogarithmic: true),
      y: .init("ns", isLogarithmic: true),
      series: [
        latencySeries(.read, "mean", 0) { $0.mean }, latencySeries(.read, "p50", 1) { $0.p50 },
        latencySeries(.read, "p99", 2) { $0.p99 }, latencySeries(.read, "p99.9", 3) { $0.p999 },
      ],
      caption: "Each load waits for the one before; small working sets lie in the caches.")
  }

  private var threadTicks: [Double] {
    let counts = points.filter { $0.point.aspect == .bandwidth }.map(\.point.threadCount)
    return Set(counts).sorted().map { Double($0) }
  }

  private func sizeTicks(_ kind: MeasurementPoint.Kind) -> [Double] {
    points.filter { $0.point.aspect == .latency && $0.point.kind == kind }
      .map { Double($0.point.sizeBytes) }.sorted()
  }

  private var calibrationRings: Plot.Series {
    Plot.Series(
      "calibrated",
      calibrations.map { calibration in
        let own = calibration.curve.first { $0.threads == calibration.threadCount }
        return Plot.Point(
          x: Double(calibration.threadCount), y: own.map { $0.bytesPerSecond / 1e9 })
      }, style: .rings)
  }

  private var threadPlot: Plot {
    Plot(
      name: "bandwidth-by-threads", title: "Bandwidth by threads",
      x: .init("threads", ticks: threadTicks, startsAtZero: true),
      y: .init("GB/s", startsAtZero: true),
      series: MeasurementPoint.Kind.allCases.map { kind in
        Plot.Series(
          kind.rawValue,
          threadCurve(kind).map { point in
            let spread = point.bandwidth
            return Plot.Point(
              x: Double(point.point.threadCount), y: spread.map { $0.median / 1e9 },
              error: spread.map {
                ($0.range.lowerBound / 1e9)...($0.range.upperBound / 1e9)
              })
          })
      } + [calibrationRings],
      caption: "Medians; bars span the rounds. Rings mark the fewest threads within 5 %.")
  }

  private func costPlot(isSystem: Bool) -> Plot {
    Plot(
      name: isSystem ? "cpu-by-threads-system" : "cpu-by-threads",
      title: "CPU seconds per GiB by threads, \(isSystem ? "whole machine" : "process")",
      x: .init("threads", ticks: threadTicks, startsAtZero: true),
      y: .init("CPU s/GiB", startsAtZero: true),
      series: MeasurementPoint.Kind.allCases.map { kind in
        Plot.Series(
          kind.rawValue,
          threadCurve(kind).map { point in
            let figure = isSystem ? point.systemSecondsPerGiB : point.processSecondsPerGiB
            return Plot.Point(x: Double(point.point.threadCount), y: figure.value)
          })
      },
      caption: isSystem
        ? "Of /proc/stat: everybody's time is in it, in ticks of the kernel."
        : "User and kernel time of the threads that moved the bytes.")
  }
}
