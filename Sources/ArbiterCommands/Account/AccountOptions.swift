// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterProfiler
internal import CommandSpec

/// Options of `arbiter account`.
struct AccountOptions: Equatable {
  var processes = ProcessList([])
  var isAll = false
  var includesEveryProcess = false
  var backEnd = BackEndWord.auto
  var period: SamplingPeriod?
  var duration: TimeSpan?
  var by = TaskWord.process
  var files: String?
  var interval: TimeSpan?
  var rows = RowLimit(20)
  var output = OutputOptions()
  var program: [String] = []

  static let groups: [OptionGroup<AccountOptions>] = [
    OptionGroup(
      "Whom",
      [
        .init(
          "process", \.processes, short: "p",
          help: "Running processes to watch, with all their threads and what they start."),
        .init(
          "all", \.isAll,
          help: "Watch every process of this user that maps slow memory: files on fs-DAX mounts "
            + "and device-DAX."),
        .init(
          "every-process", \.includesEveryProcess,
          help: "With --all: watch processes that map no slow memory too."),
      ]),
    OptionGroup(
      "How",
      [
        .init(
          "back-end", \.backEnd,
          help: "How accesses are seen: pebs (precise events of the processor), timer (a clock's "
            + "samples), faults (first touches of pages) or gates (counts of arbiter run). auto "
            + "is pebs where there is such a unit, else timer."),
        .init(
          "period", \.period,
          help: "Distance of samples: events for pebs (by default 10,000), CPU time for timer (by "
            + "default 4ms)."),
        .init(
          "duration", \.duration,
          help: "How long running processes are watched; by default until Ctrl-C or their end."),
        .init("by", \.by, help: "Whether figures are those of processes or of threads."),
      ]),
    OptionGroup(
      "Output",
      [
        .init(
          "files", \.files, placeholder: "<DIR>", completion: .directory,
          help: "Keep one small file for each task in this folder, rewritten each second."),
        .init(
          "interval", \.interval,
          help: "Tell the account so far each time this has passed; as JSON, one document per "
            + "line."),
        .init("rows", \.rows, help: "Rows of the table; the rest are summed up in one."),
      ] + OutputOptions.group.options.map { $0.within(\.output) }),
  ]

  /// Milliseconds between two looks at the rings.
  static let drainNanoseconds: Int64 = 20_000_000

  static func validate(_ options: AccountOptions) throws(UsageError) {
    try options.output.validate()
    let isAttached = !options.processes.numbers.isEmpty
    let ways = [isAttached, options.isAll, !options.program.isEmpty].count { $0 }
    guard ways == 1 else {
      throw UsageError(
        ways == 0 ? "nobody is named to watch" : "-p, --all and a program exclude each other",
        hint: "name processes with -p, all with --all, or a program after --")
    }
    if options.includesEveryProcess && !options.isAll {
      throw UsageError("--every-process widens --all alone", hint: "add --all")
    }
    try checkProgram(options.program)
    if options.files == "" {
      throw UsageError("--files is empty", hint: "name a folder, or leave the option out")
    }
    if let duration = options.duration {
      if !options.program.isEmpty {
        throw UsageError(
          "--duration is for running processes; a program is watched to its end",
          hint: "leave the option out")
      }
      try checkTime("duration", duration, .milliseconds(10) ... .seconds(1_000_000))
    }
    if let interval = options.interval {
      try checkTime("interval", interval, .milliseconds(100) ... .seconds(1_000_000))
    }
    try options.checkPeriod()
  }

  private func checkPeriod() throws(UsageError) {
    switch (period, backEnd) {
    case (nil, _): return
    case (.time(let span)?, .timer), (.time(let span)?, .auto):
      try checkTime("period", span, .microseconds(10) ... .seconds(10))
    case (.events?, .pebs), (.events?, .auto): return
    case (let period?, _):
      let hint =
        switch backEnd {
        case .timer: "give a time: --period=1ms"
        case .pebs: "give a number of events: --period=10000"
        case .faults, .gates, .auto: "leave --period out: everything is counted"
        }
      throw UsageError(
        "--period=\(period.argumentText) is no period of back-end '\(backEnd.rawValue)'",
        hint: hint)
    }
  }
}

/// Which back-end is wanted.
enum BackEndWord: String, WordValue, CaseIterable {
  case auto
  case pebs
  case timer
  case faults
  case gates

  static var placeholder: String { "<BACK-END>" }

  /// The back-end; nil where the machine decides.
  var backEnd: BackEnd? { BackEnd(rawValue: rawValue) }
}

/// How tasks are told apart.
enum TaskWord: String, WordValue, CaseIterable {
  case process
  case thread

  static var placeholder: String { "<TASK>" }

  var division: Accountant.Division { self == .process ? .process : .thread }
}

/// The distance of samples.
enum SamplingPeriod: OptionValue, Equatable {
  case events(UInt64)
  case time(TimeSpan)

  static var placeholder: String { "<COUNT|TIME>" }

  init(argument: String) throws(UsageError) {
    let digits = argument.filter { $0 != "_" }
    if let count = UInt64(digits) {
      guard (100...10_000_000_000).contains(count) else {
        throw UsageError(
          "a period of \(count) events is not within 100 to 10,000,000,000",
          hint: "give at least 100: fewer would stop the program")
      }
      self = .events(count)
    } else {
      self = .time(try TimeSpan(argument: argument))
    }
  }

  /// Whether a back-end can be told it.
  func isUsed(by backEnd: BackEnd) -> Bool {
    switch self {
    case .events: backEnd == .pebs
    case .time: backEnd == .timer
    }
  }

  var argumentText: String {
    switch self {
    case .events(let count): String(count)
    case .time(let span): span.description
    }
  }
}
