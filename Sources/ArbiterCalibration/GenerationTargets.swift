// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The 200 series beside the 100 series, and small modules beside large ones. PB's machine of the
// 200 series is taken to have eight modules on eight channels; nothing it publishes says otherwise.

internal import ArbiterDevice
internal import ArbiterWorkloads

private let barlow = "optane-200-256g"

/// A fence after every access of as many bytes as the series says.
private func fenced(_ series: String) -> Workload {
  let bytes = series == "64B" ? 64 : series == "256B" ? 256 : 1024
  return Workload(accessBytes: bytes, fence: .every(bytes: UInt32(bytes)))
}

extension CalibrationBench {
  /// Time of a store to a line at hand, its flush if it has one, and a fence.
  fileprivate func fencedStore(_ store: Operation) -> Double {
    fencedLatency(store, accessBytes: 64) + profile.fenceNanoseconds
  }

  /// Time of two such stores to a line that was just read; the read runs beside the stores before
  /// it, because loads pass store fences.
  fileprivate func twoFencedStores(_ series: String) -> Double {
    switch series {
    case "nt": return 2 * fencedStore(.storeNonTemporal)
    case "clwb": return 2 * fencedStore(.storeWriteBackCached)
    default:
      // The first flush drops the line, so that the second store has to fetch it again.
      let gigabytes = writeBandwidth(randomWriteBack, threads: 1, modules: 8)
      return fencedStore(.storeWriteBackCached) + 64 / gigabytes
    }
  }
}

private let randomWriteBack = Workload(
  pattern: .random, store: .storeWriteBack, accessBytes: 64, fence: .every(bytes: 64),
  regionBytes: 256 << 20)

/// Targets that tell one kind of module from another.
let generationTargets: [CalibrationTarget] = [
  CalibrationTarget(
    81, "200 series, eight modules, a fence after every access", source: "PB barlow-256",
    profile: barlow,
    points: points(.gigabytesPerSecond, [(1, 0.36), (32, 11.6)], series: "64B")
      + points(.gigabytesPerSecond, [(1, 1.44), (32, 22.0)], series: "256B")
      + points(.gigabytesPerSecond, [(1, 3.8), (8, 21.9), (32, 19.5)], series: "1KiB")
  ) { point, bench in bench.writeBandwidth(fenced(point.series), threads: point.x, modules: 8) },

  CalibrationTarget(
    82, "200 series, eight modules, random 64 B non-temporal stores, fenced",
    source: "PB barlow-256", profile: barlow, points: points(.gigabytesPerSecond, [(32, 6.0)])
  ) { point, bench in
    bench.writeBandwidth(
      Workload(
        pattern: .random, accessBytes: 64, fence: .every(bytes: 64), regionBytes: 256 << 20),
      threads: point.x, modules: 8)
  },

  CalibrationTarget(
    83, "200 series, random 64 B store, clwb and fence", source: "PB barlow-256",
    profile: barlow, points: points(.gigabytesPerSecond, [(1, 0.11)])
  ) { point, bench in
    bench.writeBandwidth(randomWriteBack, threads: point.x, modules: 8)
  },

  CalibrationTarget(
    84, "200 series, eight modules, loads", source: "PB barlow-256", profile: barlow,
    points: points(.gigabytesPerSecond, [(32, 61)], series: "sequential")
      + points(.gigabytesPerSecond, [(32, 17)], series: "random 64B")
  ) { point, bench in
    let isSequential = point.series == "sequential"
    var workload = Workload(
      pattern: isSequential ? .sequential : .random, accessBytes: isSequential ? 4096 : 64,
      regionBytes: 256 << 20)
    workload.readShare = 1
    let run = bench.steady(workload, threads: point.x, modules: 8)
    return (run.imcReadBandwidth ?? 0) / 1e9
  },

  CalibrationTarget(
    85, "200 series, one module, the vendor's bands", source: "vendor's brief of the 200 series",
    profile: barlow,
    points: [
      CalibrationPoint(4, .gigabytesPerSecond, 7.45...8.10, series: "read 256B"),
      CalibrationPoint(4, .gigabytesPerSecond, 1.86...2.03, series: "read 64B"),
      CalibrationPoint(4, .gigabytesPerSecond, 2.25...3.15, series: "write 256B"),
      CalibrationPoint(4, .gigabytesPerSecond, 0.56...0.79, series: "write 64B"),
    ]
  ) { point, bench in
    let bytes = point.series.hasSuffix(" 64B") ? 64 : 256
    return point.series.hasPrefix("read")
      ? bench.readBandwidth(accessBytes: bytes, threads: point.x)
      : bench.writeBandwidth(
        Workload(pattern: .random, accessBytes: bytes, regionBytes: 256 << 20), threads: point.x)
  },

  CalibrationTarget(
    86, "100 series, six modules of 256 GB, 1 KiB and a fence", source: "PB apache-256",
    profile: "optane-100-256g-perma",
    points: points(.gigabytesPerSecond, [(8, 16.9), (32, 15.2)])
  ) { point, bench in bench.writeBandwidth(fenced("1KiB"), threads: point.x, modules: 6) },

  CalibrationTarget(
    87, "100 series, six modules of 128 GB, 1 KiB and a fence", source: "PB apache-128",
    profile: "optane-100-128g",
    points: points(.gigabytesPerSecond, [(8, 11.8), (32, 6.7)])
  ) { point, bench in bench.writeBandwidth(fenced("1KiB"), threads: point.x, modules: 6) },

  CalibrationTarget(
    88, "200 series, a read and two fenced stores to the same line", source: "PB barlow-256",
    profile: barlow,
    points: points(.nanoseconds, [(1, 319)], series: "clwb")
      + points(.nanoseconds, [(1, 701)], series: "invalidating flush")
      + points(.nanoseconds, [(1, 370)], series: "nt")
  ) { point, bench in bench.twoFencedStores(point.series) },

  CalibrationTarget(
    89, "100 series, a read and two fenced stores to the same line", source: "PB apache-256",
    profile: "optane-100-256g-perma",
    points: points(.nanoseconds, [(1, 345)], series: "clwb")
      + points(.nanoseconds, [(1, 327)], series: "nt")
  ) { point, bench in bench.twoFencedStores(point.series) },
]
