// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterProfiler
internal import ArbiterReport

/// A heat map with what has to be said of it.
struct HeatResult {
  var map: HeatMap
  /// What was looked at: `heat of` this.
  var subject: String
  /// Where the accesses come from: a back-end's name, or `recording`.
  var source: String
  /// Why this source was taken; nil where there was no choice.
  var sourceReason: String?
  /// What weights are, in a word or two with dashes.
  var measure: String
  /// The unit of weights.
  var unit: String
  /// What colours mean, as a sentence.
  var meaning: String
  /// What became of samples; nil of recordings.
  var losses: SamplingLosses?
  /// Events that a recording lost; nil of live programs.
  var lostEventCount: UInt64?
  /// Weight of accesses to addresses that no mapping was known of.
  var unmappedWeight = 0.0
  /// Sentences about what is missing or else to be known.
  var remarks: [String] = []
  /// The most mappings in pictures and tables.
  var mappingCount: Int

  /// The least share of the weight with which a mapping is shown beside others.
  static let shareMin = 0.001

  /// Numbers of bands that are shown.
  var shown: [UInt64] {
    let chosen = map.hottestFirst.prefix(mappingCount)
    return chosen.enumerated().filter { index, id in
      index == 0 || map.summary(of: id).map { $0.share >= Self.shareMin } ?? false
    }.map(\.element)
  }

  /// Whether there is anything to show.
  var isEmpty: Bool { map.totals.weight == 0 }

  /// The picture.
  var picture: HeatPicture {
    let panels = shown.compactMap { id -> HeatPicture.Panel? in
      guard let grid = map.grid(of: id), let summary = map.summary(of: id), !grid.rows.isEmpty
      else { return nil }
      let base = summary.info.base
      var facts: [String] = []
      if let size = summary.info.byteCount { facts.append(HeatPicture.bytes(size)) }
      if base > 0 { facts.append("at 0x\(String(base, radix: 16))") }
      facts.append("\(Figures.rounded(summary.share * 100)) %")
      return HeatPicture.Panel(
        name: Failure.harmless(summary.info.name), facts: facts,
        // The first row may begin before the mapping does, because rows begin at round addresses.
        startBytes: grid.start - min(base, grid.start),
        rowBytes: grid.rowBytes, rows: grid.rows)
    }
    return HeatPicture(
      title: "arbiter heat: \(Failure.harmless(subject))", meaning: meaning, unit: unit,
      startNanoseconds: map.startNanoseconds, columnNanoseconds: map.timeAxis.binWidth,
      columnCount: max(1, map.columnCount), panels: panels, remarks: sentences)
  }

  /// Everything that must be said below a picture or a table.
  var sentences: [String] {
    var list: [String] = []
    let rest = restShare
    if rest.count > 0 {
      list.append(
        "Not shown: \(rest.count) more \(rest.count == 1 ? "mapping" : "mappings") with "
          + "\(Figures.rounded(rest.share * 100)) % of the weight"
          + (rest.names.isEmpty ? "." : ": \(rest.names.joined(separator: ", "))."))
    }
    if let losses {
      list.append(Self.sentence(losses))
    }
    if let lostEventCount {
      list.append(
        lostEventCount == 0
          ? "The recording lost no event." : "The recording lost \(lostEventCount) events.")
    }
    if unmappedWeight > 0 {
      let all = unmappedWeight + map.totals.weight
      list.append(
        "\(Figures.rounded(unmappedWeight / all * 100)) % of the weight is at addresses of which "
          + "no mapping is known, and is not shown.")
    }
    if map.refusedCount > 0 {
      list.append("\(map.refusedCount) accesses do not fit any memory and are left out.")
    }
    if let sourceReason { list.append(sourceReason) }
    return list + remarks
  }

  private static func sentence(_ losses: SamplingLosses) -> String {
    var text = "\(losses.sampleCount) samples"
    if let share = losses.resolvedShare {
      text += ", \(Figures.rounded(share * 100)) % of them resolved to an address"
    } else {
      text += ": it hardly ran, or ran in the kernel; a shorter --period or more time shows more"
    }
    if losses.lostCount > 0 { text += "; \(losses.lostCount) lost: figures are that much too low" }
    if losses.throttleCount > 0 {
      text +=
        "; the kernel held sampling back \(losses.throttleCount) times: give a longer --period"
    }
    return text + "."
  }

  /// Mappings that are not shown, and their share.
  var restShare: (count: Int, share: Double, names: [String]) {
    let hidden = map.hottestFirst.dropFirst(shown.count)
    let summaries = hidden.compactMap { map.summary(of: $0) }
    let all = map.totals.weight
    let share = all > 0 ? map.others.weight / all : 0
    return (
      hidden.count + Int(clamping: map.dissolvedCount),
      summaries.reduce(share) { $0 + $1.share },
      summaries.prefix(4).map { Failure.harmless($0.info.name) }
        + (summaries.count > 4 ? ["and others"] : [])
    )
  }
}
