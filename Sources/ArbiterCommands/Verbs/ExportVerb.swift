// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterProfiler
internal import ArbiterReport
internal import CommandSpec
internal import Glibc

extension ExportOptions {
  static let command: Command<ExportOptions> = Command(
    name: "export",
    abstract: "Tell Prometheus who uses the slow memory, and at what cost.",
    discussion: """
      Reads the counters of all devices and tasks once in every interval, and serves the last \
      reading as OpenMetrics at /metrics, or writes it to a file. Clients and the number of their \
      scrapes do not disturb the readings: a connection has ten seconds, and when there are more \
      than 32 the oldest is closed.

      What programs store outside of gates is sampled, as arbiter account does it: a clock's \
      samples give costs in seconds under names of their own, never bytes.

      Figures that cannot be seen are left out, and arbiter_unavailable_info names each with its \
      reason; none is ever 0 for want of a counter. A reading's age is in \
      arbiter_reading_age_seconds.

      With --listen the first line on standard output is the URL. SIGTERM ends it with exit \
      code 0. A file of --textfile stays behind, and its arbiter_reading_timestamp_seconds tells \
      that nobody writes it any more.
      """,
    initial: ExportOptions(), groups: groups,
    examples: [
      Example("Serve metrics to this machine", "export --listen=127.0.0.1:9890"),
      Example("See them", "export --once"),
      Example(
        "Write them for node_exporter",
        "export --textfile=/var/lib/prometheus/node-exporter/arbiter.prom"),
    ],
    seeAlso: ["arbiter-top", "arbiter-account", "arbiter-run", "arbiter-doctor"],
    validate: { (options: ExportOptions) throws(UsageError) in try validate(options) },
    run: { try export($0.options) })

  private static func export(_ options: ExportOptions) throws -> Int32 {
    // Before any other thread exists, so that none takes the signals.
    let inbox = SignalInbox([SIGINT, SIGTERM, SIGHUP])
    defer { inbox.close() }
    let watcher = try options.backEnd.makeWatcher(
      processes: options.processes.numbers, everyProcess: false,
      isScript: options.isOnce)
    var exporter = Exporter(tasksMax: options.tasksMax, watcher)
    var first = exporter.page()
    if options.isOnce, exporter.isSampling {
      // Of what has just begun to be sampled nothing is known yet.
      if let signal = exporter.wait(options.interval, until: inbox) { return code(signal) }
      first = exporter.page()
    }
    if let path = options.textfile {
      let file = MetricsFile(path)
      try file.write(first.text(.text, nowNanoseconds: nil))
      if options.isOnce { return ExitCode.done }
      if !options.isQuiet, !file.isCollected {
        Console.note(
          "arbiter: warning: node_exporter reads files whose names end in .prom, and "
            + "\(Failure.harmless(path)) does not\n")
      }
      return code(exporter.run(every: options.interval, to: .file(file), until: inbox))
    }
    guard let address = options.listen else {
      let now = SystemClock.monotonicRawNanoseconds()
      try Console.write(first.text(.openMetrics, nowNanoseconds: now))
      return ExitCode.done
    }
    let board = MetricsBoard(first)
    let server = try MetricsServer(at: address, board)
    if !options.isQuiet, !address.isLoopback {
      Console.note(
        "arbiter: warning: \(address.host) is not loopback: whoever reaches this machine there "
          + "sees the names and the traffic of its programs\n")
    }
    try Console.write("http://\(address.text(port: server.port))/metrics\n")
    let signal = exporter.run(every: options.interval, to: .server(board), until: inbox)
    // Not before the last reading: it holds what the handler uses.
    withExtendedLifetime(server) {}
    return code(signal)
  }

  /// Who asks a service to end by SIGTERM wants to hear that it ended well.
  private static func code(_ signal: Int32) -> Int32 {
    switch signal {
    case SIGTERM: ExitCode.done
    case SIGINT: ExitCode.interrupted
    default: 128 + signal
    }
  }
}
