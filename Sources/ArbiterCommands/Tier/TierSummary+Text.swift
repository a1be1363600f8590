// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterPlacement
internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterTiering

extension TierSummary {
  /// The summary for people.
  ///
  /// - Parameter width: Columns of the terminal.
  /// - Returns: Lines of at most the width, as far as words allow.
  package func text(width: Int) -> String {
    var paragraphs = [lines([heading] + how, width)]
    // Without managed memory a table would be one of zeros.
    if let reading, nothing == nil {
      paragraphs.append(Self.table(of: reading).text(width: width))
      let reasons = Self.reasons(in: reading)
      if !reasons.isEmpty { paragraphs.append(lines(reasons, width)) }
    }
    if !remarks.isEmpty { paragraphs.append(lines(remarks, width)) }
    return paragraphs.joined(separator: "\n")
  }

  private func lines(_ sentences: [String], _ width: Int) -> String {
    sentences.flatMap { Console.wrapped(Failure.harmless($0), width: width) }
      .map { $0 + "\n" }.joined()
  }

  private var heading: String {
    let name = program.first ?? ""
    let end =
      if let ending {
        ending.signal.map { "was ended by \(SignalInbox.name(of: $0))" }
          ?? "ended with code \(ending.code)"
      } else {
        "is running (process \(process))"
      }
    let cpu = Figures.duration(nanoseconds: cpuSeconds.map { $0 * 1e9 })
    return "arbiter tier: \(name) \(end) after \(Figures.duration(nanoseconds: wallSeconds * 1e9)),"
      + " with \(cpu) of CPU time."
  }

  private var how: [String] {
    guard let reading else { return ["Nothing was placed: \(Self.withoutArbiter)."] }
    if let nothing {
      let tense = ending == nil ? "is placed yet" : "was placed"
      return ["Nothing \(tense): \(nothing)."]
    }
    let period = Figures.duration(nanoseconds: Double(reading.samplingPeriodNanoseconds))
    let tracker = reading.tracker.value.map { "\($0), now each \(period)" } ?? "none"
    return ["Back-end \(reading.backEnd.rawValue), policy \(reading.policy), tracker \(tracker)."]
  }

  // MARK: Table

  private static func table(of reading: TierReading) -> Table {
    var table = Table([.init("figure"), .init("value", .right), .init("")])
    func add(_ name: String, _ value: String, _ more: String = "") {
      // A blank, as an empty cell would stand for a figure that is missing.
      table.add([.text(name), .text(value), .text(more.isEmpty ? " " : more)])
    }
    add(
      "fast memory", bytes(reading.fastBytes), "of \(bytes(reading.fastCapacityBytes)) allowed")
    add("slow memory", bytes(reading.slowBytes))
    if reading.managedBytesMax > reading.managedBytes {
      add("both at most", bytes(reading.managedBytesMax), "at a time")
    }
    add("fast hits", percent(reading.fastHitShare.value?.value), error(reading.fastHitShare))
    add(
      "last seconds", percent(reading.recentFastHitShare.value?.value),
      error(reading.recentFastHitShare))
    let lost = reading.lostSampleCount
    add(
      "samples", String(reading.managedSampleCount),
      "of \(reading.sampleCount), the others were elsewhere"
        + (lost > 0 ? "; \(lost) were lost" : ""))
    add("to fast memory", String(reading.promotionCount), bytes(reading.promotedBytes))
    add("to slow memory", String(reading.demotionCount), bytes(reading.demotedBytes))
    if reading.refusedCount > 0 {
      let kinds = MigrationOutcome.Status.allCases.compactMap { status in
        reading.refusals[status].flatMap { $0 > 0 ? "\($0) \(status.rawValue)" : nil }
      }
      add("not moved", String(reading.refusedCount), kinds.joined(separator: ", "))
    }
    let stalls = reading.stalls.value
    add(
      "stalls", stalls.map { String($0.count) } ?? Figures.unavailable,
      stalls.map { $0.count == 0 ? "" : spelled($0) } ?? "")
    add(
      "tracker CPU", time(reading.trackerNanoseconds),
      share(reading.coreShare(Double(reading.trackerNanoseconds))))
    let mover = reading.moverNanoseconds.value
    add(
      "mover CPU", mover.map(time) ?? Figures.unavailable,
      mover.map { share(reading.coreShare(Double($0))) } ?? "")
    if let placing = reading.placingNanoseconds.value {
      add("placing CPU", time(placing), "in calls of the program: room for what it maps")
    }
    add(
      "metadata", bytes(reading.metadataBytes),
      reading.metadataShare.value.map { "\(percent($0)) of managed memory" } ?? "")
    return table
  }

  /// Why figures are missing, each once.
  private static func reasons(in reading: TierReading) -> [String] {
    let missing: [(String, String?)] = [
      ("tracker", reading.tracker.reason), ("fast hits", reading.fastHitShare.reason),
      (
        // Where nothing was sampled at all, nothing was in the last seconds either.
        "last seconds",
        reading.recentFastHitShare.reason.map { reading.fastHitShare.reason ?? $0 }
      ), ("stalls", reading.stalls.reason),
      ("mover CPU", reading.moverNanoseconds.reason),
    ]
    var told: [(names: [String], reason: String)] = []
    for (name, reason) in missing {
      guard let reason else { continue }
      if let place = told.firstIndex(where: { $0.reason == reason }) {
        told[place].names.append(name)
      } else {
        told.append(([name], reason))
      }
    }
    return told.map { "Unavailable: \($0.names.joined(separator: ", ")): \($0.reason)." }
  }

  private static func spelled(_ stalls: TierStalls) -> String {
    "at most \(time(stalls.nanosecondsMax)), the longest \(time(stalls.longestNanoseconds))"
  }

  private static func time(_ nanoseconds: UInt64) -> String {
    Figures.duration(nanoseconds: Double(nanoseconds))
  }

  private static func share(_ share: Figure<Double>) -> String {
    share.value.map { "\(percent($0)) of one processor" } ?? ""
  }

  private static func error(_ share: Figure<Estimate>) -> String {
    share.value.map { "+- \(percent($0.standardError))" } ?? ""
  }

  private static func percent(_ share: Double?) -> String {
    share.map { "\(Figures.rounded($0 * 100)) %" } ?? Figures.unavailable
  }

  private static func bytes(_ count: UInt64) -> String { RunSummary.bytes(count) }
}
