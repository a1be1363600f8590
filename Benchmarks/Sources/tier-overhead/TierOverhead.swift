// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What `arbiter tier` costs a program whose memory all fits into fast memory: pairs of runs, once
// alone and once under the tool, in turn; which comes first alternates. Three figures each:
//
//   run time   under the tool over alone, from the start to the end; the limit is 1.03
//   tracker    its CPU time in percent of one core; the limit is 3 %
//   metadata   what Arbiter keeps, in percent of the memory it manages; the limit is 0.3 %
//
// They are medians over the pairs with their distribution-free 95 % intervals.
//
//   met        the whole interval lies at or below the limit
//   missed     the whole interval lies above it
//   undecided  the limit lies within the interval
//
//   tier-overhead [--smoke] PATH-OF-ARBITER [PAIRS [WORK...]]
//
// WORK is mapped, heap or sort; without one all are run. With --smoke the work is small, and what
// is judged is only that it is done right.

internal import Arbiter
internal import BenchmarkSupport

#if canImport(Glibc)
internal import Glibc
#endif

@main
enum TierOverheadBenchmark {
  static func main() {
    var words = Array(CommandLine.arguments.dropFirst())
    let isSmoke = words.contains("--smoke")
    words.removeAll { $0 == "--smoke" }
    let pairs = words.count >= 2 ? Int(words[1]) : isSmoke ? 2 : 11
    let chosen = words.dropFirst(2).map { Work.Kind(rawValue: $0) }
    guard let tool = words.first, let pairs, pairs > 0, !chosen.contains(nil) else {
      print("usage: tier-overhead [--smoke] PATH-OF-ARBITER [PAIRS [mapped|heap|sort...]]")
      exit(2)
    }
    let folder = "/dev/shm/arbiter-tier-overhead-\(getpid())"
    guard unsafe mkdir(folder, 0o700) == 0 else { end("no folder \(folder)") }
    defer { _ = unsafe rmdir(folder) }
    let kinds = chosen.isEmpty ? Work.Kind.allCases : chosen.compactMap { $0 }
    let verdicts = kinds.flatMap { kind in
      let work = Work(kind, isSmoke: isSmoke, folder: folder)
      let verdicts = measure(work, tool: tool, pairs: pairs, folder: folder)
      work.input.map { _ = unsafe unlink($0) }
      return verdicts
    }
    if isSmoke { return print("tier-overhead: not judged") }
    let worst = Verdict.worst(verdicts)
    print("tier-overhead: \(worst)")
    if worst == .missed {
      _ = unsafe rmdir(folder)
      exit(1)
    }
  }

  /// All pairs of one kind of work.
  private static func measure(_ work: Work, tool: String, pairs: Int, folder: String) -> [Verdict] {
    let summary = folder + "/summary.json"
    let tiered =
      [
        tool, "tier", "--quiet", "--fast=4GiB", "--slow=\(folder)", "--slow-size=1GiB",
        "--format=json", "--output=\(summary)", "--",
      ] + work.words
    var trackers: [Double] = []
    var metadata: [Double] = []
    // Once before anything counts: files come from the disk.
    _ = Run.seconds(tiered)
    let times = Pairs(
      count: pairs, first: { _ in Run.seconds(work.words) },
      second: { _ in
        let seconds = Run.seconds(tiered)
        let text = Run.contents(summary)
        trackers.append(100 * figure("tracker_cpu_seconds", text) / seconds)
        metadata.append(100 * figure("metadata_bytes", text) / Double(work.managedBytes))
        return seconds
      })
    _ = unsafe unlink(summary)
    print("\(work.name), \(text(Statistics.median(times.first) ?? 0)) s alone, \(pairs) pairs")
    return [
      report("run time", times.ratios, limit: 1.03, unit: ""),
      report("tracker", trackers, limit: 3, unit: " %"),
      report("metadata", metadata, limit: 0.3, unit: " %"),
    ]
  }

  private static func report(
    _ label: String, _ figures: [Double], limit: Double, unit: String
  ) -> Verdict {
    let interval = Statistics.medianInterval(figures)
    let verdict = Verdict(interval: interval, limit: limit)
    let around = interval.map {
      " (95 % \(text($0.lowerBound, digits: 3)) to \(text($0.upperBound, digits: 3)))"
    }
    print(
      "  \(label) \(text(Statistics.median(figures) ?? 0, digits: 3))\(unit)\(around ?? ""): "
        + "\(verdict) against \(limit)\(unit)")
    fflush(nil)
    return verdict
  }

  /// The number of a member of the summary, whose names are each used once.
  private static func figure(_ name: String, _ text: String) -> Double {
    let parts = text.split(separator: "\"\(name)\":", maxSplits: 1)
    let digits = parts.last?.drop { $0 == " " }.prefix { "0123456789.eE+-".contains($0) }
    guard parts.count == 2, let number = digits.flatMap({ Double($0) }) else {
      end("the summary has no \(name)")
    }
    return number
  }

  /// Ends the benchmark with a sentence.
  static func end(_ reason: String) -> Never {
    print("tier-overhead: invalid, \(reason)")
    exit(1)
  }
}
