// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterProfiler
internal import ArbiterRuntime
internal import CommandSpec

/// How verbs that watch without end see what programs store outside of gates.
enum WatchedSource: String, WordValue, CaseIterable {
  case auto
  case pebs
  case timer
  case none

  static var placeholder: String { "<BACK-END>" }

  static let help =
    "How stores outside of gates are seen: pebs (precise events of the processor), timer (a "
    + "clock's samples) or none. auto is pebs where there is such a unit, else timer, and samples "
    + "programs that use slow memory or that --process names; pebs and timer sample all that are "
    + "shown."

  /// Makes a watcher that samples in this way.
  ///
  /// - Parameters:
  ///   - processes: Processes that are watched besides those that use slow memory.
  ///   - everyProcess: Whether all are.
  ///   - isScript: Whether a script reads what comes: it rather waits than misses a process;
  ///     somebody who looks at a screen does not.
  /// - Returns: A watcher that has read nothing yet.
  /// - Throws: `PlatformError` where the back-end was asked for by name and does not work here.
  func makeWatcher(
    processes: [Int32], everyProcess: Bool, isScript: Bool
  ) throws(PlatformError) -> Watcher {
    var options = Watcher.Options()
    options.processes = processes
    options.everyProcess = everyProcess
    if isScript { options.mapNanosecondsMax = Watcher.Options.mapNanosecondsOfScripts }
    let wanted = BackEnd(rawValue: rawValue)
    if let wanted {
      // Whoever asks for it by name wants to hear at once that it does not work.
      _ = try BackEndProbe.choose(wanted: wanted)
      options.samplesEveryProcess = true
    }
    return Watcher(
      options: options,
      runtimeFolder: FoundPages.folder(
        chosen: Console.environment("ARBITER_RUNTIME_DIR"),
        runtimeFolder: Console.environment("XDG_RUNTIME_DIR")),
      sampler: self == .none ? nil : SampledTasks(wanted: wanted))
  }
}

extension Watcher {
  /// Waits until a moment and takes in samples meanwhile.
  ///
  /// - Parameters:
  ///   - due: The moment, in nanoseconds of CLOCK_MONOTONIC_RAW.
  ///   - wait: Waits at most so long; what it returns ends the wait.
  /// - Returns: What `wait` returned; nil when the moment has come.
  mutating func tend<Event>(
    until due: Int64, _ wait: (_ nanoseconds: Int64) -> Event?
  ) -> Event? {
    while true {
      let left = max(0, due - SystemClock.monotonicRawNanoseconds())
      let step = tendNanoseconds.map { min($0, left) } ?? left
      if let event = wait(step) { return event }
      tend()
      if due <= SystemClock.monotonicRawNanoseconds() { return nil }
    }
  }
}
