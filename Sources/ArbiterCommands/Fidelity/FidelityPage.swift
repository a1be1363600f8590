// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCalibration
internal import ArbiterReport
internal import Glibc

// The page: every target as a small plot, measured points over the model's line.

extension FidelityFindings {
  /// The sections of a page, for a report of their own or at the end of another.
  var sections: [Report.Section] {
    var list: [Report.Section] = []
    if !verdicts.isEmpty {
      list.append(
        Report.Section(
          "Targets",
          [
            .text(
              "A target is a published measurement with the experiment that repeats it on the "
                + "model. A point counts as reproduced \(Self.rule). The error is the distance to "
                + "the nearer end of the measured band."),
            .table(summary),
          ]))
      list.append(missSection)
      list.append(
        Report.Section(
          "Measured and modelled",
          [
            .text(
              "Points are measurements, with bars where several were published; lines of the same "
                + "color are the model's. Rings mark what the model does not reproduce."),
            .plots(verdicts.flatMap(plots)),
          ]))
    }
    if !rows.isEmpty { list.append(vansSection) }
    if !verdicts.isEmpty { list.append(Report.Section("Every figure", [.table(pointTable)])) }
    return list
  }

  /// One section for the end of a report on something else.
  var briefSection: Report.Section {
    var parts: [Report.Section.Part] = [
      .text(
        (sentences + [
          "One run of each experiment; points are measurements, lines are the model's, rings mark "
            + "what it does not reproduce. Run arbiter fidelity for means over several runs, every "
            + "figure, and the simulator VANS beside the model."
        ]).joined(separator: " ")),
      .table(summary),
    ]
    if let missTable { parts += [.heading("Known misses"), .table(missTable)] }
    parts.append(.plots(verdicts.flatMap(plots)))
    return Report.Section("The model beside published measurements", parts)
  }

  private var missSection: Report.Section {
    let parts: [Report.Section.Part] =
      missTable.map { [.table($0)] } ?? [.text("Every published figure is reproduced.")]
    return Report.Section("Known misses", parts)
  }

  /// The plots of a target: one for each quantity, because units differ.
  private func plots(of verdict: CalibrationVerdict) -> [Plot] {
    MeasuredQuantity.allCases.compactMap { quantity in
      let answers = verdict.answers.filter { $0.point.quantity == quantity }
      return answers.isEmpty ? nil : plot(verdict, quantity, answers)
    }
  }

  private func plot(
    _ verdict: CalibrationVerdict, _ quantity: MeasuredQuantity, _ answers: [CalibrationAnswer]
  ) -> Plot {
    let target = verdict.target
    let places = Set(answers.map { Double($0.point.x) }).sorted()
    let heights = answers.flatMap { [$0.model, $0.point.measured.lowerBound] }
    let worst = answers.max { abs($0.error) < abs($1.error) }
    let error = worst.map { "worst \(Self.percent($0.error)) at \(Self.spot($0.point))" } ?? ""
    return Plot(
      name: "target-\(target.number)-\(Self.word(quantity))",
      title: "\(target.number). \(target.title)",
      x: Self.axis(target.axis, places, ratio: 6, isCounted: true),
      y: Self.axis(Self.label(quantity), heights, ratio: 12, isCounted: false),
      series: Self.series(answers),
      caption: "\(answers.count(where: \.isReproduced)) of \(answers.count) reproduced, \(error). "
        + "Source: \(target.source). Profile: \(verdict.profileName).",
      size: .small)
  }

  /// The model's line and the measured points of each series, and rings around the misses.
  private static func series(_ answers: [CalibrationAnswer]) -> [Plot.Series] {
    var series: [Plot.Series] = []
    var names: [String] = []
    for name in answers.map(\.point.series) where !names.contains(name) { names.append(name) }
    for (color, name) in names.enumerated() {
      let own = answers.filter { $0.point.series == name }.sorted { $0.point.x < $1.point.x }
      let prefix = name.isEmpty ? "" : "\(name) "
      // Where there are several, the line's color says whose it is.
      series.append(
        Plot.Series(
          "\(prefix)model", own.map { Plot.Point(x: Double($0.point.x), y: $0.model) },
          style: .line, color: color, isListed: names.count == 1))
      series.append(
        Plot.Series(
          names.count == 1 ? "\(prefix)measured" : name, own.map { measured($0.point) },
          style: .points, color: color))
    }
    let missed = answers.filter { !$0.isReproduced }
    if !missed.isEmpty {
      let points = missed.map { Plot.Point(x: Double($0.point.x), y: measured($0.point).y) }
      series.append(Plot.Series("missed", points, style: .rings, isListed: false))
    }
    return series
  }

  /// Where on the axis a point lies, and in which series.
  private static func spot(_ point: CalibrationPoint) -> String {
    point.series.isEmpty ? "\(point.x)" : "\(point.x) (\(point.series))"
  }

  private static func measured(_ point: CalibrationPoint) -> Plot.Point {
    let (low, high) = (point.measured.lowerBound, point.measured.upperBound)
    return Plot.Point(
      x: Double(point.x), y: (low + high) / 2, error: low == high ? nil : point.measured)
  }

  /// An axis that is logarithmic where its values spread over more than the ratio.
  ///
  /// One that counts things has its marks where measurements are, as far as there is room.
  private static func axis(
    _ label: String, _ values: [Double], ratio: Double, isCounted: Bool
  ) -> Plot.Axis {
    guard let low = values.min(), let high = values.max() else { return Plot.Axis(label) }
    let isLogarithmic = low > 0 && high / low >= ratio
    guard isCounted else {
      return Plot.Axis(label, isLogarithmic: isLogarithmic, startsAtZero: !isLogarithmic)
    }
    func place(_ value: Double) -> Double {
      isLogarithmic ? log2(value / low) / log2(high / low) : (value - low) / max(high - low, 1e-9)
    }
    var ticks: [Double] = []
    for value in values {
      let room = 0.04 + 0.035 * Double(String(Int(value)).count)
      if let last = ticks.last, place(value) - place(last) < room { continue }
      ticks.append(value)
    }
    return Plot.Axis(label, isLogarithmic: isLogarithmic, ticks: ticks)
  }

  private static func label(_ quantity: MeasuredQuantity) -> String {
    switch quantity {
    case .gigabytesPerSecond: "GB/s"
    case .writeAmplification: "media ÷ iMC writes"
    case .nanoseconds: "ns"
    default: quantity.rawValue
    }
  }

  /// The quantity as a part of a file's name.
  private static func word(_ quantity: MeasuredQuantity) -> String {
    switch quantity {
    case .gigabytesPerSecond: "bandwidth"
    case .writeAmplification: "amplification"
    case .nanoseconds: "latency"
    default:
      String(
        quantity.rawValue.lowercased().map { letter in
          ("a"..."z").contains(letter) || ("0"..."9").contains(letter) ? letter : "-"
        })
    }
  }

  // VANS.

  private var vansSection: Report.Section {
    var parts: [Report.Section.Part] = [
      .text(
        """
        VANS (Wang et al., MICRO'20) is the nearest simulator of such a module. Its figures are \
        those of commit 541d2fb with config/vans.cfg, as measured for this project: 9,984 requests \
        of 64 B, a region of 16 MB for each stream. A trace of VANS has no threads, only an order: \
        in turn, or shuffled. In the model a stream is a thread and the model finds the order, so \
        that both rows have one answer. The module's figures are OptaneStudy's and NVLeak's, where \
        they exist for the same accesses.
        """),
      .plots([streamPlot(isAmplification: true), streamPlot(isAmplification: false)]),
    ]
    if let vansTable { parts.append(.table(vansTable)) }
    parts.append(
      .text(
        """
        VANS amplifies with the number of streams too, by another mechanism and about half as much \
        as the module. It has no limit on the medium's bandwidth, and its bandwidth depends on the \
        order that a trace's author chose.
        """))
    if let speedTable { parts.append(.table(speedTable)) }
    parts.append(
      .text(
        """
        Time per request of 64 B; the module's where requests depend on one another. Requests per \
        second are wall rates: VANS's of the machine on which it was measured for this project \
        (two shared cores at 2.5 GHz; a quieter one gave two to four times as many), the model's \
        of one processor of the machine that wrote this page, while others worked beside it.
        """))
    return Report.Section("The same traces through VANS", parts)
  }

  private func streamPlot(isAmplification: Bool) -> Plot {
    func points(_ isRoundRobin: Bool, _ value: (VANSRow) -> Double?) -> [Plot.Point] {
      rows.compactMap { row in
        guard case .streams(let count, isRoundRobin) = row.vans.traffic else { return nil }
        return Plot.Point(x: Double(count), y: value(row))
      }
    }
    func vans(_ row: VANSRow) -> Double? {
      isAmplification ? row.vans.writeAmplification : row.vans.gigabytesPerSecond
    }
    // Sequential streams are what targets 2 and 3 measured, one thread each.
    let number = isAmplification ? 3 : 2
    let module = CalibrationTarget.all.first { $0.number == number }?.points.map(Self.measured)
    return Plot(
      name: isAmplification ? "vans-amplification" : "vans-bandwidth",
      title: isAmplification
        ? "Amplification by sequential streams" : "Bandwidth by sequential streams",
      x: .init("streams", startsAtZero: true),
      y: .init(isAmplification ? "media ÷ iMC writes" : "GB/s", startsAtZero: true),
      series: [
        .init(
          "model",
          points(true) { isAmplification ? $0.writeAmplification : $0.gigabytesPerSecond },
          style: .line, color: 0),
        .init("module", module ?? [], style: .points, color: 0),
        .init("VANS in turn", points(true, vans), color: 1),
        .init("VANS shuffled", points(false, vans), color: 2),
      ],
      caption: isAmplification
        ? "The module's grows faster than VANS's."
        : "More streams are slower on the module; in VANS it depends on their order.",
      size: .small)
  }
}
