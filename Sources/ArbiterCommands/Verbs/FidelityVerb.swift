// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCalibration
internal import ArbiterDevice
internal import ArbiterProfiles
internal import ArbiterReport
internal import CommandSpec

/// Options of `arbiter fidelity`.
struct FidelityOptions: Equatable {
  var targets: [Int] = []
  var profile: String?
  var seed: UInt64 = 1
  var seedCount = 3
  var report = "none"
  var output = OutputOptions()

  static let groups: [OptionGroup<FidelityOptions>] = [
    OptionGroup(
      "Judgement",
      [
        .init(
          "target", \.targets, placeholder: "<NUMBER,...>",
          completion: .wordList(CalibrationTarget.all.map { "\($0.number)" }),
          help: "Published measurements by their numbers; all without it."),
        .init(
          "profile", \.profile, placeholder: "<NAME|FILE>",
          completion: .words(ProfileLibrary.embedded.names),
          help: "Module that is judged instead of the one that was measured."),
        .init("seed", \.seed, placeholder: "<NUMBER>", help: "First source of all randomness."),
        .init(
          "seeds", \.seedCount, placeholder: "<COUNT>",
          help: "Runs of everything, each with the next seed; answers are their means."),
      ]),
    ReportPlace.group(\.report),
    OutputOptions.group.within(\.output),
  ]

  static func validate(_ options: FidelityOptions) throws(UsageError) {
    try options.output.validate()
    try ReportPlace(options.report).validate()
    let known = Set(CalibrationTarget.all.map(\.number))
    for (index, number) in options.targets.enumerated() {
      guard known.contains(number) else {
        throw UsageError(
          "--target=\(number) is no published measurement",
          hint: "'arbiter fidelity --seeds=1' lists them with their numbers")
      }
      guard !options.targets[..<index].contains(number) else {
        throw UsageError("--target names \(number) twice", hint: "name each target once")
      }
    }
    if !(1...100).contains(options.seedCount) {
      throw UsageError(
        "--seeds=\(options.seedCount) is not within 1 to 100", hint: "give 1 to 100 runs")
    }
    if options.seed > UInt64.max - 100 {
      throw UsageError("--seed=\(options.seed) leaves no room for the seeds after it")
    }
  }

  var seeds: [UInt64] { (0..<UInt64(seedCount)).map { seed + $0 } }
}

extension FidelityOptions {
  static let command: Command<FidelityOptions> = Command(
    name: "fidelity",
    abstract: "Judge the model by every published measurement.",
    discussion: """
      Repeats the experiments of the publications on the model and says how far its answers are \
      from what was measured on hardware. A point counts as reproduced \(FidelityFindings.rule). \
      Points that the model is known to miss are listed with the reason.

      Each measurement is judged on the profile of the module on which it was made. With --profile \
      another one is judged: by the measurements of the nearest profile that it extends, or by all.

      Without --target the traces on which the simulator VANS was run for this project follow, \
      with its answers, the model's and the module's.
      """,
    initial: FidelityOptions(), groups: groups,
    examples: [
      Example("Everything, with a page of plots", "fidelity --report=fidelity-report"),
      Example("Two measurements with one seed", "fidelity --target=2,3 --seeds=1"),
      Example("Your own profile", "fidelity --profile=./my-module.json --format=json"),
    ],
    seeAlso: ["arbiter-compare", "arbiter-explain", "arbiter-sensitivity"],
    validate: { (options: FidelityOptions) throws(UsageError) in try validate(options) },
    run: { try fidelity($0) })

  private static func fidelity(_ invocation: Invocation<FidelityOptions>) throws -> Int32 {
    let options = invocation.options
    let own = try options.profile.map { try loadResolvedProfile($0) }
    let study = try FidelityStudy(
      numbers: options.targets, own: own, seeds: options.seeds, traces: options.targets.isEmpty)
    let place = ReportPlace(options.report)
    try place.check()
    let session = try ResultSession(
      invocation.resolved, output: options.output, seed: options.seed, profile: own?.profile)
    let findings = try findings(of: study, in: session)
    var remarks = findings.sentences
    if place.isWanted && !session.wasInterrupted {
      remarks.append(
        try place.write(findings.report(own: own, in: session), for: session))
    }
    let tables = findings.verdicts.isEmpty ? [] : [findings.summary, findings.missTable]
    try session.print(
      tables: (tables + [findings.vansTable, findings.speedTable]).compactMap(\.self),
      remarks: remarks, isEmpty: findings.verdicts.isEmpty, json: findings.json(in: session),
      csv: findings.csv)
    return session.wasInterrupted ? ExitCode.interrupted : ExitCode.done
  }

  /// Runs a study with progress.
  static func findings(
    of study: FidelityStudy, in session: ResultSession
  ) throws -> FidelityFindings {
    let outcomes = try session.work(on: study.jobs, title: "fidelity") { job, _ in
      study.run(job)
    }.compactMap(\.self)
    return FidelityFindings(verdicts: study.verdicts(outcomes), rows: study.rows(outcomes))
  }
}

extension FidelityFindings {
  /// The whole document.
  func json(in session: ResultSession) -> JSONValue {
    .object(session.heading(schema: Self.schema, host: hostMembers) + members)
  }

  /// The page and its files.
  func report(own: ResolvedProfile?, in session: ResultSession) -> Report {
    let judged = own.map { "Judged is \($0.profile.name): \($0.profile.summary)" }
    return Report(
      title: "Arbiter: the model beside published measurements",
      summary: (sentences + [judged].compactMap(\.self)).joined(separator: " "),
      document: session.document([]), sections: sections,
      files: [
        .init("fidelity.json", json(in: session).document()), .init("fidelity.csv", csv),
      ])
  }
}
