// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterSimulator
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

  CalibrationTarget(
    13, "idle latency of one load", source: "OS graphs/02-best_case_latency.csv",
    points: points(.nanoseconds, [(1, 169)], series: "sequential")
      + points(.nanoseconds, [(1, 305)], series: "random")
  ) { point, bench in
    bench.loadLatency(point.series == "random" ? .random : .sequential, regionBytes: 8 << 20)
  },

  CalibrationTarget(
    31, "loads of 64 B of each block of a region, then of other 64 B of each: misses ÷ loads",
    source: "SC report/results_csv/rmw_replacement_*.csv", axis: "blocks",
    points: [CalibrationPoint(64, .ratio, 0...0.01, series: "same")]
      + points(.ratio, [(72, 1), (80, 1), (96, 1), (128, 1)], series: "same")
      + [CalibrationPoint(64, .ratio, 0...0.01, series: "reverse")]
      + points(
        .ratio, [(72, 0.111), (80, 0.2), (96, 0.333), (112, 0.429), (128, 0.5)], series: "reverse"),
    threadCount: { _ in 1 }
  ) { point, bench in
    bench.secondLookMisses(point.series == "same" ? .halves : .halvesBack, blocks: point.x)
  },

  CalibrationTarget(
    32, "sequential loads", source: "OS data/bandwidth.csv",
    points: points(.gigabytesPerSecond, [(1, 2.9), (2, 5.4), (3, 6.6), (4, 6.6)])
      // Accesses of 256 B, and long ones.
      + [CalibrationPoint(8, .gigabytesPerSecond, 5.0...6.2)]
  ) { point, bench in bench.readBandwidth(.sequential, accessBytes: 256, threads: point.x) },

  CalibrationTarget(
    33, "random 4 KiB loads", source: "OS data/bandwidth.csv",
    points: points(
      .gigabytesPerSecond,
      [(1, 3.2), (2, 5.8), (3, 6.7), (4, 6.7), (6, 5.4), (8, 4.6), (12, 4.2), (23, 3.2)])
  ) { point, bench in bench.readBandwidth(accessBytes: 4096, threads: point.x) },

  CalibrationTarget(
    34, "six interleaved modules, sequential loads, and random ones of 64 B",
    source: "OS graphs/04-bandwidth_thcount_optane.csv, 17-numa.csv and 05, best thread count",
    points: points(.gigabytesPerSecond, [(1, 2.88), (2, 5.75)], series: "sequential") + [
      CalibrationPoint(4, .gigabytesPerSecond, 11.63...14.62, series: "sequential")
    ]
      + points(
        .gigabytesPerSecond, [(8, 21.1), (12, 28.8), (16, 34.9), (18, 36.6)],
        series: "sequential") + points(.gigabytesPerSecond, [(16, 10)], series: "64B")
  ) { point, bench in
    point.series == "64B"
      ? bench.readBandwidth(accessBytes: 64, threads: point.x, modules: 6)
      : bench.readBandwidth(.sequential, accessBytes: 4096, threads: point.x, modules: 6)
  },
]

extension CalibrationBench {
  /// Mean time of loads of 64 B that follow each other like pointers.
  func loadLatency(_ pattern: Pattern, regionBytes: Int) -> Double {
    let chase = Workload(
      pattern: pattern, regionBytes: regionBytes, readShare: 1, isDependent: true)
    // Long enough to fill a translation cache of 16 MiB.
    let run = steady(
      [ThreadPlan(chase)], warmUp: .milliseconds(20), span: .milliseconds(20))
    return 64e9 / max(run.imcReadBandwidth ?? 0, 1)
  }

  /// Blocks read from the medium ÷ looks at a block, where every look takes half of it.
  func secondLookMisses(_ pattern: Pattern, blocks: Int) -> Double {
    let look = Workload(
      pattern: pattern, accessBytes: 128, regionBytes: blocks * 256, readShare: 1,
      isDependent: true)
    let run = steady(look, threads: 1)
    return (run.mediaReadBandwidth ?? 0) / 256 / (max(run.imcReadBandwidth ?? 0, 1) / 128)
  }
}
