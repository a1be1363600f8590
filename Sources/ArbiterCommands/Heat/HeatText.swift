// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterProfiler
internal import ArbiterReport

/// The text form of a heat map: the picture, the table of its mappings and the remarks.
enum HeatText {
  /// The picture and what is below it.
  static func text(_ result: HeatResult, on canvas: HeatCanvas) -> String {
    guard !result.isEmpty else {
      return
        (["arbiter heat: \(Failure.harmless(result.subject))", "Nothing to show."]
        + result.sentences)
        .flatMap { Console.wrapped($0, width: canvas.columns) }.map { $0 + "\n" }.joined()
    }
    return result.picture.text(on: canvas) + "\n" + summary(result, width: canvas.columns)
  }

  /// The table of mappings and the remarks.
  static func summary(_ result: HeatResult, width: Int) -> String {
    table(result).text(width: width)
      + result.sentences.flatMap { Console.wrapped($0, width: width) }.map { $0 + "\n" }.joined()
  }

  private static func table(_ result: HeatResult) -> Table {
    var table = Table(
      [
        .init("mapping"), .init("share %", .right), .init("writes %", .right),
        .init("touched", .right), .init("extent", .right), .init("top 2 MiB %", .right),
        .init("top tenth %", .right), .init("first", .right), .init("last", .right),
      ],
      caption: "Writes and the tops are shares of the mapping's own weight: in its hottest 2 MiB, "
        + "and in the hottest tenth of what was touched.")
    for id in result.shown {
      guard let summary = result.map.summary(of: id) else { continue }
      let totals = summary.totals
      let name = Failure.harmless(summary.info.name)
      table.add([
        .text(name.count > 18 ? "…" + name.suffix(17) : name),
        .number(summary.share * 100),
        .number(totals.weight > 0 ? totals.storeWeight / totals.weight * 100 : nil),
        .text(HeatPicture.bytes(summary.touchedBytes)),
        .text(HeatPicture.bytes(summary.extentBytes)),
        .number(summary.hottest.value.map { $0.share * 100 }),
        .number(summary.hottestTenthShare * 100), .text(time(totals.firstNanoseconds)),
        .text(time(totals.lastNanoseconds)),
      ])
    }
    return table
  }

  private static func time(_ nanoseconds: UInt64?) -> String {
    Figures.duration(nanoseconds: nanoseconds.map { Double($0) })
  }
}
