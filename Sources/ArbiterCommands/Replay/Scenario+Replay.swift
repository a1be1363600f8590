// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterReport
internal import ArbiterScheduler
internal import ArbiterSimulator
internal import ArbiterTrace
internal import ArbiterWorkloads

extension Scenario {
  /// The recorder of what the threads do.
  func recorder(at path: String) throws -> SimulationRecorder {
    try SimulationRecorder(
      path, threadCount: threads, regionBytes: workload.regionBytes,
      notes: [
        TraceNote("tool", "arbiter \(Version.text)"), TraceNote("profile", profileName),
        TraceNote("scheme", scheme.rawValue), TraceNote("seed", "\(seed)"),
      ])
  }

  /// What the run repeated of a recording; nil where there is none.
  ///
  /// - Throws: ``Failure`` where the recording turned out to be damaged.
  func replaySummary(_ simulation: borrowing Simulation) throws -> ReplaySummary? {
    guard let replay, let counts = simulation.replayCounts else { return nil }
    if let failure = simulation.replayFailure {
      guard let error = failure as? TraceError else { throw failure }
      throw Failure(error, of: replay.path)
    }
    return ReplaySummary(
      recordedThreadCount: counts.recordedThreadCount, cloneCount: counts.cloneCount,
      eventCount: counts.eventCount, lostCount: replay.lostCount,
      outsideCount: counts.outsideCount, isComplete: simulation.isFinished)
  }

  /// A replay that has nothing left for the measurement.
  func endedEarly(_ time: TimeSpan, before prelude: TimeSpan) -> Failure {
    Failure(
      ExitCode.usage,
      "the replay ended after \(Self.rounded(time)), before what precedes the measurement "
        + "(\(prelude)) was over",
      hint: "shorten --warm-up, or record for longer")
  }

  private static func rounded(_ time: TimeSpan) -> TimeSpan {
    let unit: Int64 = time.picoseconds < 1_000_000_000 ? 1_000 : 1_000_000
    return TimeSpan(picoseconds: time.picoseconds / unit * unit)
  }
}
