// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterMetrics
internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterWorkloads

// Tables of at most 80 columns: what a person reads first.

extension MeasureFindings {
  /// The tables in the order of the questions: how long, how much, by which way, how many.
  var tables: [Table] {
    [latencyTable, threadTable, sizeTable, fileTable, calibrationTable].compactMap(\.self)
  }

  private var latencyTable: Table? {
    let own = points.filter { $0.point.aspect == .latency }
    guard !own.isEmpty else { return nil }
    var table = Table(
      [
        .init("latency in ns"), .init("size", .right), .init("mean", .right), .init("p50", .right),
        .init("min..max", .right), .init("p90", .right), .init("p99", .right),
        .init("p99.9", .right), .init("max", .right),
      ], keyColumnCount: 2)
    for point in own {
      let p50 = point.latency { $0.p50 }
      table.add([
        .text(Self.words(point.point)), .text("\(ByteCount(bytes: point.point.sizeBytes))"),
        .number(point.latency { $0.mean }?.median), .number(p50?.median),
        .text(Self.range(p50, scale: 1)), .number(point.latency { $0.p90 }?.median),
        .number(point.latency { $0.p99 }?.median), .number(point.latency { $0.p999 }?.median),
        .number(point.latency { $0.max }?.median),
      ])
    }
    return table
  }

  /// What a latency is of.
  private static func words(_ point: MeasurementPoint) -> String {
    switch point.kind {
    case .read, .mixed: "dependent read"
    case .nt: "nt store + fence"
    case .clwb: "store + clwb + fence"
    }
  }

  private static func range(_ spread: Spread?, scale: Double) -> String {
    guard let spread else { return Figures.unavailable }
    return Figures.rounded(spread.range.lowerBound / scale) + ".."
      + Figures.rounded(spread.range.upperBound / scale)
  }

  private static let costColumns: [Table.Column] = [
    .init("GB/s", .right), .init("min..max", .right), .init("process s/GiB", .right),
    .init("system s/GiB", .right), .init("stolen s", .right),
  ]

  private static func costCells(_ point: MeasuredPoint) -> [Table.Cell] {
    [
      .text(Figures.gigabytesPerSecond(point.bandwidth?.median)),
      .text(range(point.bandwidth, scale: 1e9)), .number(point.processSecondsPerGiB.value),
      .number(point.systemSecondsPerGiB.value), .number(point.stolenSeconds.value),
    ]
  }

  private var threadTable: Table? {
    var table = Table(
      [.init("bandwidth"), .init("threads", .right)] + Self.costColumns, keyColumnCount: 2)
    var isEmpty = true
    for kind in MeasurementPoint.Kind.allCases {
      for point in threadCurve(kind) {
        isEmpty = false
        table.add(
          [.text(Self.words(kind, point.point)), .count(point.point.threadCount)]
            + Self.costCells(point))
      }
    }
    return isEmpty ? nil : table
  }

  private static func words(_ kind: MeasurementPoint.Kind, _ point: MeasurementPoint) -> String {
    guard kind == .mixed else { return kind.rawValue }
    return "mixed \(Int((point.workload.readShare * 100).rounded())) %"
  }

  private var sizeTable: Table? {
    let threads = sizeThreadCount
    let own = points.filter {
      $0.point.aspect == .bandwidth && $0.point.threadCount == threads && $0.point.kind != .mixed
    }
    guard own.count > threadCurve(.read).count + threadCurve(.nt).count else { return nil }
    var table = Table(
      [.init("kind"), .init("order"), .init("size", .right)] + Self.costColumns,
      caption: "With \(threads) thread\(threads == 1 ? "" : "s").", keyColumnCount: 3)
    for kind in MeasurementPoint.Kind.allCases {
      for pattern in [Pattern.sequential, .random] {
        let row = own.filter { $0.point.kind == kind && $0.point.workload.pattern == pattern }
        for point in row.sorted(by: { $0.point.sizeBytes < $1.point.sizeBytes }) {
          table.add(
            [
              .text(kind.rawValue), .text(pattern.rawValue),
              .text("\(ByteCount(bytes: point.point.sizeBytes))"),
            ] + Self.costCells(point))
        }
      }
    }
    return table
  }

  /// Threads of the points at which sizes were varied.
  var sizeThreadCount: Int {
    points.filter { $0.point.aspect == .bandwidth }.map(\.point.threadCount).min() ?? 1
  }

  private var fileTable: Table? {
    guard !files.isEmpty else { return nil }
    var table = Table(
      [.init("file"), .init("figure")] + FileArm.allCases.map { .init($0.header, .right) },
      caption:
        "One thread, \(ByteCount(bytes: FileWork.blockBytes)) at a time, one after the other.",
      keyColumnCount: 2)
    for work in FileWork.allCases {
      let own = FileArm.allCases.map { arm in
        files.first { $0.arm == arm && $0.work == work }?.measured
      }
      guard own.contains(where: { $0 != nil }) else { continue }
      table.add(
        [.text(work.title), "GB/s"]
          + own.map { .text(Figures.gigabytesPerSecond($0?.bandwidth?.median)) })
      table.add(
        [.text(" "), "min..max"]
          + own.map { .text(Self.range($0?.bandwidth, scale: 1e9)) })
      table.add(
        [.text(" "), "process s/GiB"] + own.map { .number($0?.processSecondsPerGiB.value) })
      table.add(
        [.text(" "), "system s/GiB"] + own.map { .number($0?.systemSecondsPerGiB.value) })
    }
    return table
  }

  private var calibrationTable: Table? {
    guard !calibrations.isEmpty else { return nil }
    var table = Table([
      .init("calibration of"), .init("store"), .init("threads", .right), .init("GB/s", .right),
      .init("best GB/s", .right), .init("at threads", .right),
    ])
    for calibration in calibrations {
      let own = calibration.curve.first { $0.threads == calibration.threadCount }
      let best = calibration.curve.max { $0.bytesPerSecond < $1.bytesPerSecond }
      table.add([
        .text(calibration.region.name), .text(calibration.store.rawValue),
        .count(calibration.threadCount),
        .text(Figures.gigabytesPerSecond(own?.bytesPerSecond)),
        .text(Figures.gigabytesPerSecond(best?.bytesPerSecond)), .count(best?.threads),
      ])
    }
    return table
  }

  /// The sentences below the tables.
  var sentences: [String] {
    var list = [
      subject.about + (subject.isModel ? " All figures are the model's (virtual time)." : "")
    ]
    if let clock = clockNanoseconds, points.contains(where: { $0.point.aspect == .latency }) {
      list.append(
        "Latencies: medians of \(points.map(\.runs.count).max() ?? 0) rounds. Each was timed by "
          + "the time-stamp counter, whose own \(Figures.rounded(clock.plain)) ns (loads) and "
          + "\(Figures.rounded(clock.fenced)) ns (stores, with the fence for the clock) were "
          + "subtracted; the mean is of accesses timed together, the middle one of such groups.")
    }
    let showsCost = points.contains { $0.point.aspect == .bandwidth } || !files.isEmpty
    if !subject.isModel, showsCost {
      let tick = 1000 / Double(ProcessorTime.ticksPerSecond)
      list.append(
        "s/GiB are CPU seconds per GiB moved. The system's are everybody's time, without what the "
          + "host took (stolen), in ticks of \(Figures.rounded(tick)) ms on each processor.")
    } else if showsCost {
      list.append("s/GiB are CPU seconds per GiB moved: the model's threads never sleep.")
    }
    list += warnings.map { "Warning: \($0)" }
    list += unavailableSentences
    return list + remarks
  }

  /// Why figures are missing, each reason once.
  private var unavailableSentences: [String] {
    var seen: Set<String> = []
    let figures: [(String, Figure<Double>)] = points.flatMap {
      [
        ("CPU s/GiB of the process", $0.processSecondsPerGiB),
        ("CPU s/GiB of the system", $0.systemSecondsPerGiB), ("Stolen time", $0.stolenSeconds),
      ]
    }
    let costs = figures.compactMap { name, figure in
      figure.reason.map { "\(name) is unavailable: \($0)." }
    }
    let blurred = points.contains {
      $0.point.aspect == .latency && $0.latency { $0.p50 } == nil && !$0.runs.isEmpty
    }
    let clock =
      blurred
      ? ["Some percentiles are unavailable: such accesses are shorter than the clock can tell."]
      : []
    let arms = files.compactMap { file in
      file.reason.map { "\(file.arm.header), \(file.work.title), is unavailable: \($0)." }
    }
    return (clock + costs + arms).filter { seen.insert($0).inserted }
  }
}
