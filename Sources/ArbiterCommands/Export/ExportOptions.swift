// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import CommandSpec

/// Options of `arbiter export`.
struct ExportOptions: Equatable {
  var listen: ListenAddress?
  var textfile: String?
  var interval = TimeSpan.seconds(1)
  var tasksMax = 100
  var processes = ProcessList([])
  var backEnd = WatchedSource.auto
  var isOnce = false
  var isQuiet = false

  static let intervalRange = TimeSpan.milliseconds(10)...TimeSpan.seconds(3600)
  static let tasksRange = 0...10_000

  static let groups: [OptionGroup<ExportOptions>] = [
    OptionGroup(
      "Where to",
      [
        .init(
          "listen", \.listen,
          help: "Serve metrics over HTTP at this numeric address and port, such as "
            + "127.0.0.1:9890 or [::1]:9890. Port 0 takes any that is free."),
        .init(
          "textfile", \.textfile, placeholder: "<FILE>", completion: .file,
          help: "Write metrics to this file, for the textfile collector of node_exporter, which "
            + "reads names that end in .prom."),
        .init(
          "once", \.isOnce,
          help: "Read once and end: into the file of --textfile, or to standard output as "
            + "OpenMetrics. Where programs are sampled, that is after one interval."),
      ]),
    OptionGroup(
      "What",
      [
        .init(
          "interval", \.interval,
          help: "Time from one reading of the counters to the next, whoever asks how often."),
        .init(
          "tasks", \.tasksMax,
          help: "Most tasks with figures of their own. Others are told as one, named other."),
        .init(
          "process", \.processes, short: "p",
          help: "Processes to tell of, and no others, whether they use slow memory or not."),
        .init("back-end", \.backEnd, help: WatchedSource.help),
        .init("quiet", \.isQuiet, short: "q", help: "No remarks on standard error."),
      ]),
  ]

  static func validate(_ options: ExportOptions) throws(UsageError) {
    if options.listen != nil, options.textfile != nil {
      throw UsageError(
        "--listen and --textfile are given together", hint: "run one export for each")
    }
    if options.textfile == "" {
      throw UsageError("--textfile is empty", hint: "name a file: --textfile=arbiter.prom")
    }
    if options.isOnce, options.listen != nil {
      throw UsageError(
        "--once serves nobody", hint: "leave --listen out to see the metrics on standard output")
    }
    if options.listen == nil, options.textfile == nil, !options.isOnce {
      throw UsageError(
        "nothing says where the metrics go",
        hint: "add --listen=127.0.0.1:9890, --textfile=FILE, or --once to see them here")
    }
    try checkTime("interval", options.interval, intervalRange)
    guard tasksRange.contains(options.tasksMax) else {
      throw UsageError(
        "--tasks=\(options.tasksMax) is not within \(tasksRange.lowerBound) to "
          + "\(tasksRange.upperBound)",
        hint: "each task costs the server a dozen series; 100 is a good number")
    }
  }
}
