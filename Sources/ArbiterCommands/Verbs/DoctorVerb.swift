// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterRuntime
internal import CommandSpec

/// Options of `arbiter doctor`.
struct DoctorOptions: Equatable {
  var format = DoctorFormat.text
  var color = ColorChoice.auto

  static let command: Command<DoctorOptions> = Command(
    name: "doctor",
    abstract: "Say what this machine has for slow memory, and what follows.",
    discussion: """
      Looks at processors, memory nodes, persistent memory, DAX and counters, and at what can be \
      sampled, decoded, placed and served here. Reads only; needs no privileges, and says unknown \
      where it may not look.
      """,
    initial: DoctorOptions(),
    groups: [
      OptionGroup(
        "Output",
        [
          .init("format", \.format, help: "Text or JSON."),
          .init("color", \.color, help: "Whether text is coloured; NO_COLOR is respected."),
        ])
    ],
    examples: [Example("Look at this machine", "doctor")],
    seeAlso: ["arbiter-bench", "arbiter-measure", "arbiter-account"],
    run: { try doctor($0.options) })

  private static func doctor(_ options: DoctorOptions) throws -> Int32 {
    let report = MachineReport.gather()
    let findings =
      report.findings + [preloadFinding] + SeeingFindings.gather() + TieringFindings.gather()
    switch options.format {
    case .text: try Console.write(text(report, findings, on: Console.output(options.color)))
    case .json: try Console.write(json(report, findings).document())
    }
    return ExitCode.done
  }

  /// Whether `arbiter run` can gate programs, and which of their writes.
  private static var preloadFinding: Finding {
    let reach =
      "It reaches \(RunSummary.reached.joined(separator: " and ")); it does not reach "
      + RunSummary.notReached.joined(separator: ", nor ") + "."
    do throws(PlatformError) {
      let library = try PreloadLibrary.find(
        override: Console.environment(PreloadLibrary.variable),
        executable: PreloadLibrary.ownExecutable)
      return Finding(
        topic: "preload", status: .available,
        sentence: "Programs are gated by \(library.path). \(reach)")
    } catch {
      return Finding(
        topic: "preload", status: .absent,
        sentence: "Programs cannot be gated: \(error.reason); \(error.nextStep). \(reach)")
    }
  }

  private static func text(
    _ report: MachineReport, _ findings: [Finding], on terminal: Terminal
  ) -> String {
    var lines: [String] = []
    func section(_ title: String) { lines += ["", terminal.styled(title, .bold)] }
    lines.append(terminal.styled("This machine", .bold))
    for finding in findings { lines += item(finding, on: terminal) }
    section("What follows")
    for sentence in report.consequences {
      lines += Console.wrapped(sentence, mark: "- ", width: terminal.columns)
    }
    section("Persistent memory without persistent memory")
    for finding in MachineReport.emulations { lines += item(finding, on: terminal) }
    return lines.map { $0 + "\n" }.joined()
  }

  private static func item(_ finding: Finding, on terminal: Terminal) -> [String] {
    let mark =
      switch finding.status {
      case .available: terminal.styled("yes", .green)
      case .absent: "no "
      case .unknown: terminal.styled("?  ", .yellow)
      }
    let lines = Console.wrapped(finding.sentence, width: terminal.columns - 6)
    return lines.enumerated().map {
      $0.offset == 0 ? "  \(mark) \($0.element)" : "      \($0.element)"
    }
  }

  private static func json(_ report: MachineReport, _ findings: [Finding]) -> JSONValue {
    func list(_ findings: [Finding]) -> JSONValue {
      .array(
        findings.map {
          .object([
            .init("topic", .string($0.topic)), .init("status", .string($0.status.rawValue)),
            .init("sentence", .string($0.sentence)),
          ])
        })
    }
    return .object(
      JSONValue.Member.heading(schema: "arbiter-machine/1") + [
        .init("findings", list(findings)),
        .init("consequences", .array(report.consequences.map { .string($0) })),
        .init("emulations", list(MachineReport.emulations)),
      ])
  }
}

/// The form of the machine report.
enum DoctorFormat: String, WordValue, CaseIterable {
  case text
  case json

  static var placeholder: String { "<FORMAT>" }
}
