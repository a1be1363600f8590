// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterPlatform
internal import ArbiterProfiler
internal import ArbiterReport

extension AccountSummary {
  /// The summary for people.
  ///
  /// - Parameters:
  ///   - width: Columns of the terminal.
  ///   - rowsMax: Rows that are shown; nil for all.
  /// - Returns: Lines of at most the width, as far as words allow.
  func text(width: Int, rowsMax: Int?) -> String {
    var paragraphs = [lines([heading], width)]
    if !reading.rows.isEmpty {
      paragraphs.append(Self.table(of: reading, width: width, rowsMax: rowsMax).text(width: width))
    }
    if let gates {
      paragraphs.append(
        lines(["Counted by gates, exactly:"], width)
          + Self.table(of: gates, width: width, rowsMax: rowsMax).text(width: width))
    }
    paragraphs.append(lines(remarks, width))
    return paragraphs.joined(separator: "\n")
  }

  private func lines(_ sentences: [String], _ width: Int) -> String {
    sentences.flatMap { Console.wrapped(Failure.harmless($0), width: width) }
      .map { $0 + "\n" }.joined()
  }

  private var heading: String {
    let time = Figures.duration(nanoseconds: wallSeconds * 1e9)
    let losses = reading.losses
    var text = "arbiter account: \(reading.backEnd.measure.title) by back-end "
    text += "\(reading.backEnd.rawValue), over \(time)"
    if let share = losses.resolvedShare, !reading.backEnd.isExact {
      text += "; \(losses.sampleCount) samples, \(Self.percent(share)) of them resolved"
    }
    return text + "."
  }

  // MARK: Table

  private static func table(of reading: AccountReading, width: Int, rowsMax: Int?) -> Table {
    let measure = reading.backEnd.measure
    var table = Table([
      .init("mapping"), .init("kind"), .init(measure.column, .right), .init("+-", .right),
      .init("read", .right), .init("share", .right), .init("samples", .right),
    ])
    // What the other columns take at most, with two blanks between them.
    let room = max(16, min(width, 200) - 57)
    let shown = reading.rows.prefix(rowsMax ?? reading.rows.count)
    for task in reading.tasks {
      let rows = shown.filter { $0.task == task.task }
      if rows.isEmpty { continue }
      table.addGroup(title(of: task))
      for row in rows {
        table.add([
          .text(name(of: row, room: room)), .text(row.mapping.kind.rawValue),
          .text(amount(row.written.value, measure)), .text(error(row.written, reading.backEnd)),
          .text(row.read.value.map { amount($0.value, measure) } ?? Figures.unavailable),
          .text(row.share.map(percent) ?? Figures.unavailable),
          .text(String(row.sampleCount)),
        ])
      }
    }
    let rest = reading.rows.dropFirst(shown.count)
    if !rest.isEmpty {
      let written = rest.map(\.written).reduce(.exact(0), +)
      table.addGroup("everything else")
      table.add([
        .text("\(rest.count) \(rest.count == 1 ? "row" : "rows")"), .text(""),
        .text(amount(written.value, measure)),
        .text(error(written, reading.backEnd)), .text(""),
        .text(percent(rest.reduce(0) { $0 + ($1.share ?? 0) })),
        .text(String(rest.reduce(0) { $0 + $1.sampleCount })),
      ])
    }
    return table
  }

  private static func title(of task: AccountReading.Task) -> String {
    if task.task == Ledger.otherTasks { return "other tasks" }
    let name = Failure.harmless(task.command ?? "unknown")
    var text = "\(name), process \(task.task.process)"
    if let thread = task.task.thread { text += ", thread \(thread)" }
    if task.hasEnded { text += ", ended" }
    if task.unresolvedCount > 0, let share = task.resolvedShare {
      text += ": \(percent(share)) of its samples resolved"
    }
    return text
  }

  /// The name of a mapping, shortened from the left, where paths say least.
  private static func name(of row: AccountReading.Row, room: Int) -> String {
    var name = Failure.harmless(row.mapping.name)
    if let range = row.addresses {
      name = String(range.lowerBound, radix: 16) + ", " + RunSummary.bytes(UInt64(range.count))
    }
    return name.count <= room ? name : "..." + name.suffix(room - 3)
  }

  private static func amount(_ value: Double, _ measure: AccountMeasure) -> String {
    measure.unit == "nanoseconds"
      ? Figures.duration(nanoseconds: value)
      : RunSummary.bytes(UInt64(max(0, min(value.rounded(), 1e18))))
  }

  private static func error(_ estimate: Estimate, _ backEnd: BackEnd) -> String {
    if backEnd.isExact { return "0" }
    return estimate.relativeError.map(percent) ?? Figures.unavailable
  }

  static func percent(_ share: Double) -> String {
    if share >= 9.995 { return ">999%" }
    let tenths = Int((share * 1000).rounded())
    return tenths >= 1000 ? "\((tenths + 5) / 10)%" : "\(tenths / 10).\(tenths % 10)%"
  }

  // MARK: Remarks

  /// What a reader has to know beside the figures.
  var remarks: [String] {
    var list: [String] = []
    for missed in choice.passedOver {
      // Who reads this uses the timer already.
      let step = missed.nextStep.contains("timer") ? "" : "; \(missed.nextStep)"
      list.append("Back-end \(missed.backEnd.rawValue) is not used: \(missed.reason)\(step).")
    }
    if !reading.rows.isEmpty { list.append(reading.backEnd.caution) }
    list += lossRemarks
    if let reason = unavailable.first(where: { $0.name == "kernel_copies_bytes" })?.reason {
      list.append("Unavailable: copies by the kernel (read, write): \(reason).")
    }
    if let reason = reading.read.reason { list.append("Unavailable: loads: \(reason).") }
    if reading.rows.isEmpty { list.append(reading.backEnd.silence) }
    return list + notes
  }

  private var lossRemarks: [String] {
    var list: [String] = []
    let losses = reading.losses
    if losses.lostCount > 0 {
      list.append(
        "\(losses.lostCount) samples were lost in the kernel's rings, beside "
          + "\(losses.sampleCount) that were taken: figures are that much too low. A longer "
          + "--period loses fewer.")
    }
    if losses.throttleCount > 0 {
      list.append(
        "The kernel held sampling back \(losses.throttleCount) times: figures are too low. A "
          + "longer --period, or a higher kernel.perf_event_max_sample_rate, avoids it.")
    }
    let missing =
      reading.losses.sampleCount
      &- min(
        reading.losses.sampleCount, reading.losses.resolvedCount)
    if missing > 0 && !reading.backEnd.isExact {
      let samples = missing == 1 ? "1 sample" : "\(missing) samples"
      list.append(
        "Not in the table: \(samples) whose access could not be told, mostly in code that "
          + "computes.")
    }
    if reading.foldedCount > 0 {
      list.append(
        "\(reading.foldedCount) samples are in rows called others: there were more tasks and "
          + "mappings than rows are kept.")
    }
    return list
  }
}

extension AccountMeasure {
  /// In a heading.
  var title: String {
    switch self {
    case .accessedBytes: "bytes stored and loaded"
    case .timeWeightedStoreCost: "time-weighted store cost"
    case .firstTouches: "pages touched for the first time"
    case .storedBytes: "bytes stored"
    }
  }

  /// Above a column; never bytes for what is time.
  var column: String {
    switch self {
    case .accessedBytes, .storedBytes: "written"
    case .timeWeightedStoreCost: "cost"
    case .firstTouches: "touched"
    }
  }
}

extension BackEnd {
  /// How its figures are to be read.
  var caution: String {
    switch self {
    case .pebs:
      "Figures are width times period of sampled instructions; +- is the upper standard error."
    case .timer:
      "Cost is CPU time at stores, read that at loads: both rank memory by cost and count no "
        + "accesses; stores that hit the cache hardly show. +- is the upper standard error."
    case .faults:
      "Each fault is counted as 4 KiB; the true size of one that maps a huge page is unknown."
    case .gates:
      "Counted are stores through libpmem and libpmem2, and nothing else."
    }
  }

  /// Why there may be nothing to show.
  var silence: String {
    switch self {
    case .pebs, .timer:
      "No access was sampled: who was watched hardly ran, or ran in the kernel. A shorter "
        + "--period or more time shows more."
    case .faults: "No page was touched for the first time while it was watched."
    case .gates:
      "No gate has counted anything: gates are those of programs that 'arbiter run' has started."
    }
  }
}
