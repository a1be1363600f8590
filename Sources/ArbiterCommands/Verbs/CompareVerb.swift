// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterProfiles
internal import ArbiterReport
internal import ArbiterScheduler
internal import ArbiterWorkloads
internal import CommandSpec

/// Options of `arbiter compare`.
struct CompareOptions: Equatable {
  var profile = ProfileLibrary.defaultName
  var threads = ThreadCounts([1, 2, 4, 6, 8, 12, 16, 20, 26, 32])
  var schemes = SchemeName.allCases
  var access = ByteCount(bytes: 64)
  var from = StartState.clean
  var duration = TimeSpan.milliseconds(12)
  var seed: UInt64 = 1
  var report = "arbiter-report"
  var fidelity = FidelityPart.brief
  var output = OutputOptions()

  static let groups: [OptionGroup<CompareOptions>] = [
    OptionGroup(
      "Comparison",
      [
        .init(
          "profile", \.profile, placeholder: "<NAME|FILE>",
          completion: .words(ProfileLibrary.embedded.names), help: "Kind of module."),
        .init("threads", \.threads, help: "Numbers of threads."),
        .init(
          "scheme", \.schemes, placeholder: "<SCHEME,...>", help: "Schemes that are compared."),
        .init("access", \.access, help: "Size of each store."),
        .init("from", \.from, help: "State of the module when the scheme takes over."),
        .init("duration", \.duration, help: "Virtual time of each measurement."),
        .init("seed", \.seed, placeholder: "<NUMBER>", help: "Source of all randomness."),
      ]),
    OptionGroup(
      "Report",
      [
        .init(
          "report", \.report, placeholder: "<FOLDER|none>", completion: .directory,
          help: "Folder for the page, the plots and their data; none writes no report."),
        .init(
          "fidelity", \.fidelity,
          help: "Which published measurements the page shows the model beside: of writers, all or "
            + "none."),
      ]),
    OutputOptions.group.within(\.output),
  ]

  static func validate(_ options: CompareOptions) throws(UsageError) {
    try options.output.validate()
    try checkSchemes(options.schemes)
    try checkAccess(options.access, atMost: .gibibytes(1))
    try checkTime("duration", options.duration, .microseconds(10) ... .seconds(100))
    try ReportPlace(options.report).validate()
    if options.workload.problem != nil {
      throw UsageError(
        "--access=\(options.access) does not divide the threads' regions of "
          + "\(ByteCount(bytes: options.workload.regionBytes))",
        hint: "give a power of two up to that size, or use simulate with --region")
    }
  }

  var workload: Workload { Workload(accessBytes: access.bytes) }

  /// A run of the comparison; the paper's loop gets longer, because it swings.
  func scenario(_ scheme: SchemeName, threads: Int, on profile: DeviceProfile) -> Scenario {
    var scenario = Scenario(profileName: profile.name, profile: profile, threads: threads)
    scenario.workload = workload
    scenario.scheme = scheme
    scenario.start = from
    scenario.seed = seed
    scenario.duration = duration
    if scheme == .arbiterPaper {
      scenario.warmUp = .milliseconds(15)
      scenario.duration = TimeSpan(picoseconds: duration.picoseconds * 4)
    }
    var single = self
    single.schemes = [scheme]
    single.threads = ThreadCounts([threads])
    single.duration = scenario.duration
    scenario.parameters = Self.command.resolve(single, tool: "arbiter").parameters
    return scenario
  }
}

/// How much of the judgement of the model a page shows.
enum FidelityPart: String, WordValue, CaseIterable {
  /// What the comparison rests on: the measurements of writers, in a few seconds.
  case brief
  /// Every measurement.
  case whole
  case none

  static var placeholder: String { "<brief|whole|none>" }

  /// Numbers of targets; nil for none, empty for all.
  var targets: [Int]? {
    switch self {
    case .brief: [1, 2, 3, 4, 6, 7, 9, 15, 17]
    case .whole: []
    case .none: nil
    }
  }
}

extension CompareOptions {
  static let command: Command<CompareOptions> = Command(
    name: "compare",
    abstract: "Compare the schemes over thread counts and draw the paper's figures.",
    discussion: """
      Sequential non-temporal writers on one modelled module: every scheme with every number of \
      threads, then the sweep of fixed delays of the paper's Figure 3(d). The table goes to \
      standard output; a folder gets a page with the plots of Figures 3(d), 4, 5 and 6, each \
      beside its data and script, with a line on how it compares with the paper.

      All figures are those of a model. What hardware was measured to do, and how far the model is \
      from it, stands at the end of the page, as far as writers go; `arbiter fidelity` has the \
      rest, and `arbiter sensitivity` says which of the conclusions hang on what is uncertain.
      """,
    initial: CompareOptions(), groups: groups,
    examples: [
      Example("The whole comparison", "compare"),
      Example(
        "Two schemes as JSON, without a report",
        "compare --scheme=baseline,arbiter --report=none --format=json"),
    ],
    seeAlso: ["arbiter-fidelity", "arbiter-sensitivity", "arbiter-simulate"],
    validate: { (options: CompareOptions) throws(UsageError) in try validate(options) },
    run: { try compare($0) })

  private static func compare(_ invocation: Invocation<CompareOptions>) throws -> Int32 {
    let options = invocation.options
    let profile = try loadProfile(options.profile)
    let place = ReportPlace(options.report)
    try place.check()
    let session = try ResultSession(
      invocation.resolved, output: options.output, seed: options.seed, profile: profile)
    let main = options.threads.counts.flatMap { count in
      options.schemes.map { options.scenario($0, threads: count, on: profile) }
    }
    let study = CompareStudy(options: options, profile: profile)
    let all = try session.run(
      main + (place.isWanted ? study.scenarios : []), title: "compare")
    let results = all.prefix(main.count).compactMap(\.self)
    let findings = CompareFindings(
      results: results, study: study, extra: all.dropFirst(main.count).compactMap(\.self)[...])
    var remarks = findings.sentences
    if place.isWanted && !session.wasInterrupted {
      var report = findings.report(document: session.document(results))
      if let numbers = options.fidelity.targets {
        let study = try FidelityStudy(
          numbers: numbers, own: nil, seeds: [options.seed], traces: false)
        report.sections.append(try FidelityOptions.findings(of: study, in: session).briefSection)
      }
      if !session.wasInterrupted { remarks.append(try place.write(report, for: session)) }
    }
    let table = ResultTable.byThreads(results, hiding: ["delay", "fairness"])
    try session.print(results, table: table, remarks: remarks)
    return session.wasInterrupted ? ExitCode.interrupted : ExitCode.done
  }
}
