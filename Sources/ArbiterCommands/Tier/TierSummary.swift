// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
package import ArbiterPlatform
package import ArbiterReport
package import ArbiterTiering

/// What a session of `arbiter tier` comes to, at its end or on the way.
package struct TierSummary: Sendable {
  /// The program and its arguments.
  package var program: [String]
  /// The program's process.
  package var process: Int32
  /// How the program ended; nil while it runs.
  package var ending: ChildProgram.Ending?
  /// Seconds since the program was started.
  package var wallSeconds: Double
  /// CPU time of the program; nil where the kernel does not say.
  package var cpuSeconds: Double?
  /// How memory is placed; nil where the program runs without Arbiter.
  package var reading: TierReading?
  /// Why nothing was placed; nil where something was.
  package var nothing: String?
  /// Why this back-end and this tracker, and what went wrong: one sentence each.
  package var remarks: [String]

  /// Makes a summary.
  package init(
    program: [String], process: Int32, ending: ChildProgram.Ending?, wallSeconds: Double,
    cpuSeconds: Double?, reading: TierReading?, nothing: String? = nil, remarks: [String]
  ) {
    self.program = program
    self.process = process
    self.ending = ending
    self.wallSeconds = wallSeconds
    self.cpuSeconds = cpuSeconds
    self.reading = reading
    self.nothing = nothing
    self.remarks = remarks
  }

  static let withoutArbiter = "the program runs without Arbiter"

  // MARK: JSON and CSV

  /// The summary as a document.
  package func json(command line: [String]) -> JSONValue {
    func list(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
    return .object(
      JSONValue.Member.heading(schema: "arbiter-tier/1", command: line) + [
        .init("program", list(program)),
        .init("is_complete", .bool(ending != nil)),
        .init("tier", WatchField<TierSummary>.object(WatchField<TierSummary>.all, self)),
        .init("remarks", list(remarks + (nothing.map { ["Nothing was placed: \($0)."] } ?? []))),
      ])
  }

  /// The summary as a header and one row.
  package var csv: String {
    let fields = WatchField<TierSummary>.all
    return CSV.row(fields.map(\.name))
      + CSV.row(fields.map { CSV.field($0.read(self).value ?? .null) })
  }

  /// Every name of the document with its meaning.
  static let glossary: [(String, String)] =
    WatchField<TierSummary>.all.map { ($0.name, $0.meaning) } + TierSession.glossary
}

extension WatchField where Subject == TierSummary {
  /// What belongs to the program, and then to its memory.
  static let all: [WatchField] =
    [
      .init("is_tiered", "Whether Arbiter places the program's memory.") {
        .known(.bool($0.reading != nil))
      },
      .init("process", "The kernel's number of the program's process.") {
        .known(.integer(Int64($0.process)))
      },
      .init("exit_code", "The program's exit code; null while it runs.") {
        .known($0.ending.map { .integer(Int64($0.code)) } ?? .null)
      },
      .init("exit_signal", "The signal that ended the program; null where none did.") {
        .known($0.ending?.signal.map { .integer(Int64($0)) } ?? .null)
      },
      .number("wall_seconds", "Seconds from the program's start to its end.") {
        .known($0.wallSeconds)
      },
      .number("cpu_seconds", "CPU time of the program and of the children it waited for.") {
        Figure($0.cpuSeconds, otherwise: "the kernel does not tell it")
      },
    ]
    + WatchField<TierReading>.all.map { field in
      WatchField(field.name, field.meaning) {
        $0.reading.map(field.read) ?? .unavailable(TierSummary.withoutArbiter)
      }
    }
}
