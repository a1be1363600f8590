// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterWorkloads
internal import CommandSpec

/// Options of simulations that repeat a recording or make one.
struct ReplayOptions: Equatable {
  var trace: String?
  var thinkScale = 1.0
  var starts = ThreadStarts.together
  var record: String?

  /// Options that say what threads do; a recording says it instead.
  static let replaced = [
    "pattern", "store", "access", "fence-every", "region", "read-share", "think",
  ]

  static let group = OptionGroup<ReplayOptions>(
    "Recording",
    [
      .init(
        "trace", \.trace, placeholder: "<FILE>", completion: .file,
        help: "Recording that the threads repeat instead of a workload."),
      .init(
        "think-scale", \.thinkScale,
        help: "What the recorded threads' own times are multiplied with."),
      .init(
        "starts", \.starts, help: "Whether recorded threads begin together or when they once did."),
      .init(
        "record", \.record, placeholder: "<FILE>", completion: .file,
        help: "File for a recording of what the simulated threads do; goes with one run."),
    ])

  func validate() throws(UsageError) {
    for (name, path) in [("trace", trace), ("record", record)] where path == "" {
      throw UsageError("--\(name) is empty", hint: "name a file, or leave the option out")
    }
    let largest = RecordedProgram.largestThinkScale
    guard (0...largest).contains(thinkScale) else {
      throw UsageError(
        "--think-scale=\(thinkScale) is not within 0 to \(largest)",
        hint: "0 leaves no own time, 1 that of the recording")
    }
    if trace == nil && thinkScale != 1 {
      throw UsageError(
        "--think-scale=\(thinkScale) has no recording whose times it could change",
        hint: "add --trace=<FILE>")
    }
    if trace == nil && starts != .together {
      throw UsageError(
        "--starts=\(starts.rawValue) has no recording whose threads it could start",
        hint: "add --trace=<FILE>")
    }
    if let trace, let record {
      throw UsageError(
        "--record=\(record) does not go with --trace=\(trace)",
        hint: "leave out one of them; the trace is a recording already")
    }
  }

  /// Refuses options that say what threads do beside a recording.
  static func checkGiven(_ given: Set<String>, _ options: ReplayOptions) throws(UsageError) {
    guard let trace = options.trace else { return }
    let both = replaced.filter(given.contains).map { "--\($0)" }
    guard let last = both.last else { return }
    let list = both.count == 1 ? last : both.dropLast().joined(separator: ", ") + " and " + last
    throw UsageError(
      "\(list) \(both.count == 1 ? "does" : "do") not go with --trace=\(trace), which says what "
        + "the threads do",
      hint: "leave out \(list)")
  }
}
