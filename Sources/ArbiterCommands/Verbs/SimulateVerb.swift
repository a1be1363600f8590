// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterProfiles
internal import ArbiterReport
internal import ArbiterScheduler
internal import ArbiterWorkloads
internal import CommandSpec

/// Options of `arbiter simulate`.
struct SimulateOptions: Equatable {
  var profile = ProfileLibrary.defaultName
  var modules = 1
  var threads: ThreadCounts?
  var pattern = Pattern.sequential
  var store = StoreKind.nt
  var access = ByteCount(bytes: 64)
  var fenceEvery = FenceInterval(nil)
  var region = ByteCount.mebibytes(64)
  var readShare = Share(0)
  var think = TimeSpan.zero
  var admission = SchemeOptions(period: .milliseconds(1))
  var vary: Variation?
  var from = StartState.clean
  var warmUp: TimeSpan?
  var duration: TimeSpan?
  var trace = ReplayOptions()
  var tiers = TierSimulationOptions()
  var seed: UInt64 = 1
  var isDryRun = false
  var report = "none"
  var output = OutputOptions()

  /// Numbers of threads where none are given.
  private static let usualThreads = ThreadCounts([1, 2, 4, 8, 16, 26])

  /// Virtual time of the measurement, or the most of it for a replay.
  var durationSpan: TimeSpan {
    duration ?? (trace.trace == nil ? .milliseconds(20) : .seconds(1000))
  }

  /// Time that the scheme gets before the measurement: twelve periods unless told otherwise, and of
  /// a replay, which has an end, nothing.
  var warmUpSpan: TimeSpan {
    if warmUp == nil && trace.trace != nil { return .zero }
    return warmUp
      ?? max(.milliseconds(12), TimeSpan(picoseconds: admission.control.period.picoseconds * 12))
  }

  static let groups: [OptionGroup<SimulateOptions>] = [
    OptionGroup(
      "Module",
      [
        .init(
          "profile", \.profile, placeholder: "<NAME|FILE>",
          completion: .words(ProfileLibrary.embedded.names), help: "Kind of module."),
        .init(
          "modules", \.modules, placeholder: "<COUNT>",
          help: "Modules of the interleave set, 1 to 12; with --tiers 6 unless given."),
        .init(
          "vary", \.vary,
          help: "A number of the profile and the values that runs give it: KEY=A..B, "
            + "KEY=A..B/COUNT or KEY=A,B,C; 'arbiter explain' lists the keys."),
        .init("from", \.from, help: "State of the module when the scheme takes over."),
      ]),
    OptionGroup(
      "Workload",
      [
        .init(
          "threads", \.threads,
          help: "Numbers of threads, each a run; by default 1,2,4,8,16,26, or those of the trace; "
            + "with --tiers one number, by default 8."),
        .init("pattern", \.pattern, help: "Order of each thread's addresses."),
        .init("store", \.store, help: "Non-temporal stores, stores with clwb, or plain stores."),
        .init("access", \.access, help: "Size of each access."),
        .init("fence-every", \.fenceEvery, help: "Bytes between two store fences."),
        .init("region", \.region, help: "Size of the region that each thread has to itself."),
        .init("read-share", \.readShare, help: "Share of the accesses that are loads."),
        .init("think", \.think, help: "Time of its own that a thread spends after each access."),
      ]),
    ReplayOptions.group.within(\.trace),
    TierSimulationOptions.group.within(\.tiers),
    SchemeOptions.group(fixedDelayWith: [.baseline, .fence]).within(\.admission),
    OptionGroup(
      "Run",
      [
        .init(
          "warm-up", \.warmUp,
          help: "Virtual time before the measurement; by default 12 periods, with a trace none."),
        .init(
          "duration", \.duration,
          help: "Virtual time of the measurement: 20ms unless given, with a trace until its end; "
            + "with --tiers that of the work in fast memory, 60s unless given."),
        .init("seed", \.seed, placeholder: "<NUMBER>", help: "Source of all randomness."),
        .init(
          "dry-run", \.isDryRun,
          help: "Print the command line of every run, with all options, and run nothing."),
      ]),
    ReportPlace.group(\.report),
    OutputOptions.group.within(\.output),
  ]

  static func validate(_ options: SimulateOptions) throws(UsageError) {
    try options.output.validate()
    try ReportPlace(options.report).validate()
    try checkSchemes(options.admission.schemes)
    try checkAccess(options.access, atMost: .gibibytes(1))
    try options.checkRegion()
    if options.pattern.visitsHalves && options.access.bytes != 128 {
      throw UsageError(
        "--pattern=\(options.pattern.rawValue) goes with --access=128B, not \(options.access)",
        hint: "add --access=128B")
    }
    if !(1...12).contains(options.modules) {
      throw UsageError(
        "--modules=\(options.modules) is not within 1 to 12", hint: "give 1 to 12 modules")
    }
    try checkTime("duration", options.durationSpan, .microseconds(10) ... .seconds(1000))
    // What the span without --warm-up is made of has its own limits, below.
    try checkTime("warm-up", options.warmUp ?? .zero, .zero ... .seconds(1000))
    if options.think > options.durationSpan {
      throw UsageError(
        "--think=\(options.think) is longer than --duration=\(options.durationSpan)",
        hint: "raise --duration, or no access falls into the measurement")
    }
    try options.admission.validate(fixedDelayWith: [.baseline, .fence])
    if options.isDryRun && options.output.format != .text {
      throw UsageError(
        "--dry-run prints command lines, not \(options.output.format.rawValue)",
        hint: "leave out --format")
    }
    try options.trace.validate()
    try options.tiers.validate(duration: options.duration, threads: options.threads)
    // Whatever the model refuses beyond what has a message of its own.
    if let problem = options.workload.problem { throw UsageError(problem) }
  }

  private func checkRegion() throws(UsageError) {
    let largest = ByteCount.gibibytes(1024)
    if region > largest {
      throw UsageError(
        "--region=\(region) is larger than \(largest)", hint: "give at most \(largest)")
    }
    if region < access || region.bytes % access.bytes != 0 {
      let whole = max(1, region.bytes / access.bytes) * access.bytes
      throw UsageError(
        "--region=\(region) is not a multiple of --access=\(access)",
        hint: "give --region=\(ByteCount(bytes: whole))")
    }
  }

  var workload: Workload {
    Workload(
      pattern: pattern, store: store.operation, accessBytes: access.bytes, fence: fenceEvery.rule,
      regionBytes: region.bytes, readShare: readShare.value, think: think)
  }

  /// The options of every single run: each value of the profile with each thread count and scheme.
  ///
  /// - Parameter replay: The recording that is repeated, if any.
  /// - Returns: Options that name one thread count and one scheme each.
  func singles(of replay: ReplaySource?) -> [SimulateOptions] {
    let counts = threads ?? replay.map { ThreadCounts([$0.threadCount]) } ?? Self.usualThreads
    let variations: [Variation?] =
      vary.map { vary in vary.values.map { Variation(key: vary.key, value: $0) } } ?? [nil]
    return variations.flatMap { variation in
      counts.counts.flatMap { count in
        admission.schemes.map { scheme in
          var single = self
          single.vary = variation
          single.threads = ThreadCounts([count])
          single.admission.schemes = [scheme]
          single.warmUp = warmUpSpan
          single.duration = durationSpan
          return single
        }
      }
    }
  }

  /// The run of options that name one thread count and one scheme.
  func scenario(
    on device: DeviceProfile, _ replay: ReplaySource?, tool: String
  ) throws(Failure) -> Scenario {
    var device = device
    if let vary, let value = vary.values.first { device = try vary.profile(value, from: device) }
    var scenario = Scenario(
      profileName: device.name, profile: device, threads: threads?.counts.first ?? 1)
    let scheme = admission.schemes.first ?? .baseline
    scenario.modules = modules
    scenario.workload = workload
    scenario.scheme = scheme
    scenario.start = from
    scenario.warmUp = warmUpSpan
    scenario.duration = durationSpan
    scenario.replay = replay
    scenario.thinkScale = trace.thinkScale
    scenario.starts = trace.starts
    scenario.recordPath = trace.record
    scenario.period = admission.control.period
    scenario.maximumDelay = admission.control.maxDelay
    scenario.seed = seed
    scenario.fixedDelay = admission.fixedSettings(isFenced: scheme == .fence)
    scenario.parameters = Self.command.resolve(self, tool: tool).parameters
    if let vary {
      scenario.parameters += [
        .init("varied_parameter", .string(vary.key)),
        .init("varied_value", .figure(vary.values.first)),
      ]
    }
    let unused = TierSimulationOptions.own + (replay == nil ? [] : ReplayOptions.replaced)
    scenario.parameters.removeAll { member in
      unused.contains { $0.replacing("-", with: "_") == member.key }
    }
    return scenario
  }
}

extension SimulateOptions {
  static let command: Command<SimulateOptions> = Command(
    name: "simulate",
    abstract: "Run writers on a modelled module, in virtual time.",
    discussion: """
      Every combination of a thread count and a scheme is one run. The module is modelled, not \
      present: bandwidth, amplification and latency are those of the profile, and wall time only \
      says how long the computation took.

      With --vary every run is made once for each value of one number of the profile; `arbiter \
      explain` with the profile's name lists the numbers.

      With --trace the threads do what a recording says they did, until it ends: their accesses \
      in their order, with the time of their own that lay between them. What the memory cost them \
      when they were recorded is left out, and how they interleave is the model's. More threads \
      than recorded are clones in ranges of their own; Documentation/Replay.md says more. With \
      --record the simulated threads make such a recording, in virtual time.

      With --tiers no writers run: a program's data lies in fast and in slow memory, and policies \
      decide what lies where, in virtual time, from samples or a recording of arbiter tier. The \
      profile's modules are the slow memory; Documentation/Placement.md says what is modelled.

      The same options and the same seed give the same results on every machine.
      """,
    initial: SimulateOptions(), groups: groups,
    examples: [
      Example("Two schemes over six thread counts", "simulate"),
      Example(
        "A fixed delay per block on a saturated module",
        "simulate --threads=26 --scheme=baseline --delay=3us --from=saturated"),
      Example(
        "Random readers and writers on six modules",
        "simulate --modules=6 --pattern=random --read-share=50% --format=json"),
      Example(
        "What a smaller buffer would change",
        "simulate --vary=buffer_blocks=16..64/4 --threads=8,26"),
      Example(
        "A recorded program, as it was and with 26 threads",
        "simulate --trace=program.trace --threads=4,26"),
      Example(
        "Who places data best when the hot part of it moves",
        "simulate --tiers=moving --policies=arbiter,hemem-paper,first-touch"),
      Example("What would be run", "simulate --threads=4 --dry-run"),
    ],
    seeAlso: ["arbiter-compare", "arbiter-explain"],
    validate: { (options: SimulateOptions) throws(UsageError) in try validate(options) },
    run: { try simulate($0) })

  private static func simulate(_ invocation: Invocation<SimulateOptions>) throws -> Int32 {
    let options = invocation.options
    try ReplayOptions.checkGiven(invocation.given, options.trace)
    try options.tiers.checkGiven(invocation.given)
    if let source = options.tiers.tiers { return try simulateTiers(source, invocation) }
    let replay = try options.trace.trace.map { path throws(Failure) in try ReplaySource(path) }
    let device = try loadProfile(options.profile)
    let place = ReportPlace(options.report)
    try place.check()
    let session = try ResultSession(
      invocation.resolved, output: options.output, seed: options.seed, profile: device)
    let tool = invocation.resolved.tool
    if options.isDryRun {
      try session.write(
        options.singles(of: replay).map { $0.commandLine(tool: tool) + "\n" }.joined())
      return ExitCode.done
    }
    let singles = options.singles(of: replay)
    if let path = options.trace.record, singles.count > 1 {
      throw UsageError(
        "--record=\(path) records one run, and these are \(singles.count)",
        hint: "name one number with --threads and one scheme with --scheme")
    }
    let scenarios = try singles.map { try $0.scenario(on: device, replay, tool: tool) }
    let results = try session.run(scenarios, title: "simulate").compactMap(\.self)
    var remarks = replay?.remarks(results, thinkScale: options.trace.thinkScale) ?? []
    if place.isWanted && !session.wasInterrupted {
      let report = SimulateReport(options: options, profile: device, results: results)
      remarks.append(try place.write(report.report(session.document(results)), for: session))
    }
    try session.print(
      results, table: ResultTable.byThreads(results, varying: options.vary?.key), remarks: remarks)
    return session.wasInterrupted ? ExitCode.interrupted : ExitCode.done
  }

  /// The command line that repeats this run, also under a later version with other defaults; how
  /// results are shown is left to who repeats it.
  private func commandLine(tool: String) -> String {
    var run = self
    run.isDryRun = false
    run.report = "none"
    run.output = OutputOptions()
    let shown = OutputOptions.group.options.map { "--\($0.description.name)" }
    let words = Self.command.resolve(run, tool: tool).arguments(includingDefaults: true)
    let unused = TierSimulationOptions.own + (trace.trace == nil ? [] : ReplayOptions.replaced)
    let hidden = shown + unused.map { "--\($0)" }
    let own = words.filter { word in
      !hidden.contains { word == $0 || word.hasPrefix("\($0)=") }
    }
    return ([tool] + own).map(shellQuoted).joined(separator: " ")
  }
}
