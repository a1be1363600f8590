// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterPlacement

// What a session tells those who watch it, as lines of text: `name value`, or `name ? reason` of a
// figure that is unavailable. The first line names the form, the last one says that nothing is
// missing. A reader takes all of it or none.

/// The reading of a session of `arbiter tier`, as others find it.
public struct TierNote: Sendable {
  /// The process of the session, which is not the program's.
  public var process: Int32
  /// When that process started, in clock ticks since the machine did.
  public var startTicks: UInt64
  /// The name of the program.
  public var program: String
  /// How memory is placed.
  public var reading: TierReading

  /// Makes a note.
  public init(process: Int32, startTicks: UInt64, program: String, reading: TierReading) {
    self.process = process
    self.startTicks = startTicks
    self.program = program
    self.reading = reading
  }

  private static let form = "arbiter-tier-note 1"
  private static let end = "end"

  // Both directions go by these lists, so that they cannot disagree.
  private static let counts: [(String, any WritableKeyPath<TierReading, UInt64> & Sendable)] = [
    ("fast_capacity_bytes", \.fastCapacityBytes), ("fast_bytes", \.fastBytes),
    ("slow_bytes", \.slowBytes), ("metadata_bytes", \.metadataBytes),
    ("managed_samples", \.managedSampleCount), ("samples", \.sampleCount),
    ("lost_samples", \.lostSampleCount), ("promotions", \.promotionCount),
    ("demotions", \.demotionCount), ("promoted_bytes", \.promotedBytes),
    ("demoted_bytes", \.demotedBytes), ("tracker_ns", \.trackerNanoseconds),
  ]
  private static let shares:
    [(String, any WritableKeyPath<TierReading, Figure<Estimate>> & Sendable)] =
      [("fast_hits", \.fastHitShare), ("recent_fast_hits", \.recentFastHitShare)]

  // MARK: Writing

  /// The note as text.
  public var text: String {
    var lines = [Self.form]
    func add(_ name: String, _ value: String) {
      lines.append("\(name) \(value.map { $0.isNewline ? " " : String($0) }.joined())")
    }
    func add<Value>(_ name: String, _ figure: Figure<Value>, _ spell: (Value) -> String) {
      switch figure {
      case .known(let value): add(name, spell(value))
      case .unavailable(let reason): add(name, "? \(reason)")
      }
    }
    add("process", "\(process)")
    add("start_ticks", "\(startTicks)")
    add("program", program)
    add("time_ns", "\(reading.timeNanoseconds)")
    add("back_end", reading.backEnd.rawValue)
    add("policy", reading.policy)
    add("tracker", reading.tracker) { $0 }
    add("sampling_period_ns", "\(reading.samplingPeriodNanoseconds)")
    for (name, path) in Self.counts { add(name, "\(reading[keyPath: path])") }
    for (name, path) in Self.shares {
      add(name, reading[keyPath: path]) { "\($0.value) \($0.standardError)" }
    }
    for status in MigrationOutcome.Status.allCases {
      if let count = reading.refusals[status] { add("refused_\(status.rawValue)", "\(count)") }
    }
    add("stalls", reading.stalls) { "\($0.count) \($0.nanosecondsMax) \($0.longestNanoseconds)" }
    add("mover_ns", reading.moverNanoseconds) { "\($0)" }
    add("placing_ns", reading.placingNanoseconds) { "\($0)" }
    add("processes", reading.processes.map(String.init).joined(separator: ","))
    lines.append(Self.end)
    return lines.map { $0 + "\n" }.joined()
  }

  // MARK: Reading

  /// Reads a note; nil of anything that is not a whole note of this version.
  public init?(text: String) {
    var lines = text.split(separator: "\n")
    guard lines.first == Self.form[...], lines.last == Self.end[...], lines.count > 2 else {
      return nil
    }
    lines = Array(lines[1..<lines.count - 1])
    var values: [Substring: Substring] = [:]
    for line in lines {
      let name = line.prefix { $0 != " " }
      values[name] = line.dropFirst(name.count + 1)
    }
    guard let process = values["process"].flatMap({ Int32($0) }),
      let ticks = values["start_ticks"].flatMap({ UInt64($0) }), let program = values["program"],
      let reading = Self.reading(values)
    else { return nil }
    self.init(process: process, startTicks: ticks, program: String(program), reading: reading)
  }

  private static func reading(_ values: [Substring: Substring]) -> TierReading? {
    func list(_ value: Substring) -> [Substring] { value.split(separator: " ") }
    func figure<Value>(_ name: Substring, _ read: (Substring) -> Value?) -> Figure<Value>? {
      guard let value = values[name] else { return nil }
      if value.hasPrefix("? ") { return .unavailable(String(value.dropFirst(2))) }
      return read(value).map { .known($0) }
    }
    guard let time = values["time_ns"].flatMap({ Int64($0) }),
      let backEnd = values["back_end"].flatMap({ TierBackEndKind(rawValue: String($0)) }),
      let policy = values["policy"], let tracker = figure("tracker", { String($0) }),
      let period = values["sampling_period_ns"].flatMap({ Int64($0) }),
      let mover = figure("mover_ns", { UInt64($0) }),
      let placing = figure("placing_ns", { UInt64($0) }),
      let stalls = figure(
        "stalls",
        { value -> TierStalls? in
          let numbers = list(value).compactMap { UInt64($0) }
          guard numbers.count == 3 else { return nil }
          return TierStalls(
            count: numbers[0], nanosecondsMax: numbers[1], longestNanoseconds: numbers[2])
        })
    else { return nil }
    var reading = TierReading(
      timeNanoseconds: time, backEnd: backEnd, policy: String(policy), tracker: tracker,
      samplingPeriodNanoseconds: period, fastCapacityBytes: 0, fastBytes: 0, slowBytes: 0,
      metadataBytes: 0, fastHitShare: .unavailable(""), recentFastHitShare: .unavailable(""),
      managedSampleCount: 0, sampleCount: 0, lostSampleCount: 0, promotionCount: 0,
      demotionCount: 0, promotedBytes: 0, demotedBytes: 0, refusals: [:], stalls: stalls,
      trackerNanoseconds: 0, moverNanoseconds: mover,
      processes: (values["processes"] ?? "").split(separator: ",").compactMap { Int32($0) })
    reading.placingNanoseconds = placing
    for (name, path) in counts {
      guard let count = values[name[...]].flatMap({ UInt64($0) }) else { return nil }
      reading[keyPath: path] = count
    }
    for (name, path) in shares {
      let share = figure(name[...]) { value -> Estimate? in
        let numbers = list(value).compactMap { Double($0) }
        return numbers.count == 2 ? Estimate(numbers[0], standardError: numbers[1]) : nil
      }
      guard let share else { return nil }
      reading[keyPath: path] = share
    }
    for status in MigrationOutcome.Status.allCases {
      if let count = values["refused_\(status.rawValue)"].flatMap({ UInt64($0) }) {
        reading.refusals[status] = count
      }
    }
    return reading
  }
}
