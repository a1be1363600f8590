// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterWorkloads

/// Targets of writers on six interleaved modules.
let interleaveTargets: [CalibrationTarget] = [
  CalibrationTarget(
    17, "six interleaved modules, sequential non-temporal stores", source: "OS data/bandwidth.csv",
    points: points(
      .gigabytesPerSecond,
      [
        (1, 4.35), (2, 8.6), (3, 12.3), (4, 12.9), (8, 13.0), (12, 11.4), (16, 9.8), (23, 8.2),
      ])
      + points(
        .writeAmplification,
        [(1, 1.01), (4, 1.01), (12, 1.04), (16, 1.10), (23, 1.23)])
  ) { point, bench in bench.writeFigure(of: Workload(), for: point, modules: 6) },

  CalibrationTarget(
    70, "six interleaved modules, sequential stores with clwb", source: "OS data/bandwidth.csv",
    points: points(
      .gigabytesPerSecond, [(1, 1.13), (4, 4.5), (8, 8.8), (10, 10.4), (12, 10.4)])
  ) { point, bench in
    bench.writeBandwidth(Workload(store: .storeWriteBack), threads: point.x, modules: 6)
  },

  CalibrationTarget(
    71, "six interleaved modules, four writers, random stores by access size",
    source: "OS graphs/05", axis: "bytes",
    points: points(
      .gigabytesPerSecond,
      [(64, 3.17), (256, 12.19), (1024, 11.35), (4096, 9.44), (24576, 12.22)]),
    threadCount: { _ in 4 }
  ) { point, bench in bench.randomWrite(accessBytes: point.x, threads: 4, modules: 6) },

  CalibrationTarget(
    72, "24 writers of random 4 KiB, each on its own module or on all six",
    source: "OS graphs/15-alloc_store", axis: "modules per writer",
    points: points(.gigabytesPerSecond, [(1, 13.4), (6, 9.71)]), threadCount: { _ in 24 }
  ) { point, bench in
    if point.x == 6 {
      return bench.randomWrite(accessBytes: 4096, threads: 24, modules: 6)
    }
    // Six chunks to a stride: all on one module, and one chunk more, so that the next writer's lie
    // on the next.
    var workload = Workload(accessBytes: 4096, regionBytes: (6 * 4000 + 1) * 4096)
    workload.strideBytes = 6 * 4096
    return bench.writeBandwidth(workload, threads: 24, modules: 6)
  },
]
