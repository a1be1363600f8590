// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The format "arbiter-tier-1": lines of ASCII, fields apart by one space.
//
//   arbiter-tier-1 KEY=VALUE ...        the first line; readers skip keys they do not know
//   c DT CHUNK PROCESS ADDRESS SLOW PRESENT MOVABLE    a chunk came, or changed from outside
//   g DT CHUNK                          a chunk is gone
//   s DT CHUNK ISLAND r|w WEIGHT        a sample
//   p DT NANOSECONDS                    another sampling period
//   d DT CHUNK f|s ISLANDS REASON       a decision
//   o DT CHUNK f|s ISLANDS REASON STATUS BYTES PROTECTED CPU STALLS    what became of it
//   e DT                                the end; without it the recording was cut short
//
// DT is the nanoseconds since the line before, so that lines stay short; addresses and sets of
// islands are hexadecimal, everything else is decimal. The header's `weight` says what weights stand
// for: nanoseconds, fast-nanoseconds or accesses (`TierWeightUnit`). Text in the header has its spaces, percent
// signs, equal signs and what is not printable ASCII as %XX of its UTF-8.

/// Writes a recording line by line, as bytes for whoever has a file.
public struct TierRecordingWriter: Sendable {
  /// The word with which a recording begins.
  public static let magic = "arbiter-tier-1"

  private var timeNanoseconds: Int64 = 0

  /// Makes a writer and appends the header line.
  public init(_ header: TierRecordingHeader, to bytes: inout [UInt8]) {
    var line = Self.magic
    for (key, value) in Self.fields(of: header) {
      line += " \(key)=\(TierText.escaped(value))"
    }
    for word in header.command { line += " argument=\(TierText.escaped(word))" }
    bytes += Array((line + "\n").utf8)
  }

  /// Appends the line of an event.
  ///
  /// An event that comes after a later one, as samples of other processors may, gets the later
  /// one's time: the order of the lines is the order of the calls.
  public mutating func append(_ event: TierEvent, to bytes: inout [UInt8]) {
    let time = max(event.timeNanoseconds, timeNanoseconds)
    let step = time - timeNanoseconds
    timeNanoseconds = time
    bytes += Array("\(Self.line(event.kind, after: step))\n".utf8)
  }

  private static func fields(of header: TierRecordingHeader) -> [(String, String)] {
    let (fast, slow) = (header.tiers.fast, header.tiers.slow)
    return [
      ("fast_bytes", "\(header.tiers.fastBytes)"),
      ("chunk_bytes", "\(TierUnit.chunkBytes)"),
      ("island_bytes", "\(TierUnit.islandBytes)"),
      ("weight", header.weightUnit.rawValue),
      ("period_ns", "\(header.samplingPeriodNanoseconds)"),
      ("fast_load_ns", "\(fast.loadNanoseconds)"),
      ("fast_store_ns", "\(fast.storeNanoseconds)"),
      ("fast_read_bytes_per_second", "\(fast.readBytesPerSecond)"),
      ("fast_write_bytes_per_second", "\(fast.writeBytesPerSecond)"),
      ("slow_load_ns", "\(slow.loadNanoseconds)"),
      ("slow_store_ns", "\(slow.storeNanoseconds)"),
      ("slow_read_bytes_per_second", "\(slow.readBytesPerSecond)"),
      ("slow_write_bytes_per_second", "\(slow.writeBytesPerSecond)"),
      ("migration_ns", "\(header.tiers.migrationNanoseconds)"),
      ("policy", header.policy), ("tracker", header.tracker), ("back_end", header.backEnd),
    ]
  }

  private static func line(_ kind: TierEvent.Kind, after step: Int64) -> String {
    switch kind {
    case .chunk(let number, let chunk):
      let sets = "\(TierText.hex(chunk.slowIslands)) \(TierText.hex(chunk.presentIslands))"
      return "c \(step) \(number) \(chunk.process) \(String(chunk.address, radix: 16)) \(sets) "
        + (chunk.isMovable ? "1" : "0")
    case .gone(let number): return "g \(step) \(number)"
    case .sample(let sample):
      let (kind, weight) = (sample.isStore ? "w" : "r", TierText.number(sample.weight))
      return "s \(step) \(sample.chunk) \(sample.island) \(kind) \(weight)"
    case .period(let nanoseconds): return "p \(step) \(nanoseconds)"
    case .decision(let migration): return "d \(step) \(words(migration))"
    case .outcome(let outcome):
      return "o \(step) \(words(outcome.migration)) \(outcome.status.rawValue) "
        + "\(outcome.bytesCopied) \(outcome.protectedNanoseconds) \(outcome.cpuNanoseconds) "
        + "\(outcome.stallCount)"
    case .end: return "e \(step)"
    }
  }

  private static func words(_ migration: Migration) -> String {
    "\(migration.chunk) \(migration.destination == .fast ? "f" : "s") "
      + "\(TierText.hex(migration.islands)) \(migration.reason.rawValue)"
  }
}

/// How values are spelled in a recording.
enum TierText {
  static func hex(_ islands: IslandSet) -> String { String(islands.rawValue, radix: 16) }

  /// Whole weights, which most are, without a fraction.
  static func number(_ weight: Float) -> String {
    weight == weight.rounded() && abs(weight) < 1e9 ? "\(Int(weight))" : "\(weight)"
  }

  static func escaped(_ text: String) -> String {
    var escaped = ""
    for byte in text.utf8 {
      let isPlain =
        byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "%")
        && byte != UInt8(ascii: "=")
      if isPlain {
        escaped.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        let digits = String(byte, radix: 16, uppercase: true)
        escaped += "%" + (digits.count == 1 ? "0" : "") + digits
      }
    }
    return escaped
  }

  /// The text that was escaped; nil where it was not escaped by this rule.
  static func unescaped(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = rest.prefix(2)
      guard digits.count == 2, let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
      else { return nil }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
