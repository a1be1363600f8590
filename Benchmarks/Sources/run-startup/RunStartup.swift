// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What `arbiter run` adds to a program's start and end: pairs of `true`, once alone and once under
// `arbiter run --scheme=baseline`, in turn; the order within a pair alternates. The figure is the
// median over the pairs of the difference, with its distribution-free 95 % interval.
//
//   met        the whole interval lies at or below the limit
//   missed     the whole interval lies above it
//   undecided  the limit lies within the interval

internal import Arbiter
internal import BenchmarkSupport

#if canImport(Glibc)
internal import Glibc
#endif

@main
enum RunStartupBenchmark {
  static let limitMilliseconds = 5.0

  static func main() {
    var words = Array(CommandLine.arguments.dropFirst())
    let isSmoke = words.contains("--smoke")
    words.removeAll { $0 == "--smoke" }
    guard words.count == 1, let tool = words.first else {
      print("usage: run-startup [--smoke] PATH-OF-ARBITER")
      exit(2)
    }
    let gated = [tool, "run", "--quiet", "--strict", "--scheme=baseline", "--", "/bin/true"]
    let arms = [["/bin/true"], gated, [tool, "version"]]
    // Once each before anything counts: the files come from the disk.
    for arm in arms { _ = milliseconds(arm) }
    var times: [[Double]] = [[], [], []]
    for pair in 0..<(isSmoke ? 11 : 201) {
      for step in arms.indices {
        let arm = (pair + step) % arms.count
        times[arm].append(milliseconds(arms[arm]))
      }
    }
    let differences = zip(times[1], times[0]).map { $0 - $1 }
    let version = zip(times[2], times[0]).map { $0 - $1 }
    guard let median = Statistics.median(differences),
      let interval = Statistics.medianInterval(differences),
      let versionMedian = Statistics.median(version), let bare = Statistics.median(times[0])
    else { return print("run-startup: undecided, too few pairs") }
    let verdict = Verdict(interval: interval, limit: limitMilliseconds)
    print(
      "true \(text(bare)) ms; arbiter run adds \(text(median)) ms "
        + "(95 % \(text(interval.lowerBound)) to \(text(interval.upperBound)), "
        + "\(differences.count) pairs), arbiter version \(text(versionMedian)) ms")
    print("run-startup: \(verdict) against \(limitMilliseconds) ms")
    if verdict == .missed && !isSmoke { exit(1) }
  }

  /// The time from starting a program until its end is known.
  static func milliseconds(_ words: [String]) -> Double {
    guard let seconds = ProgramTime.seconds(words) else {
      print("run-startup: cannot run \(words.joined(separator: " "))")
      exit(1)
    }
    return seconds * 1e3
  }
}
