// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterProfiles
internal import ArbiterReport
internal import ArbiterScheduler
internal import ArbiterSimulator
internal import ArbiterWorkloads
internal import CommandSpec

/// One run on the model: everything that determines it.
struct Scenario: Sendable {
  var profileName: String
  var profile: DeviceProfile
  var modules = 1
  var threads: Int
  var workload = Workload()
  /// What the threads repeat instead of the workload.
  var replay: ReplaySource?
  var thinkScale = 1.0
  var starts = ThreadStarts.together
  /// Where a recording of what the threads do goes.
  var recordPath: String?
  var scheme = SchemeName.baseline
  /// A fixed delay instead of what the scheme decides.
  var fixedDelay: GateSettings?
  var start = StartState.clean
  var warmUp = TimeSpan.milliseconds(12)
  var duration = TimeSpan.milliseconds(20)
  var period = TimeSpan.milliseconds(1)
  var maximumDelay = TimeSpan.microseconds(100)
  var seed: UInt64 = 1
  /// Every option of the run, for the result.
  var parameters: [JSONValue.Member] = []

  var configuration: SimulationConfiguration {
    let plans = replay?.program.plans(
      threadCount: threads, thinkScale: thinkScale, starts: starts, seed: seed)
    var configuration = SimulationConfiguration(
      profile: profile,
      threads: plans?.map { ThreadPlan($0) }
        ?? Array(repeating: ThreadPlan(workload), count: threads)
    )
    configuration.moduleCount = modules
    configuration.saturation = start.saturation
    configuration.maximumDelay = maximumDelay
    configuration.seed = seed
    configuration.scheme =
      fixedDelay.map { .fixed($0) }
      ?? .named(scheme, maximumDelay: maximumDelay, period: period)
    return configuration
  }

  /// Runs the scenario, unless Ctrl-C ends it before.
  ///
  /// - Parameter progress: Hears which share of the virtual time has passed.
  /// - Returns: The result; nil of a run that was interrupted.
  /// - Throws: `SimulationError` where the scenario is impossible, ``Failure`` where the model
  ///   breaks its own rules.
  func run(progress: (Double) -> Void) throws -> ReportedResult? {
    let began = Console.seconds
    var simulation = try Simulation(configuration)
    simulation.isRecordingSamples = false
    let recorder = try recordPath.map { path in try self.recorder(at: path) }
    if let recorder {
      simulation.startRecording { thread, event in recorder.add(event, thread: thread) }
    }
    let whole = replay?.eventCount(ofThreads: threads)
    let prelude = start.saturation + warmUp
    let end = prelude + duration
    // Slices change nothing in the model; between two of them is time to look up.
    func run(_ simulation: inout Simulation, until stop: TimeSpan) throws -> Bool {
      while simulation.now < stop && !simulation.isFinished {
        if Interrupt.isRaised { return false }
        simulation.run(for: min(Self.slice, stop - simulation.now))
        try recorder?.check()
        let share = whole.map { Double(simulation.replayCounts?.eventCount ?? 0) / Double($0) }
        progress(share ?? Double(simulation.now.picoseconds) / Double(end.picoseconds))
      }
      return true
    }
    guard try run(&simulation, until: prelude) else { return nil }
    if simulation.isFinished {
      _ = try replaySummary(simulation)
      throw endedEarly(simulation.now, before: prelude)
    }
    simulation.beginMeasurement()
    guard try run(&simulation, until: end) else { return nil }
    if recorder != nil { simulation.finishRecording() }
    try recorder?.finish()
    let violations = simulation.violations()
    guard violations.isEmpty else {
      throw Failure(
        ExitCode.ourFault,
        "the model broke a rule of its own: \(violations.joined(separator: "; "))",
        hint: "please report this with the seed \(seed) and the command")
    }
    var result = ReportedResult(
      scheme: scheme.rawValue, profile: profileName,
      pattern: replay == nil ? workload.pattern.rawValue : "trace",
      accessBytes: replay == nil ? workload.accessBytes : nil, parameters: parameters,
      result: simulation.result(), wallSeconds: Console.seconds - began)
    result.replay = try replaySummary(simulation)
    return result
  }

  private static let slice = TimeSpan.milliseconds(1)
}

/// A profile by name, or from a file where the name has a slash or ends in `.json`.
func loadProfile(_ name: String) throws -> DeviceProfile {
  try loadResolvedProfile(name).profile
}

/// A profile as ``loadProfile(_:)`` finds it, together with its sources.
func loadResolvedProfile(_ name: String) throws -> ResolvedProfile {
  let library = ProfileLibrary.embedded
  guard name.contains("/") || name.hasSuffix(".json") else {
    guard library.names.contains(name) else {
      let nearest = nearestName(to: name, among: library.names)
      throw Failure(
        ExitCode.usage,
        "--profile=\(name) is not one of \(library.names.joined(separator: ", "))",
        hint: nearest.map { "did you mean '\($0)'?" } ?? "give one of those names, or a .json file")
    }
    return try library.resolved(name)
  }
  return try library.resolve(try readFile(name, for: "profile"), named: name)
}
