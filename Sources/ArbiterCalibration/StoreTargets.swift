// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterWorkloads

/// Targets of cached stores, of strides and of access sizes on one module.
let storeTargets: [CalibrationTarget] = [
  CalibrationTarget(
    62, "one writer, a fence after every access, by size", source: "OS graphs/13-sfence_interval",
    axis: "bytes",
    points: points(
      .gigabytesPerSecond,
      [(64, 0.34), (128, 0.65), (256, 1.26), (512, 2.21), (1024, 2.24), (4096, 2.24)]),
    threadCount: { _ in 1 }
  ) { point, bench in
    bench.writeBandwidth(
      Workload(accessBytes: point.x, fence: .every(bytes: UInt32(point.x))), threads: 1)
  },

  CalibrationTarget(
    63, "sequential stores with clwb", source: "OS data/bandwidth.csv",
    points: points(
      .gigabytesPerSecond,
      [(1, 1.13), (2, 1.81), (3, 1.80), (4, 1.74), (24, 0.82)])
      + [
        CalibrationPoint(6, .gigabytesPerSecond, 1.54...1.61),
        CalibrationPoint(8, .gigabytesPerSecond, 1.33...1.43),
      ]
      + points(.writeAmplification, [(1, 1.04), (2, 1.04), (3, 1.05), (4, 1.10)]) + [
        CalibrationPoint(6, .writeAmplification, 1.25...1.45),
        CalibrationPoint(8, .writeAmplification, 1.44...1.66),
      ]
  ) { point, bench in
    bench.writeFigure(of: Workload(store: .storeWriteBack), for: point)
  },

  CalibrationTarget(
    64, "plain stores, written back by eviction", source: "OS data/bandwidth.csv",
    points: points(.gigabytesPerSecond, [(1, 0.9)])
      + [2, 4, 8].map { CalibrationPoint($0, .gigabytesPerSecond, 0.51...0.59) }
      + points(.writeAmplification, [(1, 2.04)])
      + [2, 4, 8].map { CalibrationPoint($0, .writeAmplification, 3.7...4.76) }
  ) { point, bench in
    bench.writeFigure(of: Workload(store: .storePlain), for: point)
  },

  CalibrationTarget(
    65, "64 B stores with a stride", source: "OS data/bandwidth.csv, EWR", axis: "bytes",
    points: points(.writeAmplification, [(128, 2.04), (192, 3.03), (256, 4.0), (512, 4.0)]),
    threadCount: { _ in 1 }
  ) { point, bench in
    var workload = Workload(regionBytes: 96 << 20)
    workload.strideBytes = point.x
    return bench.steady(workload, threads: 1).writeAmplification ?? 0
  },

  CalibrationTarget(
    66, "one writer, random stores by access size",
    source: "OS graphs/05, non-interleaved", axis: "bytes",
    points: points(
      .gigabytesPerSecond, [(64, 0.55), (128, 1.10), (256, 2.21), (1024, 2.22), (4096, 2.23)]),
    threadCount: { _ in 1 }
  ) { point, bench in bench.randomWrite(accessBytes: point.x, threads: 1) },

  CalibrationTarget(
    67, "random 4 KiB stores, as fast as sequential ones", source: "OS data/bandwidth.csv",
    points: points(.gigabytesPerSecond, [(1, 2.28), (4, 2.20), (8, 1.54), (12, 1.08)])
  ) { point, bench in
    bench.randomWrite(accessBytes: 4096, threads: point.x)
  },
]

/// Targets of the power budgets of a 256 GB module.
let powerTargets: [CalibrationTarget] = [
  powerTarget(68, watts: "12.5", profile: "optane-100-256g-12w5", [(1, 1.65)], 1.02...1.02, 4.55),
  powerTarget(69, watts: "18", profile: "optane-100-256g-18w", [(1, 2.89)], 1.95...2.15, 8.45),
]

private func powerTarget(
  _ number: Int, watts: String, profile: String, _ peak: [(Int, Double)],
  _ eight: ClosedRange<Double>, _ read: Double
) -> CalibrationTarget {
  CalibrationTarget(
    number, "\(watts) W: sequential stores and the best random loads",
    source: "OS data/bandwidth.csv", profile: profile,
    points: points(.gigabytesPerSecond, peak, series: "write")
      + [CalibrationPoint(8, .gigabytesPerSecond, eight, series: "write")]
      + points(.gigabytesPerSecond, [(4, read)], series: "read")
  ) { point, bench in
    point.series == "read"
      ? bench.readBandwidth(accessBytes: 256, threads: point.x)
      : bench.writeBandwidth(Workload(), threads: point.x)
  }
}
