// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The trends of a CXL device with a cache of 4 KiB pages. CY is Cylon, FAST'26, which measured a
// Samsung CMM-H prototype and validated its own emulator against it in trend only; so do we.

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterWorkloads

private let device = "cxl-cached-4k"

extension CalibrationBench {
  /// What share of the cache all threads together visit, as bytes per thread.
  fileprivate func regionBytes(cacheShare: Double, threads: Int, accessBytes: Int) -> Int {
    let bytes = Double(profile.pageCachePages * profile.mediaUnitBytes) * cacheShare
    return max(1, Int(bytes / Double(threads * accessBytes))) * accessBytes
  }

  /// The steady state of random accesses over a share of the cache, which is warm by then.
  fileprivate func overCache(_ share: Double, readShare: Double, threads: Int) -> RunResult {
    var workload = Workload(
      pattern: .random, accessBytes: 64,
      regionBytes: regionBytes(cacheShare: share, threads: threads, accessBytes: 64))
    workload.readShare = readShare
    return steady(
      workload, threads: threads, warmUp: .milliseconds(40), span: .milliseconds(20))
  }

  /// Read bandwidth over a share of the cache, in GB/s.
  fileprivate func readBandwidth(cacheShare: Double, threads: Int) -> Double {
    (overCache(cacheShare, readShare: 1, threads: threads).imcReadBandwidth ?? 0) / 1e9
  }

  /// Amplification of random 64 B stores over a share of the cache.
  fileprivate func amplification(cacheShare: Double) -> Double {
    overCache(cacheShare, readShare: 0, threads: 4).writeAmplification ?? 0
  }
}

/// Trends of a device that caches pages.
let pageCacheTrends: [CalibrationTrend] = [
  CalibrationTrend(
    91, "a hit against a miss", claim: "A miss takes tens of microseconds and 20 hits or more.",
    source: "CY", profile: device
  ) { bench in
    // One load at a time: its latency is what its bandwidth says.
    var alone = bench.profile
    alone.loadWindowLines = 1
    let single = CalibrationBench(profile: alone, seed: bench.seed)
    let hit = 64 / single.readBandwidth(cacheShare: 1 / 64, threads: 1)
    let miss = 64 / single.readBandwidth(cacheShare: 16, threads: 1)
    return TrendOutcome(
      figures: [TrendFigure("hit", hit, "ns"), TrendFigure("miss", miss, "ns")],
      holds: miss > 20 * hit && miss > 10_000 && miss < 100_000)
  },

  CalibrationTrend(
    92, "bandwidth by footprint",
    claim: "Full at a quarter of the cache, below 95 % of that before the cache is full, below a "
      + "quarter of it at twice the cache.",
    source: "CY", profile: device
  ) { bench in
    // One thread: of several, those that are ahead keep their pages and starve the others.
    let shares = [0.25, 0.5, 0.75, 0.9, 1, 1.5, 2]
    let bandwidths = shares.map { bench.readBandwidth(cacheShare: $0, threads: 1) }
    let figures = zip(shares, bandwidths).map {
      TrendFigure("loads, \(Int($0 * 100)) % of the cache", $1, "GB/s")
    }
    let full = bandwidths[0]
    return TrendOutcome(
      figures: figures,
      holds: bandwidths[1] > 0.95 * full && bandwidths[3] < 0.95 * full
        && bandwidths[6] < 0.25 * full && bandwidths[6] < bandwidths[4])
  },

  CalibrationTrend(
    93, "bandwidth of hits by threads",
    claim: "95 % of the bandwidth of 16 threads is reached with 3 to 5.", source: "CY",
    profile: device
  ) { bench in
    let counts = [1, 2, 3, 4, 5, 8, 16]
    let bandwidths = counts.map { bench.readBandwidth(cacheShare: 0.25, threads: $0) }
    let last = bandwidths[bandwidths.count - 1]
    let knee = zip(counts, bandwidths).first { $1 >= 0.95 * last }?.0 ?? 0
    return TrendOutcome(
      figures: zip(counts, bandwidths).map { TrendFigure("loads, \($0) threads", $1, "GB/s") }
        + [TrendFigure("knee", Double(knee), "threads")],
      holds: (3...5).contains(knee))
  },

  CalibrationTrend(
    94, "amplification by threads",
    claim: "Sequential stores over twice the cache amplify alike with 1, 4 and 16 threads.",
    source: "follows from CY's geometry; nothing was published", profile: device
  ) { bench in
    let counts = [1, 4, 16]
    let amplifications = counts.map { threads in
      bench.steady(
        Workload(
          regionBytes: bench.regionBytes(cacheShare: 2, threads: threads, accessBytes: 4096)),
        threads: threads, warmUp: .milliseconds(120), span: .milliseconds(60)
      ).writeAmplification ?? 0
    }
    let least = amplifications.min() ?? 0
    let most = amplifications.max() ?? 0
    return TrendOutcome(
      figures: zip(counts, amplifications).map {
        TrendFigure("sequential stores, \($0) threads", $1, "WA")
      },
      holds: least > 0.5 && most < 1.1 * least)
  },

  CalibrationTrend(
    95, "amplification by footprint",
    claim: "Random 64 B stores amplify less than 1 at half the cache, and ever more beyond.",
    source: "follows from CY's geometry; nothing was published", profile: device
  ) { bench in
    let shares = [0.5, 1, 1.5, 2]
    let amplifications = shares.map { bench.amplification(cacheShare: $0) }
    let isAscending = zip(amplifications, amplifications.dropFirst()).allSatisfy { $0 < $1 }
    return TrendOutcome(
      figures: zip(shares, amplifications).map {
        TrendFigure("random stores, \(Int($0 * 100)) % of the cache", $1, "WA")
      },
      holds: amplifications[0] < 1 && isAscending && amplifications[3] > 10)
  },
]
