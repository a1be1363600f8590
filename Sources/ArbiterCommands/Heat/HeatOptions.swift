// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterProfiler
internal import CommandSpec

/// Options of `arbiter heat`.
struct HeatOptions: Equatable {
  var trace: String?
  var process: Int?
  var backEnd = HeatBackEnd.auto
  var period: TimeSpan?
  var duration: TimeSpan?
  var mappingCount = 8
  var isStoresOnly = false
  var isLoadsOnly = false
  var output = OutputOptions()
  var program: [String] = []

  static let groups: [OptionGroup<HeatOptions>] = [
    OptionGroup(
      "Input",
      [
        .init(
          "trace", \.trace, placeholder: "<FILE>", completion: .file,
          help: "Show a recording of arbiter record instead of a program."),
        .init(
          "process", \.process, short: "p", placeholder: "<PID>",
          help: "Watch a process that runs already."),
        .init(
          "back-end", \.backEnd,
          help: "How accesses are sampled; auto takes the most precise one that works here."),
        .init(
          "period", \.period,
          help: "Time between two samples of a thread with back-end timer; 1ms unless told."),
        .init(
          "duration", \.duration,
          help: "How long to watch; by default until the program ends or Ctrl-C."),
      ]),
    OptionGroup(
      "Picture",
      [
        .init(
          "mappings", \.mappingCount, placeholder: "<COUNT>",
          help: "The most mappings that are shown, the hottest first."),
        .init("stores-only", \.isStoresOnly, help: "Leave out what only reads."),
        .init("loads-only", \.isLoadsOnly, help: "Leave out what only writes."),
      ]),
    OptionGroup(
      "Output",
      [
        .init("format", \.output.format, help: "Text, or the whole grid as JSON or CSV."),
        .init(
          "output", \.output.output, short: "o", placeholder: "<FILE>", completion: .file,
          help: "File for the result; a name that ends in .svg or .png makes it a picture."),
        .init(
          "color", \.output.color, help: "Whether text is coloured; NO_COLOR is respected."),
        .init(
          "quiet", \.output.isQuiet, short: "q",
          help: "No progress and no remarks on standard error."),
      ]),
  ]

  static func validate(_ options: HeatOptions) throws(UsageError) {
    try options.output.validate()
    let inputs = [options.trace != nil, options.process != nil, !options.program.isEmpty]
    switch inputs.count(where: { $0 }) {
    case 1: break
    case 0:
      throw UsageError(
        "nothing is named to look at",
        hint: "name a program after --, a process with -p or a recording with --trace")
    default:
      throw UsageError(
        "a program, --process and --trace exclude each other", hint: "give one of them")
    }
    if options.trace == "" { throw UsageError("--trace is empty", hint: "name a recording") }
    try checkProgram(options.program)
    if let process = options.process, !(1...4_194_304).contains(process) {
      throw UsageError("--process=\(process) is no process", hint: "give a number that ps shows")
    }
    guard (1...32).contains(options.mappingCount) else {
      throw UsageError(
        "--mappings=\(options.mappingCount) is not within 1 to 32", hint: "give 8, say")
    }
    if options.isStoresOnly && options.isLoadsOnly {
      throw UsageError(
        "--stores-only and --loads-only leave nothing", hint: "give one of them")
    }
    if let period = options.period {
      try checkTime("period", period, .microseconds(50) ... .seconds(1))
    }
    if let duration = options.duration {
      try checkTime("duration", duration, .milliseconds(10) ... .seconds(1_000_000))
    }
    try validateTogether(options)
  }

  private static func validateTogether(_ options: HeatOptions) throws(UsageError) {
    if options.trace != nil {
      let live: [(String, Bool)] = [
        ("back-end", options.backEnd != .auto), ("period", options.period != nil),
        ("duration", options.duration != nil),
      ]
      if let name = live.first(where: { $0.1 })?.0 {
        throw UsageError(
          "--\(name) does not go with --trace", hint: "it goes with a program or a process")
      }
    }
    if options.period != nil, ![.auto, .timer].contains(options.backEnd) {
      throw UsageError(
        "--period goes with back-end timer, not \(options.backEnd.rawValue)",
        hint: "leave it out")
    }
    if options.picture != nil, options.output.format != .text {
      throw UsageError(
        "--format=\(options.output.format.rawValue) does not make a picture",
        hint: "leave it out, or name a file that ends otherwise")
    }
  }

  /// The form of picture that the file's name asks for.
  var picture: PictureForm? {
    guard let name = output.output?.lowercased() else { return nil }
    return PictureForm.allCases.first { name.hasSuffix(".\($0.rawValue)") }
  }

  /// Whether an access is to be shown.
  func shows(isStore: Bool, isLoad: Bool) -> Bool {
    isStoresOnly ? isStore : isLoadsOnly ? isLoad : true
  }

  /// What instructions do that are shown.
  var verbs: String { isStoresOnly ? "store" : isLoadsOnly ? "load" : "store or load" }

  /// What is shown, in a word or two.
  var shownKind: String { isStoresOnly ? "stored" : isLoadsOnly ? "loaded" : "stored or loaded" }
}

/// The forms of pictures, by the ends of their names.
enum PictureForm: String, CaseIterable {
  case svg
  case png
}

/// How accesses of a live program are sampled.
enum HeatBackEnd: String, WordValue, CaseIterable {
  case auto
  case pebs
  case timer
  case faults

  static var placeholder: String { "<BACK-END>" }

  /// The back-end; nil where the machine decides.
  var backEnd: BackEnd? { BackEnd(rawValue: rawValue) }
}
