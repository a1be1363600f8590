// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterProfiler
internal import ArbiterReport

/// What an account comes to, at its end or on the way.
struct AccountSummary {
  /// The program that was run; empty where others were watched.
  var program: [String]
  /// How the program ended; nil where none was run or it runs still.
  var exitCode: Int32?
  /// How accesses were seen, and why no better way.
  var choice: BackEndChoice
  var reading: AccountReading
  /// What gates counted beside it; nil where nobody is gated.
  var gates: AccountReading?
  var wallSeconds: Double
  /// Whether this is the last that is told.
  var isComplete: Bool
  /// Sentences of whoever has watched.
  var notes: [String]

  /// A row with the back-end that it comes from.
  struct Line {
    var backEnd: BackEnd
    var row: AccountReading.Row
  }

  /// A task with the back-end that it comes from.
  struct TaskLine {
    var backEnd: BackEnd
    var task: AccountReading.Task
  }

  // MARK: JSON and CSV

  /// The summary as a document.
  func json(command line: [String]) -> JSONValue {
    func list(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
    func rows(_ reading: AccountReading) -> JSONValue {
      .array(
        reading.rows.map {
          AccountFigures.object(
            SummaryField<Line>.all, Line(backEnd: reading.backEnd, row: $0),
            AccountFigures(reading.backEnd, $0.written, $0.read))
        })
    }
    return .object(
      JSONValue.Member.heading(schema: "arbiter-account/1", command: line) + [
        .init("program", list(program)),
        .init("is_complete", .bool(isComplete)),
        .init(
          "account",
          AccountFigures.object(
            SummaryField<AccountSummary>.all, self,
            AccountFigures(reading.backEnd, reading.written, reading.read),
            also: unavailable)),
        .init(
          "passed_over",
          .array(
            choice.passedOver.map {
              .object([
                .init("back_end", .string($0.backEnd.rawValue)),
                .init("reason", .string($0.reason)), .init("next_step", .string($0.nextStep)),
              ])
            })),
        .init(
          "tasks",
          .array(
            reading.tasks.map {
              AccountFigures.object(
                SummaryField<TaskLine>.all, TaskLine(backEnd: reading.backEnd, task: $0),
                AccountFigures(reading.backEnd, $0.written, $0.read))
            })),
        .init("mappings", rows(reading)), .init("gated", gates.map(rows) ?? .array([])),
        .init("remarks", list(remarks)),
      ])
  }

  /// What this back-end can never see, with the reasons.
  var unavailable: [(name: String, reason: String)] {
    var list: [(String, String)] = []
    if reading.backEnd != .faults {
      let reason =
        switch reading.backEnd {
        case .pebs: "precise events do not see copies that the kernel makes"
        case .timer: "only time in user mode is sampled, not the kernel's"
        case .gates, .faults: "gates see calls of libraries, not the kernel"
        }
      list.append(("kernel_copies_bytes", reason))
    }
    if reading.losses.resolvedShare == nil {
      list.append(("resolved_share", "nothing was sampled"))
    }
    return list
  }

  /// The summary as rows: one of the account, one for each task, mapping and gate.
  var csv: String {
    let account = SummaryField<AccountSummary>.all
    let task = SummaryField<TaskLine>.all
    let line = SummaryField<Line>.all
    var names: [String] = []
    var known: Set<String> = []
    for name in account.map(\.name) + task.map(\.name) + line.map(\.name) + AccountFigures.names
    where known.insert(name).inserted { names.append(name) }
    func row<Subject>(
      _ kind: String, _ fields: [SummaryField<Subject>], _ subject: Subject,
      _ figures: AccountFigures
    ) -> String {
      CSV.row(
        [kind]
          + names.map { name in
            if let field = fields.first(where: { $0.name == name }) {
              return CSV.field(field.value(subject))
            }
            let figure = figures.list.first { $0.name == name }?.figure
            return CSV.field(.figure(figure?.value))
          })
    }
    func rows(_ kind: String, _ reading: AccountReading) -> String {
      reading.rows.map {
        row(
          kind, line, Line(backEnd: reading.backEnd, row: $0),
          AccountFigures(reading.backEnd, $0.written, $0.read))
      }.joined()
    }
    return CSV.row(["row"] + names)
      + row(
        "account", account, self, AccountFigures(reading.backEnd, reading.written, reading.read))
      + reading.tasks.map {
        row(
          "task", task, TaskLine(backEnd: reading.backEnd, task: $0),
          AccountFigures(reading.backEnd, $0.written, $0.read))
      }.joined()
      + rows("mapping", reading) + (gates.map { rows("gated", $0) } ?? "")
  }
}

/// The figures of an account under the names that their measure gives them: those of other measures
/// are unavailable, so that nobody takes time for bytes.
struct AccountFigures {
  /// Every name with its figure, always the same names in the same order.
  let list: [(name: String, figure: Figure<Double>)]

  /// The names of all figures and their meanings.
  static let meanings: [(name: String, meaning: String)] = [
    ("written_bytes", "Bytes that were stored."),
    ("written_bytes_error", "Upper standard error of these bytes; 0 where they were counted."),
    ("read_bytes", "Bytes that were loaded."),
    ("read_bytes_error", "Upper standard error of these bytes."),
    (
      "store_cost_ns",
      "Time-weighted store cost: CPU time of samples at stores. It counts no stores."
    ),
    ("store_cost_ns_error", "Upper standard error of that time."),
    ("load_cost_ns", "CPU time of samples at loads."),
    ("load_cost_ns_error", "Upper standard error of that time."),
    ("touched_bytes", "Pages that were touched for the first time, 4 KiB each."),
  ]

  static var names: [String] { meanings.map(\.name) }

  init(_ backEnd: BackEnd, _ written: Estimate, _ read: Figure<Estimate>) {
    let measure = backEnd.measure
    let isCost = measure == .timeWeightedStoreCost
    let other = "back-end \(backEnd.rawValue) measures \(measure.rawValue)"
    func figures(
      _ name: String, _ estimate: Figure<Estimate>
    ) -> [(name: String, figure: Figure<Double>)] {
      [(name, estimate.map(\.value)), (name + "_error", estimate.map(\.standardError))]
    }
    let isBytes = measure == .accessedBytes || measure == .storedBytes
    let none = Figure<Estimate>.unavailable(other)
    list =
      figures("written_bytes", isBytes ? .known(written) : none)
      + figures("read_bytes", isBytes ? read : none)
      + figures("store_cost_ns", isCost ? .known(written) : none)
      + figures("load_cost_ns", isCost ? read : none)
      + [("touched_bytes", measure == .firstTouches ? .known(written.value) : .unavailable(other))]
  }

  /// An object of fields and figures, with the reasons of what is missing.
  static func object<Subject>(
    _ fields: [SummaryField<Subject>], _ subject: Subject, _ figures: AccountFigures,
    also others: [(name: String, reason: String)] = []
  ) -> JSONValue {
    var members = fields.map { JSONValue.Member($0.name, $0.value(subject)) }
    var (known, reasons) = JSONValue.Member.figures(
      figures.list.map { ($0.name, $0.figure.map { .number($0) }) })
    members += known
    for other in others {
      if !members.contains(where: { $0.key == other.name }) {
        members.append(.init(other.name, .null))
      }
      reasons.append(.init(other.name, .string(other.reason)))
    }
    return .object(members + [.unavailable(reasons)])
  }
}

extension AccountSummary {
  /// Every name of an account with its meaning.
  static var glossary: [(name: String, meaning: String)] {
    SummaryField<AccountSummary>.all.map { ($0.name, $0.meaning) }
      + SummaryField<TaskLine>.all.map { ($0.name, $0.meaning) }
      + SummaryField<Line>.all.map { ($0.name, $0.meaning) } + AccountFigures.meanings
      + [
        ("kernel_copies_bytes", "Bytes that the kernel copied for the task; no back-end sees them.")
      ]
  }
}

extension SummaryField where Subject == AccountSummary {
  /// What belongs to the account as a whole.
  static let all: [SummaryField] = [
    .init("back_end", "How accesses were seen: pebs, timer, faults or gates.") {
      .string($0.reading.backEnd.rawValue)
    },
    .init("measure", "What the figures are; never compare those of two measures.") {
      .string($0.reading.backEnd.measure.rawValue)
    },
    .init("exit_code", "The program's exit code; null while it runs.") {
      $0.exitCode.map { .integer(Int64($0)) } ?? .null
    },
    figure("wall_seconds", "Seconds from the program's start to its end.") { $0.wallSeconds },
    .init("samples_count", "Samples that were taken.") { .unsigned($0.reading.losses.sampleCount) },
    .init("resolved_count", "Samples whose access could be told.") {
      .unsigned($0.reading.losses.resolvedCount)
    },
    figure("resolved_share", "The share of samples whose access could be told.") {
      $0.reading.losses.resolvedShare
    },
    .init("lost_count", "Samples that the kernel dropped because nobody took them in time.") {
      .unsigned($0.reading.losses.lostCount)
    },
    .init("throttle_count", "Times at which the kernel held sampling back.") {
      .unsigned($0.reading.losses.throttleCount)
    },
    .init("folded_count", "Samples in rows called others, for which there was no room.") {
      .unsigned($0.reading.foldedCount)
    },
  ]
}

extension SummaryField where Subject == AccountSummary.TaskLine {
  /// What belongs to a task.
  static let all: [SummaryField] = [
    .init("process", "The kernel's number of the program's process.") {
      .integer(Int64($0.task.task.process))
    },
    .init("thread", "The kernel's number of the thread; null for several together.") {
      $0.task.task.thread.map { .integer(Int64($0)) } ?? .null
    },
    .init("start_ticks", "When the task started, in clock ticks since the machine did.") {
      .unsigned($0.task.task.startTicks)
    },
    .init("name", "The task's name; null where it ended before anybody could look.") {
      .text($0.task.command)
    },
    .init("has_ended", "Whether the task has ended, so that its figures are final.") {
      .bool($0.task.hasEnded)
    },
    .init("task_resolved_count", "Samples of the task whose access could be told.") {
      .unsigned($0.task.resolvedCount)
    },
    .init("task_unresolved_count", "Samples of the task whose access could not be told.") {
      .unsigned($0.task.unresolvedCount)
    },
    figure("task_unresolved", "What those stand for, in the unit of the measure.") {
      $0.task.unresolved
    },
  ]
}

extension SummaryField where Subject == AccountSummary.Line {
  /// What belongs to one task and mapping.
  static let all: [SummaryField] = [
    .init("process", "The kernel's number of the program's process.") {
      .integer(Int64($0.row.task.process))
    },
    .init("thread", "The kernel's number of the thread; null for several together.") {
      $0.row.task.thread.map { .integer(Int64($0)) } ?? .null
    },
    .init("name", "The task's name; null where it ended before anybody could look.") {
      .text($0.row.command)
    },
    .init("mapping", "The path or kind of the memory; unmapped is what no mapping had.") {
      .string($0.row.mapping.name)
    },
    .init("mapping_kind", "What kind of memory it is, such as pm-file, device-dax or anonymous.") {
      .string($0.row.mapping.kind.rawValue)
    },
    .init("mapping_region", "The region of persistent memory that holds it; null where none does.")
    {
      .text($0.row.mapping.region)
    },
    .init("mapping_device", "Major and minor number of the file's device; null without one.") {
      let mapping = $0.row.mapping
      return mapping.inode == 0
        ? .null : .string("\(mapping.deviceMajor):\(mapping.deviceMinor)")
    },
    .init("mapping_inode", "The file's number on its device; null without a file.") {
      $0.row.mapping.inode == 0 ? .null : .unsigned($0.row.mapping.inode)
    },
    .init("mapping_start", "Where memory without a name begins, in hexadecimal; else null.") {
      .text($0.row.addresses.map { "0x" + String($0.lowerBound, radix: 16) })
    },
    .init("mapping_bytes", "Bytes of memory without a name; else null.") {
      $0.row.addresses.map { .integer(Int64(clamping: $0.count)) } ?? .null
    },
    .init("row_samples_count", "Samples of this task and mapping.") {
      .unsigned($0.row.sampleCount)
    },
    figure("share", "Its part of everything that was stored, in the unit of the measure.") {
      $0.row.share
    },
  ]
}
