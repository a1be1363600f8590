// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterProfiles
internal import ArbiterScheduler
internal import CommandSpec

/// Options of `arbiter run`.
struct RunOptions: Equatable {
  var scheme: SchemeName?
  var profile: String?
  var permits: Int?
  var workers: Int?
  var control = ControlOptions(period: .milliseconds(10))
  var isShared = false
  var isPrivate = false
  var isStrict = false
  var threads = RowLimit(12)
  var output = OutputOptions()
  var program: [String] = []

  static let groups: [OptionGroup<RunOptions>] = [
    OptionGroup(
      "Scheme",
      [
        .init(
          "scheme", \.scheme,
          help: "How writers are admitted; by default arbiter where the machine has an interleave "
            + "set, else baseline."),
        .init(
          "profile", \.profile, placeholder: "<NAME|FILE|auto>",
          completion: .words(ProfileLibrary.embedded.names + ["auto"]),
          help:
            "Kind of module, for an estimate of WA where nothing counts. With a name all memory "
            + "is taken for it where no set is found; with auto only sets that are found count."),
        .init(
          "permits", \.permits, placeholder: "<COUNT>",
          help: "Threads that write at a time under lock; by default as calibrated, else 4."),
        .init(
          "workers", \.workers, placeholder: "<COUNT>",
          help: "Threads that write for all others under delegation, in each program; by default "
            + "as calibrated, else 4."),
      ] + ControlOptions.options.map { $0.within(\.control) }),
    OptionGroup(
      "Control",
      [
        .init(
          "shared", \.isShared,
          help: "Share a controller and permits also under baseline, lock and delegation."),
        .init("private", \.isPrivate, help: "Share with no other run."),
        .init(
          "strict", \.isStrict,
          help: "Do not run the program at all where Arbiter cannot gate it."),
      ]),
    OptionGroup(
      "Output",
      OutputOptions.ofSummary.map { $0.within(\.output) } + [
        .init(
          "threads", \.threads, help: "Threads that get a row of their own; the rest share one."),
        .init("quiet", \.output.isQuiet, short: "q", help: "No summary on standard error."),
      ]),
  ]

  static func validate(_ options: RunOptions) throws(UsageError) {
    try options.output.validate()
    try options.control.validate()
    if options.profile == "" {
      throw UsageError("--profile is empty", hint: "name a profile, or leave the option out")
    }
    if options.isShared && options.isPrivate {
      throw UsageError("--shared and --private exclude each other", hint: "keep one of them")
    }
    try WriterLimit.check(permits: options.permits, workers: options.workers)
    try checkProgram(options.program)
  }
}

/// How many rows a table may have.
struct RowLimit: OptionValue, Equatable {
  static var placeholder: String { "<COUNT|all>" }

  var count: Int?

  init(_ count: Int?) {
    self.count = count
  }

  init(argument: String) throws(UsageError) {
    if argument == "all" {
      count = nil
      return
    }
    guard let number = Int(argument), (0...4096).contains(number) else {
      throw UsageError("'\(argument)' is not within 0 to 4096", hint: "write a number or all")
    }
    count = number
  }

  var argumentText: String { count.map(String.init) ?? "all" }
}
