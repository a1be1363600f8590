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
  }
]
