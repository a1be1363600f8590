// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterSimulator
internal import ArbiterWorkloads

/// Targets that show the translation of addresses inside the module.
let translationTargets: [CalibrationTarget] = [
  CalibrationTarget(
    16, "dependent loads by working set", source: "NL report/data/reference, fig2 at 2.2 GHz",
    axis: "KiB",
    points: points(
      .nanoseconds,
      [(4, 174), (16, 174), (64, 284), (4096, 321), (16_384, 321), (65_536, 369)]),
    threadCount: { _ in 1 }
  ) { point, bench in bench.loadLatency(.chain, regionBytes: point.x << 10) },

  CalibrationTarget(
    35, "a chain of stores by working set, time of a line",
    source: "NL report/data/reference, fig2 at 2.2 GHz", axis: "KiB",
    // Up to 16 KiB this test contradicts the capacity curve of target 7; see the documentation.
    points: points(.nanoseconds, [(64, 106), (4096, 124), (65_536, 124)]),
    threadCount: { _ in 1 }
  ) { point, bench in
    let chain = Workload(pattern: .chain, regionBytes: point.x << 10)
    let run = bench.steady(
      [ThreadPlan(chain)], warmUp: .milliseconds(10), span: .milliseconds(10))
    return 64e9 / max(run.effectiveBandwidth, 1)
  },
]
