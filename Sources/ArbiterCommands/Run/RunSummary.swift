// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterRuntime
internal import ArbiterScheduler

/// What a run comes to, at its end or on the way.
struct RunSummary: Sendable {
  /// One thread's gate, or several together.
  struct GateRow: Sendable {
    var process: Int32?
    var thread: Int32?
    var name: String
    var set: String?
    /// Whether the thread still runs.
    var isAttached = false
    var counts: GateCounts
  }

  /// The program and its arguments.
  var command: [String]
  var file: ProgramFile
  var process: Int32
  var scheme: String
  /// Why this scheme was taken, as a sentence.
  var schemeReason: String
  /// How many threads may write at once, for each set; none under schemes without such a limit.
  var limits: [WriterLimit]
  /// How the program ended; nil while it runs.
  var ending: ChildProgram.Ending?
  var wallSeconds: Double
  var cpuSeconds: Double?
  /// Whether Arbiter gated the program.
  var isGated: Bool
  /// Who controls; nil where nobody does.
  var controller: Int32?
  /// The gates whose figures are still apart, most bytes first.
  var rows: [GateRow]
  /// Gates whose places have been handed on, together.
  var departedCount: Int
  var departed: GateCounts
  var sets: [SetControl.Status]

  var gateCount: Int { rows.count + departedCount }

  /// Gates of threads that run on when the program has ended, in processes that it left behind.
  var outlivingCount: Int { ending == nil ? 0 : rows.count(where: \.isAttached) }

  /// What all gates did together.
  var total: GateCounts {
    var sum = departed
    for row in rows { sum.add(row.counts) }
    return sum
  }

  var cpuSecondsPerGiB: Double? {
    let bytes = total.storedBytes
    // The kernel tells nothing of processes that nobody has waited for.
    guard isGated, bytes > 0, outlivingCount == 0, let cpuSeconds else { return nil }
    return cpuSeconds / (Double(bytes) / Double(1 << 30))
  }

  var monitorCPUSeconds: Double {
    sets.reduce(0) { $0 + Double($1.monitorCPUNanoseconds) / 1e9 }
  }

  /// The limit of the set that lets most threads write.
  var largestLimit: WriterLimit? { limits.max { $0.count < $1.count } }

  /// Where limits come from, each sentence once.
  var limitSentences: [String] {
    // Workers are a program's, whatever sets it writes to.
    let told = scheme == SchemeName.delegation.rawValue ? [largestLimit].compactMap(\.self) : limits
    var seen: Set<String> = []
    return told.map(\.sentence).filter { seen.insert($0).inserted }
  }

  static let reached = [
    "copies, fills, flushes, drains, persists and msyncs through libpmem",
    "the same through the functions that libpmem2 hands out",
  ]
  static let notReached = [
    "the program's own stores before they are flushed",
    "stores and flushes by instructions in the program itself",
    "static programs, and programs that change their rights", "copies that the kernel makes",
  ]

  /// Why nothing may have been seen, and the next step; nil where something was.
  var reasonForSilence: String? {
    guard isGated, total.callTotal == 0 else { return nil }
    if file.changesRights {
      return "No library call was seen: \(file.path) changes its user or group, and the linker "
        + "then ignores LD_PRELOAD. Run it as the user that it changes to."
    }
    switch file.linkage {
    case .static:
      return "No library call was seen: \(file.path) is a static program, which LD_PRELOAD cannot "
        + "reach. Link it dynamically."
    case .dynamic, .script, .unknown:
      return "No library call was seen: the program does not call libpmem or libpmem2, or writes "
        + "with instructions of its own. See with ldd whether it uses these libraries."
    }
  }

  // MARK: JSON and CSV

  /// The summary as a document.
  func json(command line: [String]) -> JSONValue {
    func object<Subject>(_ fields: [SummaryField<Subject>], _ subject: Subject) -> JSONValue {
      .object(fields.map { .init($0.name, $0.value(subject)) })
    }
    func list(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
    var threads = rows.map { object(SummaryField<GateRow>.all, $0) }
    if let row = departedRow { threads.append(object(SummaryField<GateRow>.all, row)) }
    return .object(
      JSONValue.Member.heading(schema: "arbiter-run/1", command: line) + [
        .init("program", list(command)),
        .init("is_complete", .bool(ending != nil)),
        .init("run", object(SummaryField<RunSummary>.all, self)),
        .init("sets", .array(sets.map { object(SummaryField<SetControl.Status>.all, $0) })),
        .init("threads", .array(threads)),
        .init("reached", list(Self.reached)), .init("not_reached", list(Self.notReached)),
        .init("remark", .text(reasonForSilence)),
      ])
  }

  private var departedRow: GateRow? {
    departedCount == 0
      ? nil : GateRow(name: "\(departedCount) departed", counts: departed)
  }

  /// The summary as rows: one of the run, one for each set, one for each gate.
  var csv: String {
    let run = SummaryField<RunSummary>.all
    let set = SummaryField<SetControl.Status>.all
    let gate = SummaryField<GateRow>.all
    var names: [String] = []
    var known: Set<String> = []
    for name in run.map(\.name) + set.map(\.name) + gate.map(\.name)
    where known.insert(name).inserted { names.append(name) }
    func row<Subject>(
      _ kind: String, _ fields: [SummaryField<Subject>], _ subject: Subject
    ) -> String {
      CSV.row(
        [kind]
          + names.map { name in
            fields.first { $0.name == name }.map { CSV.field($0.value(subject)) } ?? ""
          })
    }
    return CSV.row(["row"] + names) + row("run", run, self)
      + sets.map { row("set", set, $0) }.joined()
      + (rows + [departedRow].compactMap(\.self)).map { row("thread", gate, $0) }.joined()
  }
}
