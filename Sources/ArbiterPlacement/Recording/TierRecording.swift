// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A session's samples and decisions, read back.
///
/// ```swift
/// let recording = try TierRecording(parsing: bytes)
/// for event in recording.events { ... }
/// ```
public struct TierRecording: Sendable {
  /// What was known before the first event.
  public let header: TierRecordingHeader
  /// What happened, in order.
  public let events: [TierEvent]
  /// Whether the session's end was recorded; a session that was killed leaves none.
  public let isComplete: Bool

  /// Makes a recording of its parts.
  public init(header: TierRecordingHeader, events: [TierEvent]) {
    self.header = header
    self.events = events
    isComplete = events.last?.kind == .end
  }

  /// Nanoseconds from the start to the last event.
  public var durationNanoseconds: Int64 { events.last?.timeNanoseconds ?? 0 }

  /// Reads a recording.
  ///
  /// A last line without its newline, which a session that was killed may leave, is skipped.
  ///
  /// - Throws: ``TierRecordingError`` with the first line that does not make sense.
  /// - Complexity: O(*n*) in bytes.
  public init(parsing bytes: [UInt8]) throws(TierRecordingError) {
    var reader = LineReader(bytes: bytes)
    guard let first = reader.next() else {
      throw TierRecordingError(line: 1, reason: "is missing: the recording is empty")
    }
    let header = try TierRecordingHeader(parsing: first)
    var events: [TierEvent] = []
    var time: Int64 = 0
    var isEnded = false
    while let line = reader.next() {
      if isEnded {
        throw TierRecordingError(line: reader.number, reason: "follows the end of the session")
      }
      var fields = LineFields(line: line, number: reader.number)
      let event = try fields.event(after: time)
      time = event.timeNanoseconds
      if event.kind == .end { isEnded = true }
      events.append(event)
    }
    self.init(header: header, events: events)
  }

  /// The recording as bytes.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    var writer = TierRecordingWriter(header, to: &bytes)
    for event in events { writer.append(event, to: &bytes) }
    return bytes
  }
}

/// Whole lines of a file, without their newlines.
private struct LineReader {
  let bytes: [UInt8]
  private var start = 0
  private(set) var number = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  mutating func next() -> Substring? {
    guard let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let line = String(decoding: bytes[start..<end], as: UTF8.self)
    start = end + 1
    number += 1
    return line[...]
  }
}

/// The fields of one line, taken one by one.
private struct LineFields {
  /// A year: who plays a recording goes through all of its time.
  private static let timeMax: Int64 = 366 * 86_400 * 1_000_000_000

  private var fields: ArraySlice<Substring>
  private let number: Int

  init(line: Substring, number: Int) {
    fields = line.split(separator: " ", omittingEmptySubsequences: false)[...]
    self.number = number
  }

  func wrong(_ reason: String) -> TierRecordingError {
    TierRecordingError(line: number, reason: reason)
  }

  mutating func word(_ name: String) throws(TierRecordingError) -> Substring {
    guard let field = fields.popFirst() else { throw wrong("has no \(name)") }
    return field
  }

  mutating func whole<Number: FixedWidthInteger>(
    _ name: String, radix: Int = 10
  ) throws(TierRecordingError) -> Number {
    let field = try word(name)
    guard let value = Number(field, radix: radix), value >= 0 else {
      throw wrong("has '\(field)' as \(name), which is no such number")
    }
    return value
  }

  mutating func islands(_ name: String) throws(TierRecordingError) -> IslandSet {
    IslandSet(rawValue: try whole(name, radix: 16))
  }

  mutating func named<Value: RawRepresentable>(
    _ name: String, as type: Value.Type
  ) throws(TierRecordingError) -> Value where Value.RawValue == String {
    let field = try word(name)
    guard let value = Value(rawValue: String(field)) else {
      throw wrong("has '\(field)' as \(name), which this version does not know")
    }
    return value
  }

  mutating func event(after time: Int64) throws(TierRecordingError) -> TierEvent {
    let kind = try word("kind")
    let step: Int64 = try whole("time")
    let (at, isOverflow) = time.addingReportingOverflow(step)
    if isOverflow || at > Self.timeMax { throw wrong("has a time after more than a year") }
    let event = TierEvent(at: at, try content(of: kind))
    if let rest = fields.first { throw wrong("has '\(rest)' after its last field") }
    return event
  }

  private mutating func content(of kind: Substring) throws(TierRecordingError) -> TierEvent.Kind {
    switch kind {
    case "c": return try chunk()
    case "g": return .gone(number: try chunkNumber())
    case "s": return .sample(try sample())
    case "p": return .period(nanoseconds: try whole("period"))
    case "d": return .decision(try migration())
    case "o": return .outcome(try outcome())
    case "e": return .end
    default: throw wrong("begins with '\(kind)', which this version does not know")
    }
  }

  /// Numbers are small and dense; the bound keeps a damaged file from taking all memory.
  private mutating func chunkNumber() throws(TierRecordingError) -> Int {
    let number: Int = try whole("chunk")
    guard number < 1 << 26 else { throw wrong("has chunk \(number), which no table holds") }
    return number
  }

  private mutating func chunk() throws(TierRecordingError) -> TierEvent.Kind {
    let number = try chunkNumber()
    let process: Int32 = try whole("process")
    let address: UInt64 = try whole("address", radix: 16)
    guard address % UInt64(TierUnit.chunkBytes) == 0 else {
      throw wrong("has address \(String(address, radix: 16)), which begins no chunk")
    }
    var chunk = ManagedChunk(
      process: process, address: address, slowIslands: try islands("slow islands"))
    chunk.presentIslands = try islands("present islands")
    switch try word("movable") {
    case "0": chunk.isMovable = false
    case "1": chunk.isMovable = true
    case let other: throw wrong("has '\(other)' as movable, not 0 or 1")
    }
    return .chunk(number: number, chunk)
  }

  private mutating func sample() throws(TierRecordingError) -> TierSample {
    let chunk = try chunkNumber()
    let island: UInt8 = try whole("island")
    guard island < TierUnit.islandsPerChunk else { throw wrong("has island \(island) of 64") }
    let isStore: Bool
    switch try word("kind of access") {
    case "r": isStore = false
    case "w": isStore = true
    case let other: throw wrong("has '\(other)' as kind of access, not r or w")
    }
    let field = try word("weight")
    guard let weight = Float(field), weight.isFinite, weight >= 0 else {
      throw wrong("has '\(field)' as weight, which is no such number")
    }
    return TierSample(chunk: Int32(chunk), island: island, isStore: isStore, weight: weight)
  }

  private mutating func migration() throws(TierRecordingError) -> Migration {
    let chunk = try chunkNumber()
    let destination: Tier
    switch try word("destination") {
    case "f": destination = .fast
    case "s": destination = .slow
    case let other: throw wrong("has '\(other)' as destination, not f or s")
    }
    let islands = try islands("islands")
    return Migration(
      chunk: Int32(chunk), islands: islands, to: destination,
      because: try named("reason", as: Migration.Reason.self))
  }

  private mutating func outcome() throws(TierRecordingError) -> MigrationOutcome {
    let migration = try migration()
    let status = try named("status", as: MigrationOutcome.Status.self)
    return MigrationOutcome(
      migration, status: status, bytesCopied: try whole("bytes"),
      protectedNanoseconds: try whole("protected time"), cpuNanoseconds: try whole("CPU time"),
      stallCount: try whole("stalls"))
  }
}

extension TierRecordingHeader {
  /// Reads the first line.
  init(parsing line: Substring) throws(TierRecordingError) {
    let words = line.split(separator: " ")
    guard words.first.map({ $0 == TierRecordingWriter.magic }) == true else {
      throw TierRecordingError(
        line: 1,
        reason: "does not begin with '\(TierRecordingWriter.magic)': not a recording of tiering, "
          + "or of another version")
    }
    var values: [Substring: String] = [:]
    var command: [String] = []
    for word in words.dropFirst() {
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, let key = parts.first, let text = parts.last,
        let value = TierText.unescaped(text)
      else { throw TierRecordingError(line: 1, reason: "has '\(word)', not a key and a value") }
      if key == "argument" { command.append(value) } else { values[key] = value }
    }
    try self.init(values, command: command)
  }

  private init(
    _ values: [Substring: String], command: [String]
  ) throws(TierRecordingError) {
    func text(_ key: Substring) throws(TierRecordingError) -> String {
      guard let value = values[key] else {
        throw TierRecordingError(line: 1, reason: "has no \(key)")
      }
      return value
    }
    func wrong(_ key: Substring, _ value: String) -> TierRecordingError {
      TierRecordingError(line: 1, reason: "has \(key)=\(value), which makes no sense")
    }
    func figure(_ key: Substring) throws(TierRecordingError) -> Double {
      let value = try text(key)
      guard let number = Double(value), number.isFinite, number >= 0 else {
        throw wrong(key, value)
      }
      return number
    }
    func whole(_ key: Substring, atLeast least: Int = 0) throws(TierRecordingError) -> Int {
      let value = try text(key)
      guard let number = Int(value), number >= least else { throw wrong(key, value) }
      return number
    }
    func timing(_ tier: String) throws(TierRecordingError) -> TierTiming {
      TierTiming(
        loadNanoseconds: try figure("\(tier)_load_ns"),
        storeNanoseconds: try figure("\(tier)_store_ns"),
        readBytesPerSecond: try figure("\(tier)_read_bytes_per_second"),
        writeBytesPerSecond: try figure("\(tier)_write_bytes_per_second"))
    }
    for (key, size) in [
      ("chunk_bytes", TierUnit.chunkBytes), ("island_bytes", TierUnit.islandBytes),
    ] as [(Substring, Int)] where try whole(key) != size {
      throw TierRecordingError(
        line: 1, reason: "has \(key)=\(try text(key)); this version has \(size)")
    }
    let unit = try text("weight")
    guard let weightUnit = TierWeightUnit(rawValue: unit) else { throw wrong("weight", unit) }
    self.init(
      tiers: TierPair(
        fastBytes: try whole("fast_bytes"), fast: try timing("fast"), slow: try timing("slow"),
        migrationNanoseconds: try figure("migration_ns")),
      weightUnit: weightUnit,
      samplingPeriodNanoseconds: Int64(try whole("period_ns", atLeast: 1)),
      policy: try text("policy"), tracker: try text("tracker"), backEnd: try text("back_end"),
      command: command)
  }
}
