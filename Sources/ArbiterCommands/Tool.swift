// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterReport
internal import CommandSpec
internal import Glibc

/// The command-line tool: its verbs and how it starts and ends.
public enum Tool {
  static let commands: CommandSet = CommandSet(
    name: "arbiter",
    abstract: "Get more out of memory that is slower than DRAM.",
    discussion: """
      Models persistent-memory modules, schedules the threads that write to them, and shows what \
      that costs and brings. Figures of simulate and compare are those of a model, in virtual time; \
      figures of bench are this machine's.
      """,
    groups: [
      VerbGroup("Model", [Verb(CompareOptions.command), Verb(SimulateOptions.command)]),
      VerbGroup("Machine", [Verb(BenchOptions.command), Verb(DoctorOptions.command)]),
      VerbGroup(
        "Tool",
        [
          Verb(ExplainOptions.command), Verb(CompletionsOptions.command),
          Verb(VersionVerb.command),
        ]),
    ],
    examples: [
      Example("See the effect", "compare"),
      Example("See what this machine has", "doctor"),
    ],
    exitStatuses: ExitCode.all)

  /// Runs the tool.
  ///
  /// - Parameter arguments: What follows the tool's name.
  /// - Returns: The exit code.
  public static func run(_ arguments: [String]) -> Int32 {
    // A reader that goes away is noticed where the write fails.
    _ = signal(SIGPIPE, SIG_IGN)
    do {
      switch try commands.interpret(arguments) {
      case .help(let verb):
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

  /// The man pages: file names and texts.
  ///
  /// - Parameter date: The date that the pages bear, as `November 21, 2026`.
  /// - Returns: One page for the tool and one for each verb.
  public static func manualPages(date: String) -> [(fileName: String, text: String)] {
    commands.manualPages(date: date).map { ($0.fileName, $0.text) }
  }
}
