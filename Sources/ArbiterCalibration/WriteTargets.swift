// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterWorkloads

/// Targets of unfenced and fenced writers.
let writeTargets: [CalibrationTarget] = [
  CalibrationTarget(
    1, "peak write bandwidth, one thread", source: "OS data/bandwidth.csv",
    points: points(.gigabytesPerSecond, [(1, 2.28)])
  ) { point, bench in bench.writeBandwidth(Workload(), threads: point.x) },

  CalibrationTarget(
    2, "sequential non-temporal stores, bandwidth",
    source: "OS data/bandwidth.csv and graphs/04, non-interleaved",
    points: points(.gigabytesPerSecond, [(1, 2.28), (2, 2.27), (3, 2.25), (4, 2.20)]) + [
      CalibrationPoint(6, .gigabytesPerSecond, 1.92...2.00),
      CalibrationPoint(8, .gigabytesPerSecond, 1.54...1.54),
      CalibrationPoint(12, .gigabytesPerSecond, 1.08...1.08),
      CalibrationPoint(24, .gigabytesPerSecond, 0.80...0.92),
    ]
  ) { point, bench in bench.writeBandwidth(Workload(), threads: point.x) },

  CalibrationTarget(
    3, "sequential non-temporal stores, amplification", source: "OS data/bandwidth.csv, EWR",
    points: points(.writeAmplification, [(1, 1.02), (2, 1.02), (3, 1.03)]) + [
      CalibrationPoint(4, .writeAmplification, 1.03...1.05),
      CalibrationPoint(6, .writeAmplification, 1.15...1.35),
      CalibrationPoint(8, .writeAmplification, 1.28...1.45),
      CalibrationPoint(12, .writeAmplification, 1.88...1.88),
    ]
  ) { point, bench in bench.steady(Workload(), threads: point.x).writeAmplification ?? 0 },

  CalibrationTarget(
    4, "random 256 B non-temporal stores", source: "OS data/bandwidth.csv",
    points: points(.writeAmplification, [(1, 1.02)]) + [
      CalibrationPoint(2, .writeAmplification, 1.02...1.28),
      CalibrationPoint(3, .writeAmplification, 1.04...1.04),
      CalibrationPoint(4, .writeAmplification, 1.08...1.08),
      CalibrationPoint(6, .writeAmplification, 1.33...1.33),
      CalibrationPoint(8, .writeAmplification, 1.56...1.56),
      CalibrationPoint(12, .writeAmplification, 1.75...1.75),
    ]
      + points(
        .gigabytesPerSecond,
        [(1, 2.26), (2, 2.26), (3, 2.23), (4, 2.14), (6, 1.77), (8, 1.54), (12, 1.23)]) + [
        CalibrationPoint(24, .gigabytesPerSecond, 0.6...0.7)
      ]
  ) { point, bench in
    let run = bench.steady(
      Workload(pattern: .random, accessBytes: 256, regionBytes: 256 << 20), threads: point.x)
    return point.quantity == .writeAmplification
      ? run.writeAmplification ?? 0 : run.effectiveBandwidth / 1e9
  },

  CalibrationTarget(
    6, "random 64 B non-temporal stores", source: "OS data/bandwidth.csv",
    points: [1, 2, 4, 8, 12, 24].flatMap {
      [
        CalibrationPoint($0, .writeAmplification, 4.0...4.2),
        CalibrationPoint($0, .gigabytesPerSecond, 0.51...0.56),
      ]
    }
  ) { point, bench in
    let run = bench.steady(
      Workload(pattern: .random, accessBytes: 64, regionBytes: 256 << 20), threads: point.x)
    return point.quantity == .writeAmplification
      ? run.writeAmplification ?? 0 : run.effectiveBandwidth / 1e9
  },

  CalibrationTarget(
    9, "stores with a fence after every access", source: "PB results/dimms/1dimms.json",
    profile: "optane-100-256g-perma",
    points: points(
      .gigabytesPerSecond, [(1, 0.34), (2, 0.68), (4, 1.35), (8, 2.64), (16, 2.58), (32, 1.25)],
      series: "64B")
      + points(
        .gigabytesPerSecond, [(1, 1.24), (2, 2.44), (4, 2.71), (8, 2.70), (16, 2.66), (32, 2.45)],
        series: "256B")
  ) { point, bench in
    let bytes = point.series == "64B" ? 64 : 256
    return bench.writeBandwidth(
      Workload(accessBytes: bytes, fence: .every(bytes: UInt32(bytes))), threads: point.x)
  },

  CalibrationTarget(
    15, "latency of a fenced access", source: "OS graphs/12-flush_instr_lat", axis: "bytes",
    points: points(
      .nanoseconds, [(64, 125), (256, 212), (1024, 484), (4096, 1551)], series: "nt")
      + points(.nanoseconds, [(64, 116), (256, 192), (1024, 601), (4096, 1774)], series: "clwb"),
    threadCount: { _ in 1 }
  ) { point, bench in
    bench.fencedLatency(
      point.series == "nt" ? .storeNonTemporal : .storeWriteBackCached, accessBytes: point.x)
  },
]
