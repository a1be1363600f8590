// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterRuntime
internal import ArbiterScheduler
internal import CommandSpec

extension RunOptions {
  static let name = "run"

  static let command: Command<RunOptions> = Command(
    name: name,
    abstract: "Run a program with its writes to slow memory gated and counted.",
    discussion: """
      Starts the program with a library that stands between it and libpmem or libpmem2, and stays \
      its parent. What the program copies, fills and flushes through these libraries is counted \
      and admitted as the scheme says; every call keeps its meaning. The program's streams, \
      terminal and exit code are its own; the summary goes to standard error.

      SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGUSR2 sent to arbiter are passed on, those of the \
      terminal reach the program by themselves. SIGUSR1 writes the summary as it is at that moment.

      Amplification belongs to modules, so all runs of a user with the same scheme, profile, \
      period and longest delay share one controller; when the run that controls ends, another \
      takes over. Without persistent memory and without --profile no delay is ever inserted.

      Not reached are the program's own stores before it flushes them, stores and flushes by \
      instructions in the program itself, static programs, programs that change their rights, and \
      copies that the kernel makes.

      Where Arbiter itself fails, the program runs without it and one line says why, unless \
      --strict is given.
      """,
    initial: RunOptions(), groups: groups,
    operands: [
      .command(
        \.program, isRequired: true,
        help: "Program and its arguments; the first word after the options needs no -- before it.")
    ],
    examples: [
      Example("Count what a program writes", "run -- fio job.fio"),
      Example("At most two writers at a time", "run --scheme=lock --permits=2 ./server"),
      Example(
        "A summary for another program", "run --format=json --output=summary.json -- ./server"),
    ],
    seeAlso: ["arbiter-doctor", "arbiter-bench", "arbiter-explain"],
    validate: { (options: RunOptions) throws(UsageError) in try validate(options) },
    run: { try ProgramRun($0).run() })
}

/// One program from its start to its end.
private final class ProgramRun {
  private let options: RunOptions
  private let words: [String]
  private let file: ProgramFile
  private let outputFile: OutputFile?
  private var gating: Gating?
  private var host: ProgramHost?

  init(_ invocation: Invocation<RunOptions>) throws {
    options = invocation.options
    words = [invocation.resolved.tool] + invocation.resolved.arguments()
    file = try ProgramHost.find(options.program)
    outputFile = if let path = options.output.output { try OutputFile(path) } else { nil }
  }

  func run() throws -> Int32 {
    let host = ProgramHost(options.program, file: file)
    self.host = host
    defer { host.close() }
    do {
      gating = try Gating(options)
    } catch {
      try giveUp(error)
    }
    defer { gating?.close() }
    if let signal = host.endBeforeStart() { return 128 + signal }
    var environment = ChildProgram.ownEnvironment
    if let gating {
      environment = gating.library.environment(
        adding: environment, pagePath: gating.seat.pagePath, session: gating.session)
    }
    try host.start(environment: environment)
    var isFirst = true
    let ending = host.attend(
      tend: {
        if !isFirst { gating?.tend() }
        isFirst = false
        return gating?.tendNanoseconds
      },
      report: { writeAnyway(summary(nil)) })
    gating?.stop()
    writeAnyway(summary(ending))
    return ending.code
  }

  /// The program's own exit code says more than that nobody could read about it.
  private func writeAnyway(_ summary: RunSummary) {
    do {
      try write(summary)
    } catch {
      Console.note(Failure(error).rendered + "\n")
    }
  }

  /// Runs the program without Arbiter where Arbiter fails, unless the user wants neither.
  private func giveUp(_ error: any Error) throws {
    var failure = Failure(error)
    var isUsers = failure.code == ExitCode.usage || failure.code == ExitCode.badInput
    if let error = error as? PlatformError {
      // Options that clash with another run's; a library or a folder that is missing is ours.
      isUsers = error.code == .invalidArgument
      if error.code == .notFound { failure.code = ExitCode.unavailable }
    }
    guard !options.isStrict, !isUsers else { throw failure }
    let hint = failure.hint.map { "; \($0)" } ?? ""
    Console.note(
      "arbiter: warning: the program runs without Arbiter: "
        + "\(Failure.harmless(failure.message + hint))\n")
  }

  private func summary(_ ending: ChildProgram.Ending?) -> RunSummary {
    let gates = gating?.gates()
    let clock = TimeStampClock(ticksPerNanosecond: 1)
    let child = host?.child
    return RunSummary(
      command: options.program, file: file, process: child?.process ?? 0,
      scheme: (gating?.choice.scheme ?? .baseline).rawValue,
      schemeReason: gating?.choice.reason ?? "the program runs without Arbiter.",
      limits: gating?.limits ?? [],
      ending: ending, wallSeconds: Console.seconds - (host?.began ?? 0),
      cpuSeconds: ending.map { $0.userSeconds + $0.systemSeconds } ?? child?.cpuSecondsSoFar(),
      isGated: gating != nil, controller: gating?.controller, rows: gates?.rows ?? [],
      departedCount: gates?.departedCount ?? 0,
      departed: gates?.departed ?? GateCounts(clock: clock),
      sets: gating?.sets.map(\.status) ?? [])
  }

  private func write(_ summary: RunSummary) throws(Failure) {
    if outputFile == nil && options.output.isQuiet { return }
    let text =
      switch options.output.format {
      case .json: summary.json(command: words).document()
      case .csv: summary.csv
      case .text:
        summary.text(
          width: Console.error(options.output.color).columns, rowsMax: options.threads.count)
      }
    if let outputFile {
      try outputFile.write(text)
    } else {
      Console.note(text)
    }
  }
}
