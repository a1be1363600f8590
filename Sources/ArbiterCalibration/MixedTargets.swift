// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterSimulator
internal import ArbiterWorkloads

/// Targets in which readers and writers meet.
///
/// The mixed figures are those of the memory controllers: loads and the reads before ordinary stores
/// count as reads. That their stores are ordinary ones, left to the caches, follows from the data: in
/// every mix the writes end at 3.2 to 3.5 GB/s, a quarter of the non-temporal peak.
let mixedTargets: [CalibrationTarget] = [
  CalibrationTarget(
    36, "six interleaved modules, four threads, reads and writes together",
    source: "OS graphs/17-numa.csv", axis: "reads per 100",
    points: [
      // Loads alone and non-temporal stores alone were published twice (graphs/04).
      CalibrationPoint(100, .gigabytesPerSecond, 11.63...14.62),
      CalibrationPoint(80, .gigabytesPerSecond, 13.84...13.84),
      CalibrationPoint(75, .gigabytesPerSecond, 12.75...12.75),
      CalibrationPoint(67, .gigabytesPerSecond, 10.41...10.41),
      CalibrationPoint(50, .gigabytesPerSecond, 6.90...6.90),
      CalibrationPoint(0, .gigabytesPerSecond, 12.5...13.51),
    ],
    threadCount: { _ in 4 }
  ) { point, bench in bench.mixedBandwidth(readsPerHundred: point.x, threads: 4) },

  CalibrationTarget(
    37, "dependent loads beside a writer of 12 KiB at a time ÷ alone",
    source: "SC report/results_csv/rw_cont_read_write_*.csv", axis: "% of its time it writes",
    points: points(.ratio, [(10, 1.22), (30, 1.81), (50, 2.64)]),
    threadCount: { _ in 2 }
  ) { point, bench in bench.readerSlowdown(writingPercent: point.x) },

  CalibrationTarget(
    38, "six interleaved modules of the other socket, non-temporal stores and 1:1",
    source: "OS graphs/17-numa.csv", profile: "optane-100-256g-remote",
    points: points(.gigabytesPerSecond, [(1, 2.14), (4, 5.90)], series: "nt")
      + points(.gigabytesPerSecond, [(4, 1.95)], series: "1:1")
  ) { point, bench in
    bench.mixedBandwidth(readsPerHundred: point.series == "nt" ? 0 : 50, threads: point.x)
  },
]

extension CalibrationBench {
  /// Reads and writes of all modules in GB/s.
  func mixedBandwidth(readsPerHundred: Int, threads: Int) -> Double {
    var workload = Workload(pattern: .sequential, accessBytes: 256)
    let reads = Double(readsPerHundred) / 100
    if readsPerHundred == 100 {
      workload.readShare = 1
    } else if readsPerHundred > 0 {
      // Every ordinary store reads its line: r loads to one store are r + 1 reads to one write.
      let readsPerWrite = reads / (1 - reads)
      workload.store = .storePlain
      workload.readShare = (readsPerWrite - 1) / readsPerWrite
    }
    let run = steady(workload, threads: threads, modules: 6)
    return ((run.imcReadBandwidth ?? 0) + run.effectiveBandwidth) / 1e9
  }

  /// How much longer dependent random loads take beside a writer that writes some of the time.
  func readerSlowdown(writingPercent: Int) -> Double {
    let chase = Workload(pattern: .chain, accessBytes: 256, regionBytes: 8 << 20, readShare: 1)
    var burst = Workload(
      pattern: .random, accessBytes: 12_288, fence: .every(bytes: 12_288),
      regionBytes: 12_288 * 1024)
    // The pause follows from the time that a burst takes, and that time from the pause before.
    for _ in 0..<6 {
      let period = 12_288e9 / max(steady([ThreadPlan(burst)]).effectiveBandwidth, 1)
      let writing = period - burst.think.nanoseconds
      let pause = writing * (100 / Double(writingPercent) - 1)
      burst.think = .nanoseconds((burst.think.nanoseconds + pause) / 2)
    }
    return loadRate([chase]) / loadRate([chase, burst])
  }

  /// Loads per second of the first of some threads, whose loads depend on each other.
  private func loadRate(_ workloads: [Workload]) -> Double {
    var workloads = workloads
    workloads[0].isDependent = true
    workloads[0].accessBytes = 64
    let run = steady(workloads.map { ThreadPlan($0) }, span: .milliseconds(8))
    return run.imcReadBandwidth ?? 0
  }
}
