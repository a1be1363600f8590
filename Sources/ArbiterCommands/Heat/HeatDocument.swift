// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterProfiler
internal import ArbiterReport

/// The machine-readable forms of a heat map.
enum HeatDocument {
  /// The document `arbiter-heat/1`.
  static func json(_ result: HeatResult, command: [String], isComplete: Bool) -> JSONValue {
    let map = result.map
    return .object(
      JSONValue.Member.heading(schema: "arbiter-heat/1", command: command) + [
        .init("is_complete", .bool(isComplete)),
        .init(
          "heat",
          .object(
            SummaryField<HeatResult>.all.map { .init($0.name, $0.value(result)) }
              + [unavailable(result)])),
        .init("mappings", .array(map.hottestFirst.compactMap { mapping($0, of: result) })),
        .init("remarks", .array(result.sentences.map { .string($0) })),
      ])
  }

  /// Why figures of the whole are null.
  private static func unavailable(_ result: HeatResult) -> JSONValue.Member {
    let names = ["samples_count", "resolved_ratio", "lost_samples_count", "throttled_count"]
    let reasons: [JSONValue.Member] =
      if result.losses == nil {
        names.map { .init($0, .string("recordings hold accesses, not samples")) }
      } else {
        [.init("lost_events_count", .string("samples are no recording"))]
          + (result.losses?.resolvedShare == nil
            ? [.init("resolved_ratio", .string("no sample was taken"))] : [])
      }
    return .unavailable(reasons)
  }

  private static func mapping(_ id: UInt64, of result: HeatResult) -> JSONValue? {
    guard let summary = result.map.summary(of: id), let grid = result.map.grid(of: id) else {
      return nil
    }
    var members = SummaryField<HeatSummary>.all.map {
      JSONValue.Member($0.name, $0.value(summary))
    }
    let missing: [JSONValue.Member] =
      summary.hottest.reason.map { reason in
        ["hottest_offset_bytes", "hottest_ratio"].map { .init($0, .string(reason)) }
      } ?? []
    members.append(.unavailable(missing))
    members.append(.init("row_bytes", .unsigned(grid.rowBytes)))
    let rows = grid.rows.enumerated().compactMap { index, row -> JSONValue? in
      guard let row else { return nil }
      return .object([
        .init("offset_bytes", .integer(offset(of: index, in: grid, summary))),
        .init("weights", .array(row.map { .number($0) })),
      ])
    }
    members.append(.init("rows", .array(rows)))
    return .object(members)
  }

  /// Where a row begins from the mapping's start; below 0 where rows begin at rounder addresses.
  private static func offset(of row: Int, in grid: HeatGrid, _ summary: HeatSummary) -> Int64 {
    Int64(bitPattern: grid.start &- summary.info.base) + Int64(row) * Int64(grid.rowBytes)
  }

  /// A row for each cell that holds something.
  static func csv(_ result: HeatResult) -> String {
    let map = result.map
    var text = CSV.row([
      "mapping", "base_address", "offset_bytes", "row_bytes", "start_ns", "column_ns", "weight",
      "unit",
    ])
    for id in map.hottestFirst {
      guard let summary = map.summary(of: id), let grid = map.grid(of: id) else { continue }
      for (index, row) in grid.rows.enumerated() {
        for (column, weight) in (row ?? []).enumerated() where weight > 0 {
          text += CSV.row([
            summary.info.name, "\(summary.info.base)",
            "\(offset(of: index, in: grid, summary))", "\(grid.rowBytes)",
            "\(map.startNanoseconds + UInt64(column) * map.timeAxis.binWidth)",
            "\(map.timeAxis.binWidth)", CSV.field(.number(weight)), result.unit,
          ])
        }
      }
    }
    return text
  }
}

extension SummaryField where Subject == HeatResult {
  /// What belongs to a heat map as a whole.
  static let all: [SummaryField] = [
    .init("subject", "What was looked at.") { .string($0.subject) },
    .init("source", "Where accesses come from: a back-end's name, or recording.") {
      .string($0.source)
    },
    .init("source_reason", "Why this source was taken; null where there was no choice.") {
      .text($0.sourceReason)
    },
    .init("measure", "What weights are.") { .string($0.measure) },
    .init("unit", "The unit of weights.") { .string($0.unit) },
    .figure("weight", "What all accesses of the mapping, or of all, weigh.") {
      $0.map.totals.weight
    },
    .figure("unmapped_weight", "Weight at addresses of which no mapping is known.") {
      $0.unmappedWeight
    },
    .figure("others_weight", "Weight of mappings whose grids were dropped.") {
      $0.map.others.weight
    },
    .init("others_count", "Mappings whose grids were dropped.") {
      .unsigned($0.map.dissolvedCount)
    },
    .init("refused_count", "Accesses that fit no memory.") { .unsigned($0.map.refusedCount) },
    .init("start_ns", "When the first column begins, from the start of the program.") {
      .unsigned($0.map.startNanoseconds)
    },
    .init("column_ns", "Time of a column.") { .unsigned($0.map.timeAxis.binWidth) },
    .init("columns_count", "Columns of every row.") { .integer(Int64($0.map.columnCount)) },
    .init("samples_count", "Samples that were taken.") {
      $0.losses.map { .unsigned($0.sampleCount) } ?? .null
    },
    .figure("resolved_ratio", "Share of samples whose address could be told.") {
      $0.losses?.resolvedShare
    },
    .init("lost_samples_count", "Samples that the kernel dropped.") {
      $0.losses.map { .unsigned($0.lostCount) } ?? .null
    },
    .init("throttled_count", "Times at which the kernel held sampling back.") {
      $0.losses.map { .unsigned($0.throttleCount) } ?? .null
    },
    .init("lost_events_count", "Events that the recording lost.") {
      $0.lostEventCount.map { .unsigned($0) } ?? .null
    },
  ]
}

extension SummaryField where Subject == HeatSummary {
  /// What belongs to one mapping.
  static let all: [SummaryField] = [
    .init("name", "The mapping's file or name, or the thread's name when it first wrote.") {
      .string($0.info.name)
    },
    .init("base_address", "Where the mapping begins; 0 of a recording's regions.") {
      .unsigned($0.info.base)
    },
    .init("size_bytes", "Its size; null where that is not known.") {
      $0.info.byteCount.map { .unsigned($0) } ?? .null
    },
    .init("entries_count", "Samples of the mapping, or runs of a recording.") {
      .unsigned($0.totals.entryCount)
    },
    .figure("weight", "What all accesses of the mapping, or of all, weigh.") { $0.totals.weight },
    .figure("weight_ratio", "The mapping's share of all weight.") { $0.share },
    .figure("store_weight", "What those weigh that write.") { $0.totals.storeWeight },
    .figure("load_weight", "What those weigh that read.") { $0.totals.loadWeight },
    .init("first_ns", "When the first access began.") {
      $0.totals.firstNanoseconds.map { .unsigned($0) } ?? .null
    },
    .init("last_ns", "When the last access began.") { .unsigned($0.totals.lastNanoseconds) },
    .init("extent_bytes", "From the first byte that was touched to the last.") {
      .unsigned($0.extentBytes)
    },
    .init("touched_bytes", "Bytes of the bins that were touched.") { .unsigned($0.touchedBytes) },
    .init("bin_bytes", "The width of these bins.") { .unsigned($0.binBytes) },
    .init("hottest_offset_bytes", "Where the hottest 2 MiB begin.") {
      guard let start = $0.hottest.value?.start else { return .null }
      return .integer(Int64(bitPattern: start &- $0.info.base))
    },
    .figure("hottest_ratio", "Share of the mapping's weight in the hottest 2 MiB.") {
      $0.hottest.value?.share
    },
    .figure(
      "hottest_tenth_ratio", "Share of the mapping's weight in the hottest tenth of these bins."
    ) { $0.hottestTenthShare },
  ]
}

extension SummaryGlossary {
  /// Names of heat maps with their meanings.
  static let heat: [(String, String)] =
    SummaryField<HeatResult>.all.map { ($0.name, $0.meaning) }
    + SummaryField<HeatSummary>.all.map { ($0.name, $0.meaning) }
}
