// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlatform
internal import ArbiterProfiler
internal import ArbiterReport
internal import CommandSpec
internal import Glibc

extension AccountOptions {
  static let name = "account"

  static let command: Command<AccountOptions> = Command(
    name: name,
    abstract: "Tell which task stores how much to which memory.",
    discussion: """
      Watches a program from its start, or running processes with all their threads, and charges \
      what they store and load to what they have mapped: files, anonymous memory, persistent \
      memory. Nothing of the programs changes, and nothing is left in them.

      The best back-end that works here is used and named, with the reason why no better one is. \
      Back-end timer measures time-weighted store cost: it ranks memory by the time that stores \
      to it take and counts none. Figures that a back-end cannot see are unavailable and never 0; \
      samples that are lost are counted and told.

      A program keeps its streams, terminal and exit code, and the account goes to standard \
      error; that of running processes goes to standard output. SIGUSR1 tells the account as it \
      is at that moment. Sampling others needs kernel.perf_event_paranoid at 2 or below, and \
      their user's rights.
      """,
    initial: AccountOptions(), groups: groups,
    operands: [
      .command(
        \.program, isRequired: false,
        help: "Program and its arguments; the first word after the options needs no -- before it.")
    ],
    examples: [
      Example("Who stores where in a program", "account -- ./server"),
      Example("Ten seconds of a running process", "account -p 4711 --duration=10s"),
      Example(
        "Everybody who maps slow memory, as files", "account --all --files=/run/arbiter-account"),
    ],
    seeAlso: ["arbiter-run", "arbiter-record", "arbiter-doctor", "arbiter-explain"],
    validate: { (options: AccountOptions) throws(UsageError) in try validate(options) },
    run: { try AccountRun($0).run() })
}

/// One account, from the first look to the last word.
private final class AccountRun {
  private let options: AccountOptions
  private let words: [String]
  private let outputFile: OutputFile?
  private var accounting: Accounting?
  private var program: ProgramFile?
  private var began = Console.seconds
  private var toldSeconds = Console.seconds

  init(_ invocation: Invocation<AccountOptions>) throws {
    options = invocation.options
    words = [invocation.resolved.tool] + invocation.resolved.arguments()
    outputFile = if let path = options.output.output { try OutputFile(path) } else { nil }
  }

  func run() throws -> Int32 {
    options.program.isEmpty ? try watchProcesses() : try watchProgram()
  }

  // MARK: A program

  private func watchProgram() throws -> Int32 {
    let file = try ProgramHost.find(options.program)
    let host = ProgramHost(options.program, file: file)
    program = file
    defer { host.close() }
    let accounting = try Accounting(options)
    self.accounting = accounting
    if let signal = host.endBeforeStart() { return 128 + signal }
    try host.start(environment: ChildProgram.ownEnvironment) { start throws(PlatformError) in
      try accounting.launch(start)
    }
    begin()
    let ending = host.attend(
      tend: {
        accounting.tend()
        tellNowAndThen()
        return AccountOptions.drainNanoseconds
      },
      report: { tellAnyway(isComplete: false, exitCode: nil) })
    accounting.stop()
    // The program's own exit code says more than that nobody could read about it.
    let failure = tellAnyway(isComplete: true, exitCode: ending.code)
    return ending.code == 0 ? failure?.code ?? 0 : ending.code
  }

  @discardableResult
  private func tellAnyway(isComplete: Bool, exitCode: Int32?) -> Failure? {
    do throws(Failure) {
      try tell(isComplete: isComplete, exitCode: exitCode)
      return nil
    } catch {
      Console.note(error.rendered + "\n")
      return error
    }
  }

  // MARK: Running processes

  private func watchProcesses() throws -> Int32 {
    let inbox = SignalInbox([SIGINT, SIGTERM, SIGHUP, SIGUSR1])
    defer { inbox.close() }
    let accounting = try Accounting(options)
    self.accounting = accounting
    for process in options.processes.numbers { try accounting.watch(process) }
    if options.isAll && !options.includesEveryProcess && !accounting.hasSlowMemory {
      throw Failure(
        ExitCode.unavailable,
        "this machine has no memory slower than DRAM that a process could map",
        hint: "add --every-process to watch all processes of this user")
    }
    begin()
    var notice = WatchNotice(
      "account", of: options.isAll ? "processes" : options.processes.watchedText,
      during: options.duration,
      // Accounts on the way tell enough, and would stand beside the progress line.
      isQuiet: options.output.isQuiet || options.interval != nil)
    defer { notice.finish() }
    var signal: Int32?
    while signal == nil {
      accounting.tend()
      tellNowAndThen()
      notice.show()
      if !options.isAll && accounting.living.isEmpty { break }
      let left = options.duration.map { $0.nanoseconds / 1e9 - (Console.seconds - began) }
      if let left, left <= 0 { break }
      let wait = min(AccountOptions.drainNanoseconds, Int64(max(0, left ?? 1) * 1e9))
      guard let arrived = inbox.next(nanoseconds: wait) else { continue }
      if arrived.number == SIGUSR1 {
        notice.finish()
        try tell(isComplete: false, exitCode: nil)
      } else {
        signal = arrived.number
      }
    }
    accounting.stop()
    notice.finish()
    try tell(isComplete: true, exitCode: nil)
    // Without a duration Ctrl-C is how an account ends.
    guard let signal, signal != SIGINT || options.duration != nil else { return ExitCode.done }
    return 128 + signal
  }

  // MARK: Telling

  private func begin() {
    began = Console.seconds
    toldSeconds = began
  }

  private func tellNowAndThen() {
    guard let interval = options.interval else { return }
    let now = Console.seconds
    guard now - toldSeconds >= interval.nanoseconds / 1e9 else { return }
    toldSeconds = now
    tellAnyway(isComplete: false, exitCode: nil)
  }

  private func summary(isComplete: Bool, exitCode: Int32?) -> AccountSummary? {
    guard let accounting else { return nil }
    let (reading, gates) = accounting.readings()
    return AccountSummary(
      program: options.program, exitCode: exitCode, choice: accounting.choice, reading: reading,
      gates: gates, wallSeconds: Console.seconds - began, isComplete: isComplete,
      notes: notes(accounting))
  }

  private func notes(_ accounting: Accounting) -> [String] {
    var notes: [String] = []
    if let note = accounting.resolverNote {
      notes.append(note.prefix(1).uppercased() + note.dropFirst() + ".")
    }
    if let period = options.period, !period.isUsed(by: accounting.choice.backEnd) {
      notes.append(
        "--period=\(period.argumentText) is no period of back-end "
          + "\(accounting.choice.backEnd.rawValue), which took its own.")
    }
    if let note = ProgramHost.rightsNote(program) { notes.append(note) }
    for (reason, count) in accounting.refusals.sorted(by: { $0.key < $1.key }) {
      notes.append("Not watched: \(count) \(count == 1 ? "process" : "processes"): \(reason).")
    }
    if let failure = accounting.fileFailure {
      notes.append("The files of --files are not complete: \(Failure(failure).message).")
    }
    return notes
  }

  private func tell(isComplete: Bool, exitCode: Int32?) throws(Failure) {
    let isProgram = !options.program.isEmpty
    if isProgram && outputFile == nil && options.output.isQuiet { return }
    guard let summary = summary(isComplete: isComplete, exitCode: exitCode) else { return }
    let text: String
    switch options.output.format {
    case .json:
      let json = summary.json(command: words)
      text = options.interval == nil ? json.document() : json.line + "\n"
    case .csv: text = summary.csv
    case .text:
      let terminal =
        isProgram ? Console.error(options.output.color) : Console.output(options.output.color)
      text = summary.text(width: terminal.columns, rowsMax: options.rows.count)
    }
    if let outputFile {
      // A file holds one account: the latest.
      try outputFile.write(text)
    } else if isProgram {
      Console.note(text)
    } else {
      try Console.write(text)
    }
  }
}
