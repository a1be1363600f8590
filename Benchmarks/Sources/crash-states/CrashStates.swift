// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// How many crash states of a data structure of 4 KiB are checked per second: recording the run,
// drawing the states, building their images and a cheap check of each are all in it. The figure is
// the median over several explorations of the nanoseconds per checked state, with its
// distribution-free 95 % interval; 50,000 states a second are 20 us each.
//
//   met        the whole interval lies at or below the limit
//   missed     the whole interval lies above it
//   undecided  the limit lies within the interval

internal import Arbiter
internal import ArbiterCrashTesting
internal import BenchmarkSupport
internal import Glibc

@main
enum CrashStatesBenchmark {
  static let limitNanoseconds = 20_000.0
  static let regionBytes = 4096

  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard arguments.allSatisfy({ $0 == "--smoke" }) else {
      print("usage: crash-states [--smoke]")
      exit(2)
    }
    let isSmoke = !arguments.isEmpty
    var verdicts: [Verdict] = []
    for batch in [1, 4, 12] {
      var options = CrashExplorer.Options()
      if isSmoke { options.statesMax = 5000 }
      verdicts.append(try measure(batch: batch, options: options, runCount: isSmoke ? 7 : 31))
    }
    let verdict = Verdict.worst(verdicts)
    print("crash-states: \(verdict.rawValue)\(isSmoke ? " (smoke: the figures mean nothing)" : "")")
    if verdict == .missed, !isSmoke { exit(1) }
  }

  static func measure(
    batch: Int, options: CrashExplorer.Options, runCount: Int
  ) throws -> Verdict {
    var times: [Double] = []
    var states = 0
    for _ in 0..<runCount {
      let start = ContinuousClock.now
      let covered = try explore(batch: batch, options: options)
      times.append((ContinuousClock.now - start) / .nanoseconds(covered.stateCount))
      states = covered.stateCount
    }
    let interval = Statistics.medianInterval(times)
    let verdict = Verdict(interval: interval, limit: limitNanoseconds)
    guard let median = Statistics.median(times), let interval else { return .undecided }
    print(
      "\(batch) records a batch: \(states) states, \(text(median, digits: 0)) ns each (95 % "
        + "\(text(interval.lowerBound, digits: 0)) to \(text(interval.upperBound, digits: 0))), "
        + "\(text(1e6 / median, digits: 0)) thousand a second: \(verdict.rawValue)")
    return verdict
  }

  /// Fills a region with records of a line each, and publishes them by a count, batch by batch.
  static func explore(
    batch: Int, options: CrashExplorer.Options
  ) throws -> CrashExploration {
    let records = regionBytes / 64 - 1
    return try CrashExplorer(bytes: regionBytes, options: options).explore { region in
      var done = 0
      while done < records {
        let last = min(records, done + batch)
        for number in done + 1...last {
          let record = (0..<8).map { UInt64(number << 8 | $0) }
          unsafe record.withUnsafeBytes { unsafe region.copy($0, to: number * 64) }
        }
        region.drain()
        region.storeAtomically(UInt64(last), at: 0)
        try region.persist(0..<8)
        done = last
      }
    } check: { image in
      let count = Int(image.word(at: 0))
      for number in stride(from: 1, through: count, by: 1)
      where image.word(at: number * 64 + 56) != UInt64(number << 8 | 7) { return false }
      return true
    }
  }
}
