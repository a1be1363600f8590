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
  var threads = ThreadCounts([1, 2, 4, 8, 16, 26])
  var pattern = Pattern.sequential
  var store = StoreKind.nt
  var access = ByteCount(bytes: 64)
  var fenceEvery = FenceInterval(nil)
  var region = ByteCount.mebibytes(64)
  var readShare = Share(0)
  var think = TimeSpan.zero
  var schemes: [SchemeName] = [.baseline, .arbiter]
  var delay: TimeSpan?
  var delayAt = DelayPlace.block
  var from = StartState.clean
  var warmUp: TimeSpan?
  var duration = TimeSpan.milliseconds(20)
  var period = TimeSpan.milliseconds(1)
  var maxDelay = TimeSpan.microseconds(100)
  var seed: UInt64 = 1
  var output = OutputOptions()

  /// Time that the scheme gets before the measurement: five periods unless the user says otherwise.
  var warmUpSpan: TimeSpan {
    warmUp ?? max(.milliseconds(5), TimeSpan(picoseconds: period.picoseconds * 5))
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
          help: "Modules of the interleave set, 1 to 12."),
        .init("from", \.from, help: "State of the module when the scheme takes over."),
      ]),
    OptionGroup(
      "Workload",
      [
        .init("threads", \.threads, help: "Numbers of threads, each a run."),
        .init("pattern", \.pattern, help: "Order of each thread's addresses."),
        .init("store", \.store, help: "Non-temporal stores, stores with clwb, or plain stores."),
        .init("access", \.access, help: "Size of each access."),
        .init("fence-every", \.fenceEvery, help: "Bytes between two store fences."),
        .init("region", \.region, help: "Size of the region that each thread has to itself."),
        .init("read-share", \.readShare, help: "Share of the accesses that are loads."),
        .init("think", \.think, help: "Time of its own that a thread spends after each access."),
      ]),
    OptionGroup(
      "Scheme",
      [
        .init(
          "scheme", \.schemes, placeholder: "<SCHEME,...>",
          help: "How writers are admitted; each is a run."),
        .init(
          "delay", \.delay,
          help: "Fixed delay before accesses; goes with the schemes baseline and fence."),
        .init("delay-at", \.delayAt, help: "Where the fixed delay falls due."),
        .init("period", \.period, help: "How often a controller looks at the counters."),
        .init("max-delay", \.maxDelay, help: "Longest delay of any access."),
      ]),
    OptionGroup(
      "Run",
      [
        .init(
          "warm-up", \.warmUp, help: "Virtual time before the measurement; by default 5 periods."),
        .init("duration", \.duration, help: "Virtual time of the measurement."),
        .init("seed", \.seed, placeholder: "<NUMBER>", help: "Source of all randomness."),
      ]),
    OutputOptions.group.within(\.output),
  ]

  static func validate(_ options: SimulateOptions) throws(UsageError) {
    if let problem = options.workload.problem { throw UsageError(problem) }
    if !(1...12).contains(options.modules) {
      throw UsageError("--modules=\(options.modules) is not within 1 to 12")
    }
    if options.duration < .microseconds(10) || options.duration > .seconds(1000) {
      throw UsageError("--duration=\(options.duration) is not within 10us to 1000s")
    }
    if options.warmUpSpan < .zero || options.warmUpSpan > .seconds(1000) {
      throw UsageError("--warm-up=\(options.warmUpSpan) is not within 0 to 1000s")
    }
    if options.period < .microseconds(10) || options.period > .seconds(10) {
      throw UsageError("--period=\(options.period) is not within 10us to 10s")
    }
    if options.maxDelay > .seconds(1) {
      throw UsageError("--max-delay=\(options.maxDelay) is longer than 1s")
    }
    if let delay = options.delay {
      if let other = options.schemes.first(where: { $0 != .baseline && $0 != .fence }) {
        throw UsageError(
          "--delay fixes what scheme '\(other.rawValue)' decides",
          hint: "use it with --scheme=baseline or --scheme=fence")
      }
      if delay > options.maxDelay {
        throw UsageError(
          "--delay=\(delay) is longer than --max-delay=\(options.maxDelay)",
          hint: "raise --max-delay")
      }
    }
  }

  var workload: Workload {
    Workload(
      pattern: pattern, store: store.operation, accessBytes: access.bytes, fence: fenceEvery.rule,
      regionBytes: region.bytes, readShare: readShare.value, think: think)
  }

  /// The runs: every thread count with every scheme.
  func scenarios() throws -> [Scenario] {
    let device = try loadProfile(profile)
    return threads.counts.flatMap { count in
      schemes.map { scheme in
        var scenario = Scenario(profileName: device.name, profile: device, threads: count)
        scenario.modules = modules
        scenario.workload = workload
        scenario.scheme = scheme
        scenario.start = from
        scenario.warmUp = warmUpSpan
        scenario.duration = duration
        scenario.period = period
        scenario.maximumDelay = maxDelay
        scenario.seed = seed
        scenario.fixedDelay = delay.map {
          GateSettings(
            delayNanoseconds: $0.nanoseconds, point: delayAt.point,
            isFencedAtBlocks: scheme == .fence)
        }
        return scenario
      }
    }
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
        "simulate --modules=6 --pattern=random --access=256B --read-share=50% --format=json"),
    ],
    seeAlso: ["arbiter-compare"],
    validate: { (options: SimulateOptions) throws(UsageError) in try validate(options) },
    run: { try simulate($0) })

  private static func simulate(_ invocation: Invocation<SimulateOptions>) throws -> Int32 {
    let options = invocation.options
    let scenarios = try options.scenarios()
    let session = ResultSession(
      invocation.resolved, output: options.output, seed: options.seed,
      profile: scenarios.first?.profile)
    let results = try session.run(scenarios, title: "simulate") { scenario in
      session.parameters(threads: scenario.threads, scheme: scenario.scheme.rawValue)
    }
    try session.print(results, table: ResultTable.byThreads(results))
    return session.wasInterrupted ? ExitCode.interrupted : ExitCode.done
  }
}
