// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterProfiles
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads

/// The default module of the library, read once.
private let standard: DeviceProfile = {
  do {
    return try ProfileLibrary.embedded.profile(named: ProfileLibrary.defaultName)
  } catch {
    preconditionFailure("default profile: \(error)")
  }
}()

/// The default module, changed as a test needs it.
func profile(_ change: (inout DeviceProfile) -> Void = { _ in }) -> DeviceProfile {
  var profile = standard
  change(&profile)
  return profile
}

/// Equal threads on one module.
func machine(
  _ workload: Workload = Workload(), threads: Int, profile: DeviceProfile = profile(),
  scheme: SimulatedScheme = .fixed(.open), seed: UInt64 = 1
) -> SimulationConfiguration {
  var configuration = SimulationConfiguration(
    profile: profile, threads: Array(repeating: ThreadPlan(workload), count: threads))
  configuration.scheme = scheme
  configuration.seed = seed
  return configuration
}

/// The scheme that delays every access, or every block, by a fixed time.
func delay(
  _ nanoseconds: Double, per point: DelayPoint = .access, from anchor: DelayAnchor = .arrival
) -> SimulatedScheme {
  .fixed(GateSettings(delayNanoseconds: nanoseconds, point: point, anchor: anchor))
}

/// The figures of a window after a warm-up.
func measure(
  _ configuration: SimulationConfiguration, warmUp: TimeSpan = .milliseconds(1),
  span: TimeSpan = .milliseconds(4)
) throws -> RunResult {
  var simulation = try Simulation(configuration)
  simulation.run(for: warmUp)
  simulation.beginMeasurement()
  simulation.run(for: span)
  return simulation.result()
}
