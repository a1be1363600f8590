// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
public import ArbiterTrace
public import CommandSpec

/// A format that `arbiter trace convert` reads or writes.
enum TraceFormat: String, WordValue, CaseIterable {
  case arbiter
  case vans
  case lackey

  static var placeholder: String { "<FORMAT>" }

  /// Recognises a format by the first bytes of a file; nil where they tell nothing.
  init?(beginning bytes: [UInt8]) {
    if bytes.starts(with: [0x89, UInt8(ascii: "A"), UInt8(ascii: "R"), UInt8(ascii: "B")]) {
      self = .arbiter
      return
    }
    let text = String(decoding: bytes.prefix(4096), as: UTF8.self)
    // Remarks are of VANS, messages of valgrind; otherwise the first line decides.
    let line = text.split(separator: "\n").first { !$0.hasPrefix("#") } ?? "#"
    let lackey = ["==", "--", "I  ", " L ", " S ", " M "]
    if lackey.contains(where: line.hasPrefix) {
      self = .lackey
    } else if line.hasPrefix("#") || line.first?.isHexDigit == true {
      self = .vans
    } else {
      return nil
    }
  }
}

extension Interleaving: WordValue {
  /// The stand-in in help.
  public static var placeholder: String { "<ORDER>" }
}

/// Addresses from one up to another, in hexadecimal: `0x1000-0x2000`.
struct AddressRange: OptionValue, Equatable {
  static var placeholder: String { "<START-END>" }

  var range: Range<UInt64>

  init(argument: String) throws(UsageError) {
    let parts = argument.split(separator: "-", omittingEmptySubsequences: false)
    let numbers = parts.map { part in
      UInt64(part.hasPrefix("0x") ? part.dropFirst(2) : part, radix: 16)
    }
    guard numbers.count == 2, let start = numbers[0], let end = numbers[1],
      !parts.contains(where: { $0.hasPrefix("+") })
    else {
      throw UsageError(
        "'\(argument)' is not a range of addresses", hint: "write it as 0x4a00000-0x4b00000")
    }
    guard start < end, end - start < 1 << 48 else {
      throw UsageError(
        "'\(argument)' is empty or too large",
        hint: "give a start below the end, and less than 2^48 bytes between them")
    }
    range = start..<end
  }

  var argumentText: String {
    "0x\(String(range.lowerBound, radix: 16))-0x\(String(range.upperBound, radix: 16))"
  }
}

/// Carries out `arbiter trace convert`.
struct TraceConversion {
  let options: TraceOptions
  let output: String
  let commandLine: String

  func run() throws {
    let input = try TraceInput(options.file, mayBePipe: true)
    var first: [UInt8] = []
    var from = options.from
    if from == nil || from != .arbiter {
      first = try input.next()
      // A file without a byte says nothing of its format.
      if from == nil && !first.isEmpty { from = TraceFormat(beginning: first) }
    }
    guard let from else {
      throw Failure(
        ExitCode.badInput, "cannot read '\(options.file)': it begins as none of the formats does",
        hint: "name its format with --from=<FORMAT>, if it is one of them")
    }
    let target = options.to ?? (from == .arbiter ? .vans : .arbiter)
    switch (from, target) {
    case (.arbiter, .vans): try export(input)
    case (.vans, .arbiter): try convert(.vans, input, first)
    case (.lackey, .arbiter): try convert(.lackey, input, first)
    default:
      throw UsageError(
        "nothing converts \(from.rawValue) to \(target.rawValue)",
        hint: target == .lackey
          ? "lackey is a tool of valgrind; only what it prints can be read"
          : "convert to arbiter or from arbiter to vans")
    }
  }

  private func convert(_ format: TextFormat, _ input: TraceInput, _ first: [UInt8]) throws {
    let file = try TraceOutput(output)
    // SAFETY: the bytes are copied before the call returns.
    var writer = try unsafe TraceWriter { try unsafe file.write($0) }
    try writer.note("tool", "arbiter \(Version.text)")
    try writer.note("command", commandLine)
    try writer.note("converted-from", format.rawValue)
    var importer = TextImporter(
      format, range: options.range?.range,
      instructionPicoseconds: UInt64(max(0, options.instructionTime.picoseconds)))
    var progress = TraceProgress("converting", isQuiet: options.output.isQuiet)
    defer { progress.finish() }
    var bytes = first
    var done: UInt64 = 0
    do {
      while !bytes.isEmpty {
        try importer.add(bytes[...], to: &writer)
        done += UInt64(bytes.count)
        progress.show(done, of: input.byteCount ?? 0)
        bytes = try input.next()
      }
      try importer.finish(&writer)
    } catch let error as TraceError {
      throw Failure(error, of: options.file)
    }
    try writer.finish()
    try file.finish()
    progress.finish()
    remark(importer.tally, "lines read", "events")
  }

  private func export(_ input: TraceInput) throws {
    let recording = try input.recording()
    let file = try TraceOutput(output)
    var exporter = VansExporter(
      recording, interleaving: options.interleave, seed: options.seed)
    var progress = TraceProgress("converting", isQuiet: options.output.isQuiet)
    defer { progress.finish() }
    do {
      var goesOn = true
      while goesOn {
        var text: [UInt8] = []
        goesOn = try exporter.append(to: &text)
        try file.write(text)
        progress.show(exporter.eventCount, of: recording.eventCount)
      }
    } catch let error as TraceError {
      throw Failure(error, of: options.file)
    }
    try file.finish()
    progress.finish()
    remark(exporter.tally, "lines written", "events")
    if !options.output.isQuiet {
      for (region, start) in exporter.regionStarts where recording.regions.count > 1 {
        Console.note("Region \(region) begins at 0x\(String(start, radix: 16)).\n")
      }
      if recording.isCutShort {
        Console.note("The recording is cut short: its end is missing.\n")
      }
    }
  }

  private func remark(_ tally: ConversionTally, _ lines: String, _ events: String) {
    guard !options.output.isQuiet else { return }
    Console.note("\(tally.lineCount) \(lines), \(tally.eventCount) \(events).\n")
    for sentence in tally.sentences { Console.note(sentence + "\n") }
  }
}
