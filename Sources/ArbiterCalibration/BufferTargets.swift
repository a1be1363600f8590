// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterWorkloads

/// Targets of the write-combining buffer.
let bufferTargets: [CalibrationTarget] = [
  CalibrationTarget(
    7, "first halves, then second halves, of the blocks of a region",
    source: "OS graphs/09-infer_xpbuffer.csv", axis: "blocks",
    points: points(
      .writeAmplification,
      [
        (64, 1.04), (72, 1.04), (80, 1.36), (88, 1.50), (96, 1.61), (104, 1.68), (112, 1.74),
        (128, 1.82), (160, 1.92), (192, 1.98), (256, 2.04), (512, 2.08),
      ]),
    threadCount: { _ in 1 }
  ) { point, bench in
    bench.steady(
      Workload(
        pattern: .halves, accessBytes: 128, fence: .every(bytes: 128), regionBytes: point.x * 256),
      threads: 1
    ).writeAmplification ?? 0
  },

  CalibrationTarget(
    8, "the same with regions of a few blocks", source: "OS graphs/09-infer_xpbuffer.csv",
    axis: "blocks",
    points: points(.writeAmplification, [(1, 0.80), (2, 0.91), (4, 0.97), (8, 1.04)]),
    threadCount: { _ in 1 }
  ) { point, bench in
    bench.steady(
      Workload(
        pattern: .halves, accessBytes: 128, fence: .every(bytes: 128), regionBytes: point.x * 256),
      threads: 1
    ).writeAmplification ?? 0
  },

  CalibrationTarget(
    61, "media writes of a block that each writer rewrites without end",
    source: "OS data/bandwidth.csv, EWR at stride 0",
    points: points(.millionsPerSecond, [(1, 1.2), (4, 2.65), (8, 5.7)], series: "256B")
      + [1, 4, 8].map { CalibrationPoint($0, .millionsPerSecond, 0.66...0.80, series: "64B") }
  ) { point, bench in
    let bytes = point.series == "64B" ? 64 : 256
    let run = bench.steady(
      Workload(accessBytes: bytes, regionBytes: bytes), threads: point.x)
    return run.mediaWriteBandwidth.map { $0 / 256e6 } ?? 0
  },
]
