// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterReport
internal import CommandSpec
internal import Glibc
internal import Synchronization

/// The command-line tool: its verbs and how it starts and ends.
public enum Tool {
  /// A verb that is described when somebody asks for it: describing all of them takes
  /// milliseconds, which every start would pay.
  private struct Entry: Sendable {
    var name: String
    var make: @Sendable () -> Verb

    init(_ name: String, _ make: @escaping @Sendable () -> Verb) {
      self.name = name
      self.make = make
    }
  }

  private static let groups: [(title: String, verbs: [Entry])] = [
    (
      "Model",
      [
        Entry("compare") { Verb(CompareOptions.command) },
        Entry("simulate") { Verb(SimulateOptions.command) },
        Entry("fidelity") { Verb(FidelityOptions.command) },
        Entry("sensitivity") { Verb(SensitivityOptions.command) },
      ]
    ),
    (
      "See",
      [
        Entry("measure") { Verb(MeasureOptions.command) },
        Entry("account") { Verb(AccountOptions.command) },
        Entry("top") { Verb(TopOptions.command) },
        Entry("heat") { Verb(HeatOptions.command) },
        Entry("export") { Verb(ExportOptions.command) },
      ]
    ),
    (
      "Recordings",
      [
        Entry("record") { Verb(RecordOptions.command) },
        Entry("trace") { Verb(TraceOptions.command) },
      ]
    ),
    (
      "Machine",
      [
        Entry("run") { Verb(RunOptions.command) },
        Entry("tier") { Verb(TierOptions.command) },
        Entry("bench") { Verb(BenchOptions.command) },
        Entry("doctor") { Verb(DoctorOptions.command) },
      ]
    ),
    (
      "Tool",
      [
        Entry("explain") { Verb(ExplainOptions.command) },
        Entry("completions") { Verb(CompletionsOptions.command) },
        Entry("version") { Verb(VersionVerb.command) },
      ]
    ),
  ]

  static let commands: CommandSet = CommandSet(
    name: "arbiter",
    abstract: "Get more out of memory that is slower than DRAM.",
    discussion: """
      Models persistent-memory modules, schedules the threads that write to them, and shows what \
      that costs and brings. Figures of simulate and compare are those of a model, in virtual \
      time; figures of run and bench are this machine's.
      """,
    groups: groups.map { group in VerbGroup(group.title, group.verbs.map { $0.make() }) },
    examples: [
      Example("See the effect", "compare"),
      Example("See what this machine has", "doctor"),
    ],
    exitStatuses: ExitCode.all)

  /// Verbs that Arbiter starts for itself: without man page, completion or a line in help.
  private static let hidden: CommandSet = CommandSet(
    name: "arbiter", abstract: "What Arbiter starts for itself.",
    groups: [VerbGroup("Helpers", [Verb(ReadModuleCountersOptions.command)])])

  /// The verbs among which the first argument is found: the one that it names, else all.
  private static func set(for name: String?) -> CommandSet {
    if name == HelperProgram.verb { return hidden }
    let named = groups.lazy.flatMap(\.verbs).first { $0.name == name }
    guard let named else { return commands }
    return CommandSet(
      name: "arbiter", abstract: "One verb.", groups: [VerbGroup("Verb", [named.make()])])
  }

  /// Stored before anything else runs; nothing else is ordered by it, so relaxed is enough.
  private static let wasPipeIgnored = Atomic<Bool>(false)

  /// Whether SIGPIPE was ignored when the tool was started, as programs that it runs inherit it.
  static var pipeWasIgnored: Bool { wasPipeIgnored.load(ordering: .relaxed) }

  /// Runs the tool.
  ///
  /// - Parameter arguments: What follows the tool's name.
  /// - Returns: The exit code.
  public static func run(_ arguments: [String]) -> Int32 {
    // A reader that goes away is noticed where the write fails.
    occupyClosedStreams()
    wasPipeIgnored.store(SignalInbox.isIgnored(SIGPIPE), ordering: .relaxed)
    _ = signal(SIGPIPE, SIG_IGN)
    do {
      if arguments.first == "write-documents" {
        return try writeDocuments(below: Array(arguments.dropFirst()))
      }
      if arguments.first == "write-results" {
        return try writeResults(below: Array(arguments.dropFirst()))
      }
      // The one option before a verb, because every other tool has it.
      let words = arguments == ["--version"] ? ["version"] : arguments
      switch try set(for: words.first).interpret(words) {
      case .help(let verb):
        let commands = words.first == HelperProgram.verb ? hidden : commands
        let terminal = Console.output()
        let style = HelpStyle(width: terminal.columns, isBold: terminal.hasColor)
        try Console.write(commands.help(on: verb, style: style))
        return ExitCode.done
      case .run(let prepared):
        return try prepared.run()
      }
    } catch {
      let failure = Failure(error)
      Console.note(failure.rendered + "\n")
      return failure.code
    }
  }

  /// Says why nothing can be done where the tool cannot see how it was called.
  ///
  /// - Returns: The exit code.
  public static func withoutArguments() -> Int32 {
    let failure = Failure(
      ExitCode.unavailable, "cannot read the command line: /proc is not mounted",
      hint: "mount it: mount -t proc proc /proc")
    Console.note(failure.rendered + "\n")
    return failure.code
  }

  /// Keeps the numbers of closed standard streams from files of ours.
  ///
  /// What is written to a closed stream must go nowhere. Programs that are run find them closed.
  private static func occupyClosedStreams() {
    for descriptor: Int32 in 0...2 where fcntl(descriptor, F_GETFD) < 0 {
      // The lowest free number is this one; neither reading nor writing works on a folder.
      _ = unsafe open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    }
  }

  /// Finds examples in help and man pages that do not parse.
  ///
  /// - Returns: Each such example with the error that answers it; nothing in a sound tool.
  public static func brokenExamples() -> [String] {
    commands.brokenExamples().map { "\($0.example.arguments): \($0.error.message)" }
  }

  /// The man pages and completion scripts: paths in the repository and texts.
  static func documents() -> [(path: String, text: String)] {
    let pages = commands.manualPages(date: Version.date).map {
      (path: "Documentation/man/\($0.fileName)", text: $0.text)
    }
    let scripts = [("arbiter.bash", Shell.bash), ("_arbiter", .zsh), ("arbiter.fish", .fish)].map {
      (path: "completions/\($0.0)", text: commands.completionScript(for: $0.1))
    }
    return pages + scripts
  }

  /// Writes the documents below a folder; for `Documentation/man/regenerate`, not for users.
  private static func writeDocuments(below operands: [String]) throws -> Int32 {
    guard operands.count == 1, let root = operands.first, !root.isEmpty else {
      throw UsageError(
        "write-documents takes one folder", hint: "run Documentation/man/regenerate instead")
    }
    for document in documents() {
      try FileSystem.write(document.text, to: "\(root)/\(document.path)")
    }
    return ExitCode.done
  }
}
