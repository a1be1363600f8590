// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCalibration
internal import ArbiterReport

/// What the runs of a fidelity study show: tables, documents and sentences.
struct FidelityFindings {
  let verdicts: [CalibrationVerdict]
  let rows: [VANSRow]

  var answers: [CalibrationAnswer] { verdicts.flatMap(\.answers) }
  private var misses: [CalibrationAnswer] { verdicts.flatMap(\.misses) }

  /// How a point counts as reproduced.
  static let rule = "within 15 % of the measured band; amplification up to 8 threads within 0.15"

  /// The sentences under the tables.
  var sentences: [String] {
    guard !verdicts.isEmpty else { return [] }
    let new = misses.count { $0.knownMiss == nil }
    var text =
      "\(answers.count(where: \.isReproduced)) of \(answers.count) published figures are "
      + "reproduced (\(Self.rule))"
    if !misses.isEmpty {
      text += "; \(misses.count) \(misses.count == 1 ? "is" : "are") not"
      text +=
        new == 0
        ? ", \(misses.count == 1 ? "a" : "each a") known miss"
        : ": \(misses.count - new) on the list of known misses and \(new) not on it"
    }
    return [text + "."]
  }

  /// One row per target.
  var summary: Table {
    var table = Table([
      .init("#", .right), .init("measurement"), .init("points", .right),
      .init("within", .right), .init("worst", .right), .init("at"), .init("misses", .right),
    ])
    for verdict in verdicts {
      let worst = verdict.worst
      table.add([
        .count(verdict.target.number), .text(verdict.target.title), .count(verdict.answers.count),
        .count(verdict.reproducedCount), .text(worst.map { Self.percent($0.error) } ?? "-"),
        .text(worst.map { Self.place($0.point) } ?? "-"), .count(verdict.misses.count),
      ])
    }
    return table
  }

  /// The points that the model does not reproduce, with reasons.
  var missTable: Table? {
    guard !misses.isEmpty else { return nil }
    var table = Table([
      .init("point"), .init("measured", .right), .init("model", .right), .init("error", .right),
      .init("why"),
    ])
    for miss in misses {
      table.add([
        .text(miss.key), .text(Self.band(miss.point.measured)), .number(miss.model),
        .text(Self.percent(miss.error)),
        .text(miss.knownMiss?.reason ?? "not on the list of known misses"),
      ])
    }
    return table
  }

  /// Every point of every target.
  var pointTable: Table {
    var table = Table(
      [
        .init("point"), .init("measured", .right), .init("model", .right), .init("unit"),
        .init("error", .right), .init("verdict"),
      ])
    for verdict in verdicts {
      table.addGroup(
        "\(verdict.target.number). \(verdict.target.title) (\(verdict.target.source); "
          + "\(verdict.profileName))")
      for answer in verdict.answers {
        let verdict =
          answer.isReproduced ? "reproduced" : answer.knownMiss == nil ? "miss" : "known miss"
        table.add([
          .text(Self.place(answer.point)), .text(Self.band(answer.point.measured)),
          .number(answer.model), .text(answer.point.quantity.rawValue),
          .text(Self.percent(answer.error)), .text(verdict),
        ])
      }
    }
    return table
  }

  /// Bandwidth and amplification: VANS, the model and the module side by side.
  var vansTable: Table? {
    guard !rows.isEmpty else { return nil }
    var table = Table([
      .init("trace"), .init("VANS GB/s", .right), .init("model GB/s", .right),
      .init("module GB/s", .right), .init("VANS WA", .right), .init("model WA", .right),
      .init("module WA", .right),
    ])
    for row in rows where row.vans.gigabytesPerSecond != nil {
      table.add([
        .text(row.vans.title), .number(row.vans.gigabytesPerSecond),
        .number(row.gigabytesPerSecond), .text(Self.band(row.vans.realGigabytesPerSecond)),
        .number(row.vans.writeAmplification), .number(row.writeAmplification),
        .text(Self.band(row.vans.realWriteAmplification)),
      ])
    }
    return table
  }

  /// Time per request, and how fast each simulator works.
  var speedTable: Table? {
    guard !rows.isEmpty else { return nil }
    var table = Table([
      .init("trace"), .init("VANS ns", .right), .init("model ns", .right),
      .init("module ns", .right), .init("VANS requests/s", .right),
      .init("model requests/s", .right),
    ])
    for row in rows {
      table.add([
        .text(row.vans.title), .number(row.vans.nanosecondsPerRequest),
        .number(row.nanosecondsPerRequest), .number(row.vans.realNanoseconds),
        .number(row.vans.requestsPerWallSecond), .number(row.requestsPerWallSecond),
      ])
    }
    return table
  }

  // Text.

  /// A signed share in percent.
  static func percent(_ share: Double) -> String {
    let tenths = Int((abs(share) * 1000).rounded())
    let sign = tenths == 0 ? "" : share < 0 ? "-" : "+"
    return "\(sign)\(tenths / 10).\(tenths % 10) %"
  }

  /// A measured value, or the two ends of its band.
  static func band(_ range: ClosedRange<Double>?) -> String {
    guard let range else { return Figures.unavailable }
    let low = Figures.rounded(range.lowerBound)
    return range.lowerBound == range.upperBound
      ? low : "\(low)-\(Figures.rounded(range.upperBound))"
  }

  /// A point's place on its target: series, quantity where a target has several, and `x`.
  static func place(_ point: CalibrationPoint) -> String {
    (point.series.isEmpty ? "" : "\(point.series), ") + "\(point.quantity.rawValue) at \(point.x)"
  }
}

// Documents.

extension FidelityFindings {
  /// The schema of the JSON document.
  static let schema = "arbiter-fidelity/1"

  /// The members of the document beside its heading.
  var members: [JSONValue.Member] {
    [
      .init("points_count", .integer(Int64(answers.count))),
      .init("reproduced_count", .integer(Int64(answers.count(where: \.isReproduced)))),
      .init("targets", .array(verdicts.map(Self.json))),
      .init("vans", .array(rows.map(Self.json))),
    ]
  }

  private static func json(_ verdict: CalibrationVerdict) -> JSONValue {
    .object([
      .init("number", .integer(Int64(verdict.target.number))),
      .init("title", .string(verdict.target.title)),
      .init("source", .string(verdict.target.source)),
      .init("profile", .string(verdict.profileName)),
      .init("axis", .string(verdict.target.axis)),
      .init("points_count", .integer(Int64(verdict.answers.count))),
      .init("reproduced_count", .integer(Int64(verdict.reproducedCount))),
      .init("worst_error_ratio", .figure(verdict.worst?.error)),
      .init("points", .array(verdict.answers.map { .object(members(of: $0)) })),
    ])
  }

  private static func members(of answer: CalibrationAnswer) -> [JSONValue.Member] {
    [
      .init("key", .string(answer.key)),
      .init("series", .string(answer.point.series)),
      .init("x", .integer(Int64(answer.point.x))),
      .init("unit", .string(answer.point.quantity.rawValue)),
      .init("measured_low", .number(answer.point.measured.lowerBound)),
      .init("measured_high", .number(answer.point.measured.upperBound)),
      .init("model", .number(answer.model)),
      .init("error_ratio", .number(answer.error)),
      .init("is_reproduced", .bool(answer.isReproduced)),
      .init("known_miss", .text(answer.isReproduced ? nil : answer.knownMiss?.reason)),
    ]
  }

  private static func json(_ row: VANSRow) -> JSONValue {
    func ends(_ name: String, _ range: ClosedRange<Double>?) -> [JSONValue.Member] {
      [
        .init("\(name)_low", .figure(range?.lowerBound)),
        .init("\(name)_high", .figure(range?.upperBound)),
      ]
    }
    func bytes(_ gigabytes: Double?) -> JSONValue { .figure(gigabytes.map { $0 * 1e9 }) }
    let real = row.vans.realGigabytesPerSecond.map { $0.lowerBound * 1e9...$0.upperBound * 1e9 }
    return .object(
      [
        .init("trace", .string(row.vans.title)),
        .init("vans_bytes_per_second", bytes(row.vans.gigabytesPerSecond)),
        .init("model_bytes_per_second", bytes(row.gigabytesPerSecond)),
      ] + ends("module_bytes_per_second", real) + [
        .init("vans_write_amplification_ratio", .figure(row.vans.writeAmplification)),
        .init("model_write_amplification_ratio", .figure(row.writeAmplification)),
      ] + ends("module_write_amplification_ratio", row.vans.realWriteAmplification) + [
        .init("vans_request_ns", .number(row.vans.nanosecondsPerRequest)),
        .init("model_request_ns", .number(row.nanosecondsPerRequest)),
        .init("module_request_ns", .figure(row.vans.realNanoseconds)),
      ])
  }

  /// How fast the traces were simulated here, which differs from machine to machine.
  var hostMembers: [JSONValue.Member] {
    [
      .init(
        "vans",
        .array(
          rows.map {
            .object([
              .init("trace", .string($0.vans.title)),
              .init("requests_per_wall_second", .number($0.requestsPerWallSecond)),
            ])
          }))
    ]
  }

  /// A row per point.
  var csv: String {
    let names = ["target", "title", "source", "profile", "axis"]
    var text = ""
    for verdict in verdicts {
      let target = verdict.target
      let own = ["\(target.number)", target.title, target.source, verdict.profileName, target.axis]
      for answer in verdict.answers {
        let members = Self.members(of: answer)
        if text.isEmpty { text = CSV.row(names + members.map(\.key)) }
        text += CSV.row(own + members.map { CSV.field($0.value) })
      }
    }
    return text
  }
}
