// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterWorkloads

/// Targets of wear levelling.
let wearTargets: [CalibrationTarget] = [
  CalibrationTarget(
    19, "wear-levelling stalls while one block is rewritten",
    source: "LENS data in VANS tests/precision/overwrite, NL, SC", axis: "bytes",
    points: [
      CalibrationPoint(256, .count, 9500...16_000, series: "writes between"),
      CalibrationPoint(256, .microseconds, 45...60, series: "length"),
    ],
    threadCount: { _ in 1 }
  ) { point, bench in
    let run = bench.hotSpot(bytes: point.x, accessBytes: 256, milliseconds: 40, quantile: 1)
    return point.quantity == .count
      ? run.accesses / max(run.stalls, 1) : run.latencyMicroseconds
  },

  CalibrationTarget(
    73, "99.999 % latency of fenced 64 B stores to a hot spot",
    source: "OS graphs/03-tail_latency", axis: "bytes",
    points: points(
      .microseconds, [(256, 52.7), (2048, 51.0), (8192, 49.5), (32_768, 48.4), (65_536, 18.5)])
      // Below what the program's own clock can tell: no stall.
      + [131_072, 1_048_576].map { CalibrationPoint($0, .microseconds, 0...0.39) },
    threadCount: { _ in 1 }
  ) { point, bench in
    bench.hotSpot(bytes: point.x, accessBytes: 64, milliseconds: 150, quantile: 0.99999)
      .latencyMicroseconds
  },
]
