// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlatform
internal import ArbiterProfiler
internal import ArbiterReport
internal import Glibc

/// Reads the counters once in every interval and leaves the metrics where they are asked for.
///
/// The thread that reads is the tool's first one. It waits for nothing but its clock and signals:
/// neither clients nor the number of scrapes reach it.
struct Exporter {
  /// Where metrics go.
  enum Target {
    case server(MetricsBoard)
    case file(MetricsFile)
  }

  private var metrics: WatchMetrics
  private var readingCount: UInt64 = 0
  private var watcher: Watcher

  /// Makes an exporter that has read nothing yet.
  ///
  /// - Parameters:
  ///   - tasksMax: How many tasks get series of their own.
  ///   - watcher: Reads all counters.
  init(tasksMax: Int, _ watcher: Watcher) {
    metrics = WatchMetrics(tasksMax: tasksMax)
    self.watcher = watcher
  }

  /// Reads all counters once.
  mutating func page() -> MetricsPage {
    let began = SystemClock.monotonicRawNanoseconds()
    let reading = watcher.read()
    let took = SystemClock.monotonicRawNanoseconds() - began
    readingCount += 1
    let families = metrics.families(
      of: reading, tiers: TierSession.notes(),
      .init(
        count: readingCount, unixSeconds: Self.unixSeconds, durationSeconds: Double(took) / 1e9))
    return MetricsPage(families, readNanoseconds: reading.timeNanoseconds)
  }

  /// Whether programs are sampled, so that figures of them grow from now on.
  var isSampling: Bool { watcher.tendNanoseconds != nil }

  /// Waits and takes in samples meanwhile.
  ///
  /// - Returns: The number of a signal that came; nil where the time is up.
  mutating func wait(_ span: TimeSpan, until inbox: SignalInbox) -> Int32? {
    let due = SystemClock.monotonicRawNanoseconds() + Int64(span.nanoseconds)
    return watcher.tend(until: due) { inbox.next(nanoseconds: $0) }?.number
  }

  /// Reads in every interval until a signal comes.
  ///
  /// A reading that takes longer than the interval is followed by the next one an interval later:
  /// missed ones are not made up for.
  ///
  /// - Returns: The signal's number.
  mutating func run(
    every interval: TimeSpan, to target: Target, until inbox: SignalInbox
  ) -> Int32 {
    let step = Int64(interval.nanoseconds)
    var next = SystemClock.monotonicRawNanoseconds() + step
    var hasFailed = false
    while true {
      if let signal = watcher.tend(until: next, { inbox.next(nanoseconds: $0) }) {
        return signal.number
      }
      let page = page()
      switch target {
      case .server(let board): board.last = page
      case .file(let file): write(page, to: file, &hasFailed)
      }
      next += step
      let now = SystemClock.monotonicRawNanoseconds()
      if next < now { next = now + step }
    }
  }

  /// A full disk passes; what was there before stays, and shows its age.
  private func write(_ page: MetricsPage, to file: MetricsFile, _ hasFailed: inout Bool) {
    do throws(Failure) {
      try file.write(page.text(.text, nowNanoseconds: nil))
      if hasFailed { Console.note("arbiter: the metrics are written again\n") }
      hasFailed = false
    } catch {
      // Said once, not in every interval.
      if !hasFailed {
        Console.note(
          "arbiter: warning: \(Failure.harmless(error.message)); trying again in every interval\n")
      }
      hasFailed = true
    }
  }

  private static var unixSeconds: Double {
    var time = timespec()
    // SAFETY: `time` outlives the call.
    _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
