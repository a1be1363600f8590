// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterWorkloads
internal import CommandSpec

/// What a recording comes to, at its end or on the way.
struct RecordSummary: Sendable {
  /// The program and its arguments.
  var command: [String]
  var path: String
  var file: ProgramFile
  /// Whether the library that stands before libpmem was to be loaded.
  var hasPreload: Bool
  /// How the program ended; nil while it runs.
  var ending: ChildProgram.Ending?
  var wallSeconds: Double
  var figures: Recording.Figures
  var regions: [TraceRegion]
  /// Threads that ran on when the program had ended.
  var outlivingCount: Int
  /// Why the file holds less than was recorded, as a clause; nil where it holds all.
  var failure: String?

  /// Why nothing was recorded, and the next step; nil where something was.
  var reasonForSilence: String? {
    guard ending != nil, figures.eventCount == 0, failure == nil else { return nil }
    let hooks = "build it with the compiler hooks (Documentation/Recording.md)"
    if file.changesRights {
      return "Nothing was recorded: \(file.path) changes its user or group, and the linker then "
        + "ignores LD_PRELOAD. Run it as the user that it changes to."
    }
    if hasPreload && file.linkage == .static {
      return "Nothing was recorded: \(file.path) is a static program, which the preload cannot "
        + "reach; \(hooks)."
    }
    let what = hasPreload ? "calls neither libpmem nor libpmem2 and has" : "has"
    return "Nothing was recorded: the program \(what) no compiler hooks that saw an access to a "
      + "shared file mapping or a named range; \(hooks)."
  }

  // MARK: JSON and CSV

  /// The summary as a document.
  func json(command line: [String]) -> JSONValue {
    .object(
      JSONValue.Member.heading(schema: "arbiter-record/1", command: line) + [
        .init("program", .array(command.map { .string($0) })),
        .init("is_complete", .bool(ending != nil)),
        .init(
          "recording",
          .object(SummaryField<RecordSummary>.all.map { .init($0.name, $0.value(self)) })),
        .init(
          "regions",
          .array(
            regions.map { region in
              .object([
                .init("number", .integer(Int64(region.number))),
                .init("name", .string(region.name)),
                .init("bytes", .unsigned(region.byteCount)),
              ])
            })),
        .init("remark", .text(reasonForSilence)),
      ])
  }

  /// The summary as one row.
  var csv: String {
    let fields = SummaryField<RecordSummary>.all
    return CSV.row(fields.map(\.name)) + CSV.row(fields.map { CSV.field($0.value(self)) })
  }

  // MARK: Text

  /// The summary for people.
  func text(width: Int) -> String {
    let name = Failure.harmless(command.first ?? "")
    let end =
      if let ending {
        ending.signal.map { "was ended by \(SignalInbox.name(of: $0))" }
          ?? "ended with code \(ending.code)"
      } else {
        "is running"
      }
    let figures = figures
    var sentences = [
      "arbiter record: \(name) \(end) after \(Self.seconds(wallSeconds)). "
        + "\(figures.eventCount) events (\(figures.accessCount) accesses, "
        + "\(RunSummary.bytes(figures.byteCount))) of \(figures.threadCount) threads are in "
        + "\(Failure.harmless(path)), \(RunSummary.bytes(figures.fileByteCount))."
    ]
    if figures.removedSeconds + figures.waitedSeconds > 0 {
      sentences.append(
        "Taken out of the threads' time: \(Self.seconds(figures.removedSeconds)) of waiting for a "
          + "processor, \(Self.seconds(figures.waitedSeconds)) of the recorder's own.")
    }
    if figures.lostCount > 0 { sentences.append("Lost: \(figures.lostCount) events.") }
    if let failure { sentences.append("The file ends early: \(failure).") }
    if figures.refusedThreadCount > 0 {
      sentences.append(
        "\(figures.refusedThreadCount) times a thread was not recorded: at most "
          + "\(Recording.laneCount) are at a time.")
    }
    if outlivingCount > 0 {
      sentences.append(
        "\(outlivingCount) threads ran on in processes that the program left behind; what they do "
          + "from now on is not recorded.")
    }
    if let reasonForSilence { sentences.append(reasonForSilence) }
    return sentences.flatMap { Console.wrapped($0, width: width) }.map { $0 + "\n" }.joined()
  }

  private static func seconds(_ seconds: Double) -> String {
    Figures.duration(nanoseconds: seconds * 1e9)
  }
}

extension SummaryField where Subject == RecordSummary {
  /// What belongs to a recording as a whole.
  static let all: [SummaryField] = [
    .init("file", "The file of the recording.") { .string($0.path) },
    .init("file_bytes", "Its size.") { .unsigned($0.figures.fileByteCount) },
    .init("exit_code", "The program's exit code; null while it runs.") {
      $0.ending.map { .integer(Int64($0.code)) } ?? .null
    },
    .init("exit_signal", "The signal that ended the program; null where none did.") {
      $0.ending?.signal.map { .integer(Int64($0)) } ?? .null
    },
    figure("wall_seconds", "Seconds from the program's start to its end.") { $0.wallSeconds },
    .init("recorded_threads", "Threads that were recorded.") {
      .integer(Int64($0.figures.threadCount))
    },
    .init("events_count", "Runs of accesses that were recorded.") {
      .unsigned($0.figures.eventCount)
    },
    .init("accesses_count", "Accesses in these runs.") { .unsigned($0.figures.accessCount) },
    .init("accessed_bytes", "Bytes that these accesses loaded or stored.") {
      .unsigned($0.figures.byteCount)
    },
    .init("lost_count", "Events that were lost.") { .unsigned($0.figures.lostCount) },
    .init("refused_threads", "Times that a thread was not recorded for want of a lane.") {
      .unsigned($0.figures.refusedThreadCount)
    },
    .init("outliving_threads", "Threads that ran on when the program had ended.") {
      .integer(Int64($0.outlivingCount))
    },
    figure(
      "removed_seconds", "Time taken out because threads waited for a processor."
    ) { $0.figures.removedSeconds },
    figure(
      "recorder_seconds", "Time taken out because threads waited for the recorder."
    ) { $0.figures.waitedSeconds },
    .init("failure", "Why the file ends early; null where it holds everything.") {
      .text($0.failure)
    },
  ]
}
