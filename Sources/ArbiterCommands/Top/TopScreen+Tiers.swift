// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterReport
internal import ArbiterTiering

extension TopScreen {
  /// The sessions of `arbiter tier`; nothing where there are none.
  static func tierLines(_ view: TopView, width: Int) -> [TopLine] {
    guard !view.tiers.isEmpty else { return [] }
    let table = TopTable(tierColumns, view.tiers, width: width, growing: "TIERED")
    return [TopLine(table.header, .bold)] + table.lines.map { TopLine($0) }
  }

  private static let tierColumns: [TopColumn<TierNote>] = [
    .init("PID", 7) { String($0.process) },
    .init("TIERED", 9, isRight: false) { TopFigures.plain($0.program) },
    .init("FAST", 5) { TopFigures.scaled(Double($0.reading.fastBytes)) },
    .init("OF", 5, expendability: 4) { TopFigures.scaled(Double($0.reading.fastCapacityBytes)) },
    .init("SLOW", 5) { TopFigures.scaled(Double($0.reading.slowBytes)) },
    .init("HITS", 6) { TopFigures.percent($0.reading.recentFastHitShare.value?.value) },
    .init("+-", 5, expendability: 5) {
      TopFigures.percent($0.reading.recentFastHitShare.value?.standardError)
    },
    .init("UP", 5, expendability: 2) { TopFigures.scaled(Double($0.reading.promotedBytes)) },
    .init("DOWN", 5, expendability: 2) { TopFigures.scaled(Double($0.reading.demotedBytes)) },
    .init("STALLS", 6, expendability: 3) {
      TopFigures.scaled($0.reading.stalls.value.map { Double($0.count) })
    },
    .init("BACK-END", 8, isRight: false, expendability: 6) { $0.reading.backEnd.rawValue },
  ]

  /// Why figures of sessions are missing.
  static func tierReasons(_ view: TopView) -> [(subject: String, reason: String)] {
    view.tiers.flatMap { note -> [(String, String)] in
      let figures = [
        ("HITS", note.reading.recentFastHitShare.reason), ("STALLS", note.reading.stalls.reason),
      ]
      return figures.compactMap { name, reason in
        reason.map { ("\(name) of \(note.process)", $0) }
      }
    }
  }
}
