// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterProfiles
internal import ArbiterReport
internal import ArbiterScheduler
internal import ArbiterSimulator
internal import ArbiterWorkloads

/// One run on the model: everything that determines it.
struct Scenario: Sendable {
  var profileName: String
  var profile: DeviceProfile
  var modules = 1
  var threads: Int
  var workload = Workload()
  var scheme = SchemeName.baseline
  /// A fixed delay instead of what the scheme decides.
  var fixedDelay: GateSettings?
  var start = StartState.clean
  var warmUp = TimeSpan.milliseconds(5)
  var duration = TimeSpan.milliseconds(20)
  var period = TimeSpan.milliseconds(1)
  var maximumDelay = TimeSpan.microseconds(100)
  var seed: UInt64 = 1

  var configuration: SimulationConfiguration {
    var configuration = SimulationConfiguration(
      profile: profile, threads: Array(repeating: ThreadPlan(workload), count: threads))
    configuration.moduleCount = modules
    configuration.saturation = start.saturation
    configuration.maximumDelay = maximumDelay
    configuration.seed = seed
    configuration.scheme =
      fixedDelay.map { .fixed($0) }
      ?? .named(scheme, maximumDelay: maximumDelay, period: period)
    return configuration
  }

  /// Runs the scenario.
  ///
  /// - Throws: `SimulationError` where the scenario is impossible.
  func run(parameters: [JSONValue.Member]) throws(SimulationError) -> ReportedResult {
    let began = Console.seconds
    var simulation = try Simulation(configuration)
    simulation.isRecordingSamples = false
    simulation.run(for: start.saturation)
    simulation.run(for: warmUp)
    simulation.beginMeasurement()
    simulation.run(for: duration)
    let violations = simulation.violations()
    precondition(violations.isEmpty, violations.joined(separator: "; "))
    return ReportedResult(
      scheme: scheme.rawValue, profile: profileName, pattern: workload.pattern.rawValue,
      accessBytes: workload.accessBytes, parameters: parameters, result: simulation.result(),
      wallSeconds: Console.seconds - began)
  }
}

/// A profile by name, or from a file where the name has a slash or ends in `.json`.
func loadProfile(_ name: String) throws -> DeviceProfile {
  guard name.contains("/") || name.hasSuffix(".json") else {
    do {
      return try ProfileLibrary.embedded.profile(named: name)
    } catch {
      throw Failure(ExitCode.usage, "\(error)", hint: "give one of those names, or a .json file")
    }
  }
  return try ProfileLibrary.embedded.decode(try readFile(name), named: name)
}
