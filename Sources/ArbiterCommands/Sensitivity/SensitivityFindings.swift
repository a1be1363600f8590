// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCalibration
internal import ArbiterDevice
internal import ArbiterProfiles
internal import ArbiterReport
internal import ArbiterScheduler

/// Which conclusions survive over everything that is plausible, and which do not.
struct SensitivityFindings {
  let profile: DeviceProfile
  let ranges: [PlausibleRange]
  let base: SensitivityStudy.Runs
  let variants: [(variant: ProfileVariant, runs: SensitivityStudy.Runs)]
  let survivals: [Survival]

  init(
    profile: DeviceProfile, ranges: [PlausibleRange], base: SensitivityStudy.Runs,
    variants: [(variant: ProfileVariant, runs: SensitivityStudy.Runs)]
  ) {
    self.profile = profile
    self.ranges = ranges
    self.base = base
    self.variants = variants
    survivals = Conclusion.all.compactMap { Survival(of: $0, base: base, variants: variants) }
  }

  private var drawCount: Int { variants.count { $0.variant.key == nil } }

  /// The sentences under the tables.
  var sentences: [String] {
    let surviving = survivals.count(where: \.isSurviving)
    var list = [
      "\(surviving) of \(survivals.count) conclusions read the same for every value of "
        + "\(ranges.count) uncertain parameters (both ends and the middle of each range, one at a "
        + "time) and in \(drawCount) joint draws of all of them."
    ]
    let flips = survivals.flatMap(\.flips)
    let isLosing = survivals.contains { $0.word == "loses" }
    if !flips.isEmpty && !isLosing && flips.allSatisfy({ ["wins", "level"].contains($0.word) }) {
      list.append("Where one flips, it is between a win of arbiter and a draw; it never loses.")
    }
    let gain = Conclusion.gain(over: .baseline).name
    if let headline = survivals.first(where: { $0.conclusion.name == gain }) {
      list.append(
        "With 26 threads that store 64 B arbiter writes \(Figures.rounded(headline.value)) times "
          + "baseline's bandwidth on this profile, and "
          + "\(Self.ends(headline.range)) times over all that is plausible.")
    }
    return list
  }

  /// One row per conclusion.
  var table: Table {
    var table = Table([
      .init("conclusion"), .init("here", .right), .init("reads"), .init("lowest", .right),
      .init("highest", .right), .init("survives"),
    ])
    for survival in survivals {
      let count = survival.flips.count
      table.add([
        .text(survival.conclusion.name), .number(survival.value), .text(survival.word),
        .number(survival.range.lowerBound), .number(survival.range.upperBound),
        .text(survival.isSurviving ? "yes" : "no, \(count) of \(variants.count)"),
      ])
    }
    return table
  }

  /// Where conclusions read differently, a row for each other word; nil where none does.
  var flipTable: Table? {
    let flipping = survivals.filter { !$0.flips.isEmpty }
    guard !flipping.isEmpty else { return nil }
    var table = Table([
      .init("conclusion"), .init("reads"), .init("becomes"), .init("there", .right), .init("where"),
    ])
    for survival in flipping {
      for word in Set(survival.flips.map(\.word)).sorted() {
        let flips = survival.flips.filter { $0.word == word }
        let values = flips.map(\.value)
        let (low, high) = (Figures.rounded(values.min()), Figures.rounded(values.max()))
        table.add([
          .text(survival.conclusion.name), .text(survival.word), .text(word),
          .text(low == high ? low : "\(low)-\(high)"), .text(Self.places(flips)),
        ])
      }
    }
    return table
  }

  private static func places(_ flips: [Survival.Flip]) -> String {
    let draws = flips.count { $0.variant.key == nil }
    return
      (flips.filter { $0.variant.key != nil }.map(\.variant.name)
      + (draws == 0 ? [] : ["\(draws) joint \(draws == 1 ? "draw" : "draws")"]))
      .joined(separator: ", ")
  }

  /// What each parameter does to the gain, the most influential first.
  var influences: [Influence] {
    let gains = Influence.rivals.map { Conclusion.gain(over: $0) }
    return ranges.compactMap { range in
      guard let own = ProfileParameter.all.first(where: { $0.key == range.key })?.get(profile)
      else {
        return nil
      }
      var points = variants.compactMap { variant, runs -> Influence.Point? in
        guard variant.key == range.key, let value = variant.value else { return nil }
        return .init(value: value, gains: gains.map { $0.value(runs) })
      }
      points.append(.init(value: own, gains: gains.map { $0.value(base) }))
      return Influence(range: range, own: own, points: points.sorted { $0.value < $1.value })
    }.sorted { ($0.spread, $1.range.key) > ($1.spread, $0.range.key) }
  }

  /// Every uncertain parameter with what it does.
  var parameterTable: Table {
    var table = Table([
      .init("parameter"), .init("here", .right), .init("plausible", .right),
      .init("arbiter ÷ baseline", .right), .init("why this range"),
    ])
    for influence in influences {
      table.add([
        .text(influence.range.key), .text(plain(influence.own)), .text(influence.range.ends),
        .text(Self.ends(influence.gains)), .text(influence.range.source),
      ])
    }
    return table
  }

  private static func ends(_ range: ClosedRange<Double>?) -> String {
    range.map { "\(Figures.rounded($0.lowerBound)) to \(Figures.rounded($0.upperBound))" }
      ?? Figures.unavailable
  }

  /// What one parameter does to the gain of arbiter over others with 26 threads.
  struct Influence {
    static let rivals: [SchemeName] = [.baseline, .lock, .delegation]

    struct Point {
      let value: Double
      /// The gains over the rivals, in their order.
      let gains: [Double?]
    }

    let range: PlausibleRange
    let own: Double
    let points: [Point]

    /// The gains over baseline, over the range.
    var gains: ClosedRange<Double>? {
      let gains = points.compactMap { $0.gains.first ?? nil }
      guard let low = gains.min(), let high = gains.max() else { return nil }
      return low...high
    }

    var spread: Double { gains.map { $0.upperBound - $0.lowerBound } ?? 0 }
  }
}

// Documents and the page.

extension SensitivityFindings {
  /// The schema of the JSON document.
  static let schema = "arbiter-sensitivity/1"

  /// The members of the document beside its heading.
  var members: [JSONValue.Member] {
    [
      .init("profile", .string(profile.name)),
      .init("variants_count", .integer(Int64(variants.count))),
      .init(
        "parameters",
        .array(
          influences.map { influence in
            .object([
              .init("key", .string(influence.range.key)), .init("value", .number(influence.own)),
              .init("plausible_low", .number(influence.range.range.lowerBound)),
              .init("plausible_high", .number(influence.range.range.upperBound)),
              .init("source", .string(influence.range.source)),
              .init("gain_low_ratio", .figure(influence.gains?.lowerBound)),
              .init("gain_high_ratio", .figure(influence.gains?.upperBound)),
            ])
          })),
      .init("conclusions", .array(survivals.map(Self.json))),
    ]
  }

  private static func json(_ survival: Survival) -> JSONValue {
    .object([
      .init("name", .string(survival.conclusion.name)), .init("value", .number(survival.value)),
      .init("word", .string(survival.word)), .init("lowest", .number(survival.range.lowerBound)),
      .init("highest", .number(survival.range.upperBound)),
      .init("is_surviving", .bool(survival.isSurviving)),
      .init(
        "flips",
        .array(
          survival.flips.map { flip in
            .object([
              .init("variant", .string(flip.variant.name)),
              .init("parameter", .text(flip.variant.key)),
              .init("parameter_value", .figure(flip.variant.value)),
              .init("value", .number(flip.value)), .init("word", .string(flip.word)),
            ])
          })),
    ])
  }

  /// A row per conclusion.
  var csv: String {
    var text = CSV.row([
      "name", "value", "word", "lowest", "highest", "is_surviving", "flips_count",
    ])
    for survival in survivals {
      let numbers = [survival.value, survival.range.lowerBound, survival.range.upperBound]
      let fields = numbers.map { CSV.field(.number($0)) }
      text += CSV.row([
        survival.conclusion.name, fields[0], survival.word, fields[1], fields[2],
        "\(survival.isSurviving)", "\(survival.flips.count)",
      ])
    }
    return text
  }

  /// The sections of the page.
  var sections: [Report.Section] {
    var flips: [Report.Section.Part] = [
      .text("Where a conclusion reads differently from what it reads on the profile itself.")
    ]
    flips.append(flipTable.map { .table($0) } ?? .text("No conclusion flips anywhere."))
    return [
      Report.Section(
        "Conclusions",
        [
          .text(
            "What the comparison of schemes says of sequential non-temporal stores. Ratios of "
              + "effective bandwidth within 5 % of 1 read level. A conclusion survives where it "
              + "reads the same on every variant of the profile; lowest and highest are over all."),
          .table(table),
        ]),
      Report.Section("Flips", flips),
      Report.Section(
        "What moves the gain",
        [
          .text(
            "Arbiter's bandwidth divided by that of other schemes, 26 threads that store 64 B, "
              + "over the plausible range of the parameters that move it most; the rest of the "
              + "profile stays."),
          .plots(influences.prefix(6).map(Self.plot)),
          .table(parameterTable),
          .text(
            "In a joint draw every parameter is drawn from its range at once, evenly and without "
              + "regard to the others. Draws need not fit the targets as the profile does."),
        ]),
    ]
  }

  private static func plot(_ influence: Influence) -> Plot {
    let key = influence.range.key
    let series = Influence.rivals.enumerated().map { place, rival in
      Plot.Series(
        "÷ \(rival.rawValue)",
        influence.points.map { Plot.Point(x: $0.value, y: $0.gains[place]) })
    }
    return Plot(
      name: "gain-\(key.replacing("_", with: "-"))", title: key,
      x: .init(key, ticks: influence.points.map(\.value)),
      y: .init("arbiter's bandwidth ÷ other's", startsAtZero: true), series: series,
      caption: "\(plain(influence.own)) in the profile; plausible are \(influence.range.ends): "
        + "\(influence.range.source).",
      size: .small)
  }
}
