// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterTiering
internal import CommandSpec

extension TierOptions {
  static let name = "tier"

  static let command: Command<TierOptions> = Command(
    name: name,
    abstract: "Run a program with its memory placed in fast and slow memory.",
    discussion: """
      Starts the program, sees by samples which of its large memory is used most, and keeps that \
      in fast memory, at most as much of it as --fast allows; the rest lies in slow memory: a node \
      of CXL or persistent memory, a file on DAX, a device-DAX device, or any file. Programs need \
      not be changed. Memory is moved in pieces of 2 MiB, or of 32 KiB where what is hot is \
      scattered; the program runs on meanwhile and always finds its latest stores.

      With --slow=node:N the kernel moves pages and nothing is loaded into the program. With a \
      path a library is preloaded that moves memory inside the program; small allocations stay in \
      DRAM. Where userfaultfd is not granted, memory is placed when it is mapped and stays there.

      The program's streams, terminal and exit code are its own; the summary goes to standard \
      error. SIGUSR1 tells the summary as it is at that moment; arbiter top shows it live. Where \
      Arbiter itself fails, the program runs without it and one line says why, unless --strict is \
      given.
      """,
    initial: TierOptions(), groups: groups,
    operands: [
      .command(
        \.program, isRequired: true,
        help: "Program and its arguments; the first word after the options needs no -- before it.")
    ],
    examples: [
      Example("More memory than DRAM", "tier --fast=2GiB --slow=/mnt/pmem -- redis-server"),
      Example("Memory of another node", "tier --fast=8GiB --slow=node:1 ./server"),
      Example(
        "Record what was decided, and try other rules on it",
        "tier --fast=1GiB --slow=/dev/shm --record=session -- ./program"),
    ],
    seeAlso: ["arbiter-top", "arbiter-export", "arbiter-simulate", "arbiter-doctor"],
    validate: { (options: TierOptions) throws(UsageError) in try validate(options) },
    run: { try TierRun($0).run() })
}

/// One program from its start to its end.
private final class TierRun {
  private let options: TierOptions
  private let words: [String]
  private let file: ProgramFile
  private let outputFile: OutputFile?
  private let heatPlace: HeatPlace?
  private var tiering: Tiering?
  private var host: ProgramHost?
  private var remarks: [String] = []
  /// What was chosen and why, which nobody needs to read as long as there is nothing to place.
  private var choices: [String] = []

  init(_ invocation: Invocation<TierOptions>) throws {
    options = invocation.options
    words = [invocation.resolved.tool] + invocation.resolved.arguments()
    file = try ProgramHost.find(options.program)
    outputFile = if let path = options.output.output { try OutputFile(path) } else { nil }
    heatPlace = try options.heatPlace(command: words)
    if let path = options.metrics { try MetricsFile(path, option: "metrics").check() }
  }

  func run() throws -> Int32 {
    let host = ProgramHost(options.program, file: file)
    self.host = host
    defer { host.close() }
    do {
      tiering = try Tiering(options)
    } catch {
      try giveUp(error)
    }
    if let signal = host.endBeforeStart() { return 128 + signal }
    if let tiering {
      choices = tiering.probe.remarks
      if tiering.probe.staticReason != nil { tellChoices() }
      tiering.examine(file)
      try host.start(environment: tiering.environment) { start throws(PlatformError) in
        try tiering.launch(start)
      }
    } else {
      try host.start(environment: ChildProgram.ownEnvironment)
    }
    let ending = host.attend(
      tend: {
        guard let tiering else { return nil }
        let wait = tiering.tend()
        if !choices.isEmpty, tiering.nothing == nil { tellChoices() }
        tell(tiering.takeRemarks())
        return wait
      },
      report: { writeAnyway(nil) })
    tiering?.stop()
    if let tiering, tiering.nothing == nil { tellChoices() }
    remarks += choices.map(Self.line)
    tell(tiering?.takeRemarks() ?? [])
    writeAnyway(ending)
    return ending.code
  }

  private func tellChoices() {
    tell(choices)
    choices = []
  }

  private static func line(_ sentence: String) -> String {
    Failure.harmless(sentence.hasSuffix(".") ? sentence : sentence + ".")
  }

  /// Says something at once, one line each, and keeps it for the summary.
  private func tell(_ sentences: [String]) {
    for sentence in sentences {
      let line = Self.line(sentence)
      remarks.append(line)
      if !options.output.isQuiet { Console.note("arbiter tier: \(line)\n") }
    }
  }

  /// Runs the program without Arbiter where Arbiter fails, unless the user wants neither.
  private func giveUp(_ error: any Error) throws {
    var failure = Failure(error)
    var isUsers = failure.code == ExitCode.usage || failure.code == ExitCode.badInput
    if let error = error as? PlatformError {
      // Slow memory that is not there was named by the user; a library that is missing is ours.
      let isLibrary =
        error.path.map {
          $0.hasSuffix(TierPreload.fileName) || $0 == Console.environment(TierPreload.variable)
        } ?? false
      let isOfSlow = error.code == .unsupported && isSlowMemory(error.path)
      isUsers =
        error.code == .invalidArgument || isOfSlow || (error.code == .notFound && !isLibrary)
      if isLibrary { failure.code = ExitCode.unavailable }
    }
    // What the user named for what is told, or for what is taken: nothing of the machine's.
    if error is Failure { isUsers = failure.code != ExitCode.ourFault }
    guard !options.isStrict, !isUsers else { throw failure }
    let hint = failure.hint.map { "; \($0)" } ?? ""
    let line = Failure.harmless(failure.message + hint)
    remarks.append("The program runs without Arbiter: \(line).")
    Console.note("arbiter: warning: the program runs without Arbiter: \(line)\n")
  }

  /// Whether a path is what the user gave as slow memory, a folder of it or a node.
  private func isSlowMemory(_ path: String?) -> Bool {
    switch options.slow {
    case .path(let slow): path == slow
    case .node: path?.hasPrefix("/sys/devices/system/node") ?? false
    case nil: false
    }
  }

  /// The program's own exit code says more than that nobody could read about it.
  private func writeAnyway(_ ending: ChildProgram.Ending?) {
    do {
      try write(ending)
      if let tiering, let heatPlace, ending != nil {
        try heatPlace.write(tiering.heat(of: options.program), isComplete: true)
      }
    } catch {
      Console.note(Failure(error).rendered + "\n")
    }
  }

  private func write(_ ending: ChildProgram.Ending?) throws(Failure) {
    if outputFile == nil && options.output.isQuiet { return }
    // Whoever reads it on standard error has read the remarks there already.
    let isTold = outputFile == nil && options.output.format == .text
    let summary = TierSummary(
      program: options.program, process: host?.child?.process ?? 0, ending: ending,
      wallSeconds: Console.seconds - (host?.began ?? 0),
      cpuSeconds: ending.map { $0.userSeconds + $0.systemSeconds }
        ?? host?.child?.cpuSecondsSoFar(),
      reading: tiering?.reading, nothing: tiering?.nothing, remarks: isTold ? [] : remarks)
    let text =
      switch options.output.format {
      case .json: summary.json(command: words).document()
      case .csv: summary.csv
      case .text: summary.text(width: Console.error(options.output.color).columns)
      }
    if let outputFile {
      try outputFile.write(text)
    } else {
      Console.note(text)
    }
  }
}
