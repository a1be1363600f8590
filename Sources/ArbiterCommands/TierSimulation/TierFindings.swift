// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterReport
internal import ArbiterSimulator

/// What `arbiter simulate --tiers` shows.
struct TierFindings {
  static let schema = "arbiter-tiers/1"

  let findings: [TierFinding]
  let parameters: [JSONValue.Member]
  let isRecording: Bool
  /// What the numbers are about, as sentences.
  let sentences: [String]

  /// The streams in their order.
  var streams: [String] {
    var seen: Set<String> = []
    return findings.map(\.stream).filter { seen.insert($0).inserted }
  }

  /// A row per policy under a heading per stream.
  var table: Table {
    var table = Table([
      .init("policy"), .init(isRecording ? "access time s" : "time s", .right),
      .init("of first touch", .right), .init("of oracle", .right), .init("fast hits", .right),
      .init("moved GB", .right), .init("slow writes GB", .right),
    ])
    for stream in streams {
      table.addGroup(stream)
      for finding in findings where finding.stream == stream {
        table.add(
          [
            .text("  " + finding.policy.rawValue),
            .number(finding.spread(\.outcome.seconds)?.median),
            .number(finding.spread(\.timeByFirstTouch)?.median),
            .number(finding.spread(\.timeByOracle)?.median),
            .text(finding.spread(\.outcome.hitShare).map { percent($0.median) } ?? "-"),
            .number(finding.spread(\.outcome.migratedBytes).map { $0.median / 1e9 }),
            .number(finding.spread(\.outcome.slowWriteBytes).map { $0.median / 1e9 }),
          ])
      }
    }
    return table
  }

  private func percent(_ share: Double) -> String { Figures.rounded(share * 100) + " %" }

  /// The sentences under the table.
  var remarks: [String] {
    var absences: [String] = []
    for finding in findings {
      if let reason = finding.absence {
        absences.append("No \(finding.policy.rawValue): \(reason).")
      }
    }
    let cut = findings.filter { $0.runs.contains { !$0.outcome.isComplete } }
    return sentences + spreadSentence + absences
      + cut.map {
        "\($0.policy.rawValue) on \($0.stream) was ended before its work was done: "
          + "its time is what was spent until then."
      }
  }

  /// How far the runs of different seeds lie apart.
  private var spreadSentence: [String] {
    let widths = findings.compactMap { finding -> (Double, TierFinding)? in
      guard finding.runs.count > 1, let spread = finding.spread(\.outcome.seconds),
        spread.median > 0
      else { return nil }
      return ((spread.most - spread.least) / spread.median, finding)
    }
    guard let widest = widths.max(by: { $0.0 < $1.0 }), let runs = findings.first?.runs.count else {
      return []
    }
    return [
      "Medians of \(runs) runs; times of one policy lie at most \(percent(widest.0)) apart "
        + "(\(widest.1.policy.rawValue) on \(widest.1.stream))."
    ]
  }

  /// The document.
  func json(in session: ResultSession) -> JSONValue {
    .object(
      session.heading(schema: Self.schema) + [
        .init("clock", .string("virtual")), .init("parameters", .object(parameters)),
        .init("results", .array(findings.map(\.json))),
      ])
  }

  /// A row per run.
  var csv: String {
    let fields = SummaryField<TierFinding.Run>.all
    var text = CSV.row(["stream", "policy"] + fields.map(\.name))
    for finding in findings {
      for run in finding.runs {
        text += CSV.row(
          [finding.stream, finding.policy.rawValue] + fields.map { CSV.field($0.value(run)) })
      }
    }
    return text
  }

  /// Every name of the document with its meaning.
  static let glossary: [(String, String)] =
    SummaryField<TierFinding.Run>.all.map { ($0.name, $0.meaning) } + [
      ("stream", "What the simulated program does, by name."),
      ("clock", "Whose time it is: virtual is the model's, which no machine has measured."),
      ("median", "The middle of the runs' figures."),
      ("least", "The least of the runs' figures."), ("most", "The most of the runs' figures."),
      ("course", "Fast memory's share of the accesses in the first run, as time goes on."),
    ]
}

extension TierFinding {
  var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init("stream", .string(stream)), .init("policy", .string(policy.rawValue)),
    ]
    let fields = SummaryField<Run>.all.filter(\.isFigure)
    for field in fields {
      let spread = spread { run in
        switch field.value(run) {
        case .number(let number): number
        case .integer(let number): Double(number)
        default: nil
        }
      }
      members.append(
        .init(
          field.name,
          spread.map {
            .object([
              .init("median", .number($0.median)), .init("least", .number($0.least)),
              .init("most", .number($0.most)),
            ])
          } ?? .null))
    }
    members.append(.init("runs", .array(runs.map(\.json))))
    members.append(.init("course", .array((runs.first?.outcome.course ?? []).map(Self.point))))
    let reasons = absence.map { reason in
      fields.map { JSONValue.Member($0.name, .string(reason)) }
    }
    members.append(.unavailable(reasons ?? missing))
    return .object(members)
  }

  /// Ratios that have no other to be a ratio to.
  private var missing: [JSONValue.Member] {
    var list: [JSONValue.Member] = []
    let reason = JSONValue.string("the run, or the one to compare with, did not end")
    if spread(\.timeByFirstTouch) == nil { list.append(.init("time_first_touch_ratio", reason)) }
    if spread(\.timeByOracle) == nil { list.append(.init("time_oracle_ratio", reason)) }
    return list
  }

  private static func point(_ point: TierOutcome.Point) -> JSONValue {
    .object([
      .init("seconds", .number(point.seconds)), .init("fast_hit_ratio", .number(point.hitShare)),
      .init("hot_fast_ratio", .figure(point.hotShare)),
    ])
  }
}

extension TierFinding.Run {
  var json: JSONValue {
    .object(SummaryField<TierFinding.Run>.all.map { .init($0.name, $0.value(self)) })
  }
}

extension SummaryField where Subject == TierFinding.Run {
  /// Whether it makes sense to take the median.
  var isFigure: Bool { name != "seed" && name != "is_complete" }

  /// What belongs to one run.
  static let all: [SummaryField] = [
    .init("seed", "Source of the run's randomness.") { .unsigned($0.seed) },
    .init("is_complete", "Whether all of the work was done.") { .bool($0.outcome.isComplete) },
    figure("run_seconds", "Virtual time of the work; of a recording, thread time at accesses.") {
      $0.outcome.seconds
    },
    figure("time_first_touch_ratio", "Run time by that without any migration; below 1 is faster.") {
      $0.timeByFirstTouch
    },
    figure("time_oracle_ratio", "Run time by that of a placement that knows the program.") {
      $0.timeByOracle
    },
    figure("fast_hit_ratio", "Share of the accesses that fast memory answered.") {
      $0.outcome.hitShare
    },
    figure("promoted_bytes", "Bytes copied to fast memory.") { $0.outcome.promotedBytes },
    figure("demoted_bytes", "Bytes copied to slow memory.") { $0.outcome.demotedBytes },
    figure("slow_write_bytes", "Bytes the slow medium wrote, for stores and for migrations.") {
      $0.outcome.slowWriteBytes
    },
    .init("migrations_count", "Migrations that were carried out.") {
      .integer(Int64($0.outcome.migrationCount))
    },
    figure("stall_seconds", "Thread time lost to waiting for migrations.") {
      $0.outcome.stallSeconds
    },
    .init("policy_samples_count", "Samples that the policy was given.") {
      .integer(Int64($0.outcome.sampleCount))
    },
  ]
}
