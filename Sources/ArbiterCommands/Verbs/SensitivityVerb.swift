// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterProfiles
internal import ArbiterReport
internal import CommandSpec

/// Options of `arbiter sensitivity`.
struct SensitivityOptions: Equatable {
  var profile = ProfileLibrary.defaultName
  var parameters: [String] = []
  var drawCount = 12
  var seed: UInt64 = 1
  var report = "none"
  var output = OutputOptions()

  static let groups: [OptionGroup<SensitivityOptions>] = [
    OptionGroup(
      "Judgement",
      [
        .init(
          "profile", \.profile, placeholder: "<NAME|FILE>",
          completion: .words(ProfileLibrary.embedded.names), help: "Kind of module."),
        .init(
          "parameter", \.parameters, placeholder: "<KEY,...>",
          completion: .wordList(ProfileParameter.all.map(\.key)),
          help:
            "Uncertain numbers of the profile, which 'arbiter explain' with its name lists; all "
            + "without it."),
        .init(
          "draws", \.drawCount, placeholder: "<COUNT>",
          help: "Variants of the profile in which all of them are drawn at once."),
        .init("seed", \.seed, placeholder: "<NUMBER>", help: "Source of all randomness."),
      ]),
    ReportPlace.group(\.report),
    OutputOptions.group.within(\.output),
  ]

  static func validate(_ options: SensitivityOptions) throws(UsageError) {
    try options.output.validate()
    try ReportPlace(options.report).validate()
    let known = ProfileParameter.all.map(\.key)
    for (index, key) in options.parameters.enumerated() {
      guard known.contains(key) else {
        let nearest = nearestName(to: key, among: known).map { "did you mean '\($0)'?" }
        throw UsageError(
          "--parameter=\(key) is not a parameter of profiles",
          hint: nearest ?? "'arbiter explain \(ProfileLibrary.defaultName)' lists them")
      }
      guard !options.parameters[..<index].contains(key) else {
        throw UsageError("--parameter names '\(key)' twice", hint: "name each once")
      }
    }
    if !(0...1000).contains(options.drawCount) {
      throw UsageError(
        "--draws=\(options.drawCount) is not within 0 to 1000", hint: "give 0 to 1000 draws")
    }
  }
}

extension SensitivityOptions {
  static let command: Command<SensitivityOptions> = Command(
    name: "sensitivity",
    abstract: "Say which conclusions survive what is uncertain in the model.",
    discussion: """
      Many numbers of a profile were fitted or never measured. Its file says between which values \
      the truth plausibly lies; `arbiter explain` with the profile's name prints them. This verb \
      repeats what `arbiter compare` concludes at both ends and the middle of every such range, \
      and with all of them drawn at random, and says which conclusions read the same everywhere \
      and where the others flip.

      `arbiter simulate --vary` shows one number in detail.
      """,
    initial: SensitivityOptions(), groups: groups,
    examples: [
      Example("Everything, with a page of plots", "sensitivity --report=sensitivity-report"),
      Example(
        "Two numbers, one at a time",
        "sensitivity --parameter=store_window_lines,buffer_blocks --draws=0"),
    ],
    seeAlso: ["arbiter-compare", "arbiter-explain", "arbiter-fidelity", "arbiter-simulate"],
    validate: { (options: SensitivityOptions) throws(UsageError) in try validate(options) },
    run: { try sensitivity($0) })

  private static func sensitivity(
    _ invocation: Invocation<SensitivityOptions>
  ) throws -> Int32 {
    let options = invocation.options
    let resolved = try loadResolvedProfile(options.profile)
    let study = try study(of: resolved, options)
    let place = ReportPlace(options.report)
    try place.check()
    let session = try ResultSession(
      invocation.resolved, output: options.output, seed: options.seed, profile: resolved.profile)
    guard let findings = try findings(of: study, in: session) else {
      // Not even the profile itself was run to its end.
      try session.print(
        tables: [], remarks: [], isEmpty: true,
        json: .object(session.heading(schema: SensitivityFindings.schema)), csv: "")
      return ExitCode.interrupted
    }
    var remarks = findings.sentences
    if place.isWanted && !session.wasInterrupted {
      remarks.append(try place.write(findings.report(in: session), for: session))
    }
    try session.print(
      tables: [findings.table, findings.flipTable].compactMap(\.self), remarks: remarks,
      isEmpty: false, json: findings.json(in: session), csv: findings.csv)
    return session.wasInterrupted ? ExitCode.interrupted : ExitCode.done
  }

  private static func study(
    of resolved: ResolvedProfile, _ options: SensitivityOptions
  ) throws(Failure) -> SensitivityStudy {
    let stated = resolved.plausible.map(\.key)
    let form = "\"plausible\": {\"KEY\": {\"range\": [1, 2], \"source\": \"...\"}}"
    guard !stated.isEmpty else {
      throw Failure(
        ExitCode.badInput, "--profile=\(options.profile) states no plausible range",
        hint: "add \(form) to the file, or extend a profile that has some")
    }
    if let missing = options.parameters.first(where: { !stated.contains($0) }) {
      throw Failure(
        ExitCode.usage, "--parameter=\(missing) has no plausible range in \(options.profile)",
        hint: "give some of \(stated.joined(separator: ", "))")
    }
    return SensitivityStudy(
      resolved, keys: options.parameters, drawCount: options.drawCount, seed: options.seed)
  }

  /// Runs a study with progress; nil where an interrupt left nothing to say.
  static func findings(
    of study: SensitivityStudy, in session: ResultSession
  ) throws -> SensitivityFindings? {
    let results = try session.work(on: study.jobs, title: "sensitivity") { job, _ in
      try study.run(job)
    }
    return study.findings(results)
  }
}

extension SensitivityFindings {
  /// The whole document.
  func json(in session: ResultSession) -> JSONValue {
    .object(session.heading(schema: Self.schema) + members)
  }

  /// The page and its files.
  func report(in session: ResultSession) -> Report {
    Report(
      title: "Arbiter: what survives the model's uncertainty",
      summary: (sentences + ["The profile: \(profile.summary)"]).joined(separator: " "),
      document: session.document([]), sections: sections,
      files: [
        .init("sensitivity.json", json(in: session).document()), .init("sensitivity.csv", csv),
      ])
  }
}
