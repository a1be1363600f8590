// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterWorkloads

/// A text format of accesses.
public enum TextFormat: String, Sendable, Hashable, CaseIterable {
  /// The format of the simulator VANS.
  case vans
  /// What `valgrind --tool=lackey --trace-mem=yes` prints.
  case lackey
}

/// Turns a text of accesses into a recording of one thread, piece by piece.
///
/// Neither format knows threads, sizes of regions or, lackey, times. Documentation/TraceFormat.md
/// says what becomes of what.
public struct TextImporter: Sendable {
  /// What was done so far.
  public private(set) var tally = ConversionTally()

  private let format: TextFormat
  private let instructionPicoseconds: UInt64
  private var lines = LineCutter()
  private var place: AddressMap
  /// Time of the next access, in quarters of a nanosecond: a clock of VANS is three of them.
  private var quarters: UInt64 = 0
  private var instructionRest: UInt64 = 0

  /// Makes an importer.
  ///
  /// - Parameters:
  ///   - format: The format of the text.
  ///   - range: The addresses to keep, as region 0; nil for all.
  ///   - instructionPicoseconds: How much time an instruction of lackey takes.
  public init(
    _ format: TextFormat, range: Range<UInt64>? = nil, instructionPicoseconds: UInt64 = 0
  ) {
    self.format = format
    self.instructionPicoseconds = instructionPicoseconds
    // VANS has the addresses of one memory, lackey those of a whole address space.
    place = AddressMap(range: range, windowBits: format == .vans ? 47 : 32)
  }

  /// Converts the next piece of the text.
  ///
  /// - Throws: ``TraceError`` at the first line that breaks the rules of the format, and whatever
  ///   the writer throws.
  public mutating func add(
    _ bytes: ArraySlice<UInt8>, to writer: inout TraceWriter
  ) throws {
    var cutter = lines
    lines = LineCutter()
    defer { lines = cutter }
    try cutter.add(bytes) { line in
      switch format {
      case .vans: try readVans(copy line, &writer)
      case .lackey: try readLackey(copy line, &writer)
      }
      tally.lineCount += 1
    }
  }

  /// Ends the text: the last line must have had its newline.
  public mutating func finish(_ writer: inout TraceWriter) throws {
    if lines.restCount > 0 { tally.count(.unterminatedLine) }
    try place.describe(in: &writer)
  }

  // MARK: VANS

  private mutating func readVans(_ line: TextLine, _ writer: inout TraceWriter) throws {
    var line = line
    let whole = line
    guard let first = line.first else {
      throw line.error("is empty, and VANS stops there", "remove it: sed -i '/^$/d' FILE")
    }
    if first == UInt8(ascii: "#") { return }
    if line.bytes[line.end - 1] == 0x0D {
      throw line.error(
        "ends in a carriage return, and VANS stops there", "run dos2unix on the file")
    }
    if line.begins(with: "0x") || line.begins(with: "0X") {
      line.skipFirst()
      line.skipFirst()
    }
    guard let address = line.takeHexadecimal(), address < 1 << 47 else {
      throw whole.error(
        "'\(whole.shown)' does not begin with a hexadecimal address below 2^47",
        "write lines such as '0x1000 W:12'")
    }
    let type = try Self.vansType(&line, whole)
    let idle = try Self.vansIdle(&line, whole)
    let (added, overflows) = idle.multipliedReportingOverflow(by: 3)
    let (time, overflowsToo) = quarters.addingReportingOverflow(added)
    guard !overflows, !overflowsToo else {
      throw whole.error("waits for longer than 2^64 quarters of a nanosecond", "check the number")
    }
    quarters = time
    let isWrite = type == UInt8(ascii: "W")
    let isKept = try append(isWrite ? .storeNonTemporal : .load, address & ~63, 64, &writer)
    // A critical read is awaited before anything else is done.
    if isKept, type == UInt8(ascii: "C") { try appendFence(&writer) }
  }

  private static func vansType(_ line: inout TextLine, _ whole: TextLine) throws -> UInt8 {
    guard line.first != nil else { return UInt8(ascii: "R") }
    guard line.skip(" ") else {
      throw whole.error("'\(whole.shown)' has no space after its address", "write '0x1000 W'")
    }
    guard let type = line.first else { return UInt8(ascii: "R") }
    guard [UInt8(ascii: "R"), UInt8(ascii: "W"), UInt8(ascii: "C")].contains(type) else {
      throw whole.error(
        "'\(whole.shown)' names another type than R, W or C", "write upper case: '0x1000 W'")
    }
    line.skipFirst()
    return type
  }

  private static func vansIdle(_ line: inout TextLine, _ whole: TextLine) throws -> UInt64 {
    guard let mark = line.first else { return 0 }
    if mark == UInt8(ascii: ":") {
      line.skipFirst()
    } else {
      line.skip(" ")
      guard line.first != nil else { return 0 }
    }
    let hasMark = mark == UInt8(ascii: ":") || mark == UInt8(ascii: " ")
    guard hasMark, let idle = line.takeDecimal(), line.skip(" ") || line.first == nil,
      line.first == nil
    else {
      throw whole.error(
        "'\(whole.shown)' has something else than idle clocks behind its type",
        "write '0x1000 W:12'")
    }
    return idle
  }

  // MARK: lackey

  private mutating func readLackey(_ line: TextLine, _ writer: inout TraceWriter) throws {
    var line = line
    let whole = line
    if line.begins(with: "==") || line.begins(with: "--") || line.first == nil {
      tally.count(.messages)
      return
    }
    guard
      line.begins(with: "I  ") || line.begins(with: " L ") || line.begins(with: " S ")
        || line.begins(with: " M ")
    else { throw Self.noAccess(whole) }
    let kind = Character(Unicode.Scalar(line.bytes[line.start + 1]))
    for _ in 0..<3 { line.skipFirst() }
    guard let address = line.takeHexadecimal(), line.first == UInt8(ascii: ",") else {
      throw Self.noAccess(whole)
    }
    line.skipFirst()
    guard let size = line.takeDecimal(), (1...65_536).contains(size), line.first == nil else {
      throw Self.noAccess(whole)
    }
    switch kind {
    case "L": try append(.load, address, UInt32(size), &writer)
    case "S": try append(.store, address, UInt32(size), &writer)
    case "M":
      try append(.load, address, UInt32(size), &writer)
      try append(.store, address, UInt32(size), &writer)
    default: countInstruction()
    }
  }

  private static func noAccess(_ line: TextLine) -> TraceError {
    line.error(
      "'\(line.shown)' is no access as lackey prints them",
      "keep the program's own output apart with valgrind --log-file=FILE")
  }

  private mutating func countInstruction() {
    tally.count(.instructionFetches)
    guard instructionPicoseconds > 0 else { return }
    instructionRest += instructionPicoseconds
    quarters &+= instructionRest / 250
    instructionRest %= 250
  }

  // MARK: Events

  /// Returns whether the access is in a region.
  @discardableResult
  private mutating func append(
    _ operation: TraceOperation, _ address: UInt64, _ length: UInt32, _ writer: inout TraceWriter
  ) throws -> Bool {
    switch place.find(address, length) {
    case .missing(let loss):
      tally.count(loss)
      return false
    case .found(let region, let offset):
      if place.hasGrown { try place.describe(in: &writer) }
      let event = TraceEvent(
        operation, region: region, offset: offset, length: length, startNanoseconds: quarters / 4)
      try writer.append(event, thread: 0, source: .converted)
      tally.eventCount += 1
      return true
    }
  }

  private mutating func appendFence(_ writer: inout TraceWriter) throws {
    let event = TraceEvent(.fence, length: 0, startNanoseconds: quarters / 4)
    try writer.append(event, thread: 0, source: .converted)
    tally.eventCount += 1
  }
}
