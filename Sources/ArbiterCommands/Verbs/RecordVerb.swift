// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterRuntime
internal import ArbiterTrace
internal import CommandSpec
internal import Glibc

extension RecordOptions {
  static let name = "record"

  static let command: Command<RecordOptions> = Command(
    name: name,
    abstract: "Run a program and record what it does to memory.",
    discussion: """
      Starts the program, stays its parent, and writes each thread's accesses to a file, which \
      simulate --trace and trace read. Recorded are calls of libpmem and libpmem2, loads and \
      stores of programs that were built with the compiler hooks, and the workloads of \
      arbiter bench. The program's streams, terminal and exit code are its own; the summary goes \
      to standard error. SIGUSR1 writes the summary as it is at that moment; other signals are \
      passed on as by arbiter run.

      Each thread's times are its own: waiting for a processor and for the recorder is taken out, \
      so that a program recorded on few processors replays as on many.

      A thread that is faster than the file waits. What a thread has done before it dies, by \
      whatever signal, is in the file; should arbiter be killed, the file lacks the last second.
      """,
    initial: RecordOptions(), groups: groups,
    operands: [
      .command(
        \.program, isRequired: true,
        help: "Program and its arguments; the first word after the options needs no -- before it.")
    ],
    examples: [
      Example("Record a program", "record -o server.trace -- ./server"),
      Example(
        "Record a workload of Arbiter's own",
        "record -o bench.trace -- arbiter bench --threads=26"),
    ],
    seeAlso: ["arbiter-run", "arbiter-simulate", "arbiter-bench"],
    validate: { (options: RecordOptions) throws(UsageError) in try validate(options) },
    run: { try ProgramRecording($0).run() })
}

/// One recorded program from its start to its end.
private final class ProgramRecording {
  private let options: RecordOptions
  private let words: [String]
  private let path: String
  private let file: ProgramFile
  private var recording: Recording?
  private var host: ProgramHost?

  init(_ invocation: Invocation<RecordOptions>) throws {
    options = invocation.options
    path = options.recording ?? ""
    words = [invocation.resolved.tool] + invocation.resolved.arguments()
    file = try ProgramHost.find(options.program)
  }

  func run() throws -> Int32 {
    let host = ProgramHost(options.program, file: file)
    self.host = host
    defer { host.close() }
    var environment = ChildProgram.ownEnvironment.filter {
      !$0.hasPrefix("\(Recording.variableName)=")
    }
    if !options.hasNoPreload { environment = try library().preloading(environment) }
    let recording = try Recording(
      RecordingFile(path), clock: try TimeStampClock.measure())
    self.recording = recording
    recording.note(notes)
    if let signal = host.endBeforeStart() { return 128 + signal }
    try host.start(environment: environment + [recording.variable])
    let ending = host.attend(
      tend: { recording.tend() }, report: { write(summary(nil)) })
    recording.finish()
    write(summary(ending))
    // The program's own exit code says more than that its recording is incomplete.
    return ending.code
  }

  private func library() throws(Failure) -> PreloadLibrary {
    do throws(PlatformError) {
      return try PreloadLibrary.find(
        override: Console.environment(PreloadLibrary.variable),
        executable: PreloadLibrary.ownExecutable)
    } catch {
      throw Failure(
        ExitCode.unavailable, error.reason,
        hint: "\(error.nextStep), or record with --no-preload")
    }
  }

  /// Who recorded what, where and when.
  private var notes: [TraceNote] {
    var names = utsname()
    // SAFETY: the structure outlives the call; the tuple is an array of C that ends with zero.
    _ = unsafe uname(&names)
    let machine = unsafe withUnsafeBytes(of: &names.nodename) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    return [
      TraceNote("tool", "arbiter \(Version.text)"),
      TraceNote("command", options.program.joined(separator: " ")),
      TraceNote("machine", machine),
      TraceNote("processors", String(MachineTopology.read().logicalProcessorCount)),
      TraceNote("began", "\(time(nil)) s since 1970"),
      TraceNote("preload", options.hasNoPreload ? "no" : "yes"),
    ]
  }

  private func summary(_ ending: ChildProgram.Ending?) -> RecordSummary {
    RecordSummary(
      command: options.program, path: path, file: file, hasPreload: !options.hasNoPreload,
      ending: ending, wallSeconds: Console.seconds - (host?.began ?? 0),
      figures: recording?.figures ?? Recording.Figures(), regions: recording?.regions ?? [],
      outlivingCount: recording?.outlivingCount ?? 0, failure: recording?.failure?.message)
  }

  private func write(_ summary: RecordSummary) {
    if options.isQuiet { return }
    switch options.format {
    case .json: Console.note(summary.json(command: words).document())
    case .csv: Console.note(summary.csv)
    case .text: Console.note(summary.text(width: Console.error(.auto).columns))
    }
  }
}
