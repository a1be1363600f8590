// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterWorkloads

/// Targets of readers.
let readTargets: [CalibrationTarget] = [
  CalibrationTarget(
    10, "media read bandwidth ÷ write bandwidth", source: "OS data/bandwidth.csv",
    points: [CalibrationPoint(4, .ratio, 2.8...2.9)]
  ) { point, bench in
    bench.readBandwidth(accessBytes: 256, threads: point.x)
      / bench.writeBandwidth(Workload(), threads: 1)
  },

  CalibrationTarget(
    11, "random 256 B loads", source: "OS data/bandwidth.csv",
    points: points(
      .gigabytesPerSecond,
      [(1, 2.6), (2, 4.8), (3, 6.5), (4, 6.6), (6, 6.6), (8, 6.1), (12, 4.8), (24, 3.4)])
  ) { point, bench in bench.readBandwidth(accessBytes: 256, threads: point.x) },

  CalibrationTarget(
    12, "random 64 B loads", source: "OS data/bandwidth.csv",
    points: points(.gigabytesPerSecond, [(1, 1.5), (2, 1.7), (4, 1.7), (8, 1.7), (24, 1.7)])
  ) { point, bench in bench.readBandwidth(accessBytes: 64, threads: point.x) },
]
