// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterRuntime
internal import ArbiterScheduler
internal import CommandSpec
internal import Glibc

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
  private var child: ChildProgram?
  private var began = 0.0

  /// Ends are waited for, SIGUSR1 is answered, all others are passed on.
  private static let signals = [SIGCHLD, SIGUSR1, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR2]

  init(_ invocation: Invocation<RunOptions>) throws {
    options = invocation.options
    words = [invocation.resolved.tool] + invocation.resolved.arguments()
    do throws(PlatformError) {
      file = try ProgramFile.find(
        options.program.first ?? "", searchPath: Console.environment("PATH"))
    } catch {
      throw Self.failure(error)
    }
    outputFile = if let path = options.output.output { try OutputFile(path) } else { nil }
  }

  /// By the custom of shells: 127 for no program, 126 for one that cannot be executed.
  private static func failure(_ error: PlatformError) -> Failure {
    Failure(
      error.code == .notFound ? ExitCode.noProgram : ExitCode.notExecutable, error.reason,
      hint: error.nextStep)
  }

  func run() throws -> Int32 {
    // An ignored SIGCHLD would make the kernel forget how the program ended.
    _ = signal(SIGCHLD, SIG_DFL)
    // Before any thread exists, so that all of them leave the signals to this one.
    let inbox = SignalInbox(Self.signals)
    defer { inbox.close() }
    do {
      gating = try Gating(options)
    } catch {
      try giveUp(error)
    }
    defer { gating?.close() }
    if let signal = Self.endBeforeStart(inbox) { return 128 + signal }
    began = Console.seconds
    let child = try start(inbox)
    self.child = child
    let ending = attend(child, inbox)
    gating?.stop()
    do {
      try write(summary(ending))
    } catch {
      // The program's own exit code says more than that nobody could read about it.
      Console.note(Failure(error).rendered + "\n")
    }
    return ending.code
  }

  /// A signal that asked for the end before there was a program to pass it on to.
  private static func endBeforeStart(_ inbox: SignalInbox) -> Int32? {
    while let signal = inbox.next(nanoseconds: 0) {
      let endsPrograms = [SIGINT, SIGTERM, SIGHUP, SIGQUIT].contains(signal.number)
      if endsPrograms && !SignalInbox.isIgnored(signal.number) { return signal.number }
    }
    return nil
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

  private func start(_ inbox: SignalInbox) throws -> ChildProgram {
    var environment = ChildProgram.ownEnvironment
    if let gating {
      environment = gating.library.environment(
        adding: environment, pagePath: gating.seat.pagePath, session: gating.session)
    }
    do throws(PlatformError) {
      return try ChildProgram(
        file, arguments: options.program, environment: environment, inbox: inbox,
        ignoresPipe: Tool.pipeWasIgnored)
    } catch {
      throw Self.failure(error)
    }
  }

  /// Waits for the program's end and answers signals meanwhile.
  private func attend(_ child: ChildProgram, _ inbox: SignalInbox) -> ChildProgram.Ending {
    while true {
      let signal = inbox.next(nanoseconds: gating?.tendNanoseconds)
      gating?.tend()
      guard let signal else { continue }
      switch signal.number {
      case SIGCHLD:
        if let ending = child.reap() { return ending }
      case SIGUSR1:
        do {
          try write(summary(nil))
        } catch {
          Console.note(Failure(error).rendered + "\n")
        }
      default:
        // What a terminal sends, it sends to the program too.
        if !signal.isFromKernel { child.send(signal.number) }
      }
    }
  }

  private func summary(_ ending: ChildProgram.Ending?) -> RunSummary {
    let gates = gating?.gates()
    let clock = TimeStampClock(ticksPerNanosecond: 1)
    return RunSummary(
      command: options.program, file: file, process: child?.process ?? 0,
      scheme: (gating?.choice.scheme ?? .baseline).rawValue,
      schemeReason: gating?.choice.reason ?? "the program runs without Arbiter.",
      ending: ending, wallSeconds: Console.seconds - began,
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
