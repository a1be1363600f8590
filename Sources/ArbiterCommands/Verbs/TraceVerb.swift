// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterReport
internal import ArbiterTrace
internal import ArbiterWorkloads
internal import CommandSpec

/// What `arbiter trace` does with a file.
enum TraceAction: String, WordValue, CaseIterable {
  case info
  case cat
  case convert

  static var placeholder: String { "<ACTION>" }

  /// The options that go with the action.
  var options: Set<String> {
    switch self {
    case .info: ["format", "output", "color", "quiet"]
    case .cat: ["thread", "limit", "format", "output", "color", "quiet"]
    case .convert:
      [
        "from", "to", "interleave", "seed", "range", "instruction-time", "output", "quiet",
      ]
    }
  }
}

/// Options of `arbiter trace`.
struct TraceOptions: Equatable {
  var action = TraceAction.info
  var file = ""
  var threads: [Int] = []
  var limit: Int?
  var from: TraceFormat?
  var to: TraceFormat?
  var interleave = Interleaving.time
  var seed: UInt64 = 1
  var range: AddressRange?
  var instructionTime = TimeSpan.zero
  var output = OutputOptions()

  static let groups: [OptionGroup<TraceOptions>] = [
    OptionGroup(
      "Options of cat",
      [
        .init(
          "thread", \.threads, help: "Only the events of these threads; by default of all."),
        .init("limit", \.limit, placeholder: "<COUNT>", help: "The most events to print."),
      ]),
    OptionGroup(
      "Options of convert",
      [
        .init("from", \.from, help: "Format of the file; by default what its content shows."),
        .init(
          "to", \.to,
          help: "Format to write; by default arbiter, and vans where the file is a recording."),
        .init("interleave", \.interleave, help: "Order of several threads' lines in one text."),
        .init("seed", \.seed, placeholder: "<NUMBER>", help: "Source of the random order."),
        .init(
          "range", \.range,
          help: "Addresses of a text to keep, as the only region; by default all."),
        .init(
          "instruction-time", \.instructionTime,
          help: "Time that each instruction of lackey's takes."),
      ]),
    OutputOptions.group.within(\.output),
  ]

  static let command: Command<TraceOptions> = Command(
    name: "trace",
    abstract: "Look into recordings, and convert them from and to other formats.",
    discussion: """
      info prints what a recording holds, after reading all of it. cat prints its events, one a \
      line, all threads by time; with --format=json each line is an object. convert reads a \
      recording and writes a text for the simulator VANS, or reads a text of VANS or what valgrind \
      --tool=lackey --trace-mem=yes prints and writes a recording; it says what could not come \
      along. Documentation/TraceFormat.md describes the formats and what becomes of what.

      A recording whose end is missing is read as far as it is whole. One that is damaged is \
      refused, with the place of the damage.
      """,
    initial: TraceOptions(), groups: groups,
    operands: [
      .required("<ACTION>", \.action, help: "What to do: info, cat or convert."),
      .required("<FILE>", \.file, completion: .file, help: "The recording, or the text."),
    ],
    examples: [
      Example("What a recording holds", "trace info program.trace"),
      Example("The first events of thread 3", "trace cat program.trace --thread=3 --limit=20"),
      Example(
        "A text for VANS, with the threads in turn",
        "trace convert program.trace --interleave=round-robin -o program.vans"),
      Example("What lackey printed, as a recording", "trace convert lackey.log -o program.trace"),
    ],
    seeAlso: ["arbiter-simulate"], validate: validate,
    run: { try run($0) })

  static func validate(_ options: TraceOptions) throws(UsageError) {
    try options.output.validate()
    if let limit = options.limit, limit < 0 {
      throw UsageError("--limit=\(limit) is negative", hint: "give the most events to print")
    }
    for thread in options.threads where !(0..<65_536).contains(thread) {
      throw UsageError(
        "--thread=\(thread) is not within 0 to 65535",
        hint: "'arbiter trace info' lists the threads")
    }
    try checkTime("instruction-time", options.instructionTime, .zero ... .milliseconds(1))
  }

  private static func run(_ invocation: Invocation<TraceOptions>) throws -> Int32 {
    let options = invocation.options
    let action = options.action
    for name in invocation.given.sorted() where !action.options.contains(name) {
      let others = TraceAction.allCases.filter { $0.options.contains(name) }.map(\.rawValue)
      throw UsageError(
        "--\(name) does not go with 'trace \(action.rawValue)'",
        hint: "it goes with \(others.joined(separator: " and "))")
    }
    switch action {
    case .info: try options.info()
    case .cat: try options.cat()
    case .convert:
      guard let output = options.output.output else {
        throw UsageError(
          "convert needs a file to write to", hint: "name it: --output=<FILE>")
      }
      try TraceConversion(
        options: options, output: output, commandLine: invocation.resolved.commandLine()
      ).run()
    }
    return ExitCode.done
  }

  private func info() throws {
    let input = try TraceInput(file)
    let recording = try input.recording()
    let target = try TraceOutput(output.output)
    var progress = TraceProgress("reading", isQuiet: output.isQuiet)
    defer { progress.finish() }
    let summary: TraceSummary
    do throws(TraceError) {
      summary = try TraceSummary(recording, byteCount: input.byteCount ?? 0) {
        progress.show($0, of: recording.eventCount)
      }
    } catch {
      throw Failure(error, of: file)
    }
    switch output.format {
    case .text: try target.write(summary.text(name: file, on: Console.output(output.color)))
    case .json: try target.write(summary.document.document())
    case .csv: try target.write(summary.table)
    }
    try target.finish()
  }

  private func cat() throws {
    let recording = try TraceInput(file).recording()
    for thread in threads where !recording.threads.contains(where: { $0.number == thread }) {
      throw Failure(
        ExitCode.badInput, "'\(file)' has no thread \(thread)",
        hint: "'arbiter trace info' lists the threads")
    }
    let lines = EventLines(format: output.format)
    let target = try TraceOutput(output.output)
    try target.write(lines.header)
    // A thread that is named twice is there once.
    let chosen = Set(threads).sorted().map(UInt32.init)
    var merge = TraceMerge(recording, threads: chosen.isEmpty ? nil : chosen)
    var left = limit ?? .max
    while left > 0 {
      let next: (thread: UInt32, event: TraceEvent)?
      do throws(TraceError) { next = try merge.next() } catch { throw Failure(error, of: file) }
      guard let next else { break }
      try target.write(lines.line(next.event, thread: next.thread))
      left -= 1
    }
    try target.finish()
    guard recording.isCutShort, limit == nil, !output.isQuiet else { return }
    Console.note("The recording is cut short: its end is missing.\n")
  }
}
