// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
public import ArbiterDevice
public import ArbiterScheduler
public import ArbiterSimulator
internal import ArbiterWorkloads

/// One run on which conclusions are drawn: sequential non-temporal stores under one scheme.
public struct ConclusionCase: Sendable, Hashable {
  /// How the writers are admitted.
  public let scheme: SchemeName
  /// How many they are.
  public let threadCount: Int
  /// Bytes of each access.
  public let accessBytes: Int

  /// Names a case.
  public init(scheme: SchemeName, threadCount: Int, accessBytes: Int) {
    self.scheme = scheme
    self.threadCount = threadCount
    self.accessBytes = accessBytes
  }

  static let threadCounts = [1, 8, 26]
  static let accessSizes = [64, 256]
  static let rivals: [SchemeName] = [.baseline, .lock, .delegation]

  /// Every case that a conclusion is drawn from.
  public static let all: [ConclusionCase] = (rivals + [.arbiter]).flatMap { scheme in
    threadCounts.flatMap { threads in
      accessSizes.map {
        ConclusionCase(scheme: scheme, threadCount: threads, accessBytes: $0)
      }
    }
  }

  /// Runs the case on a module.
  ///
  /// - Throws: `SimulationError` where the profile is impossible.
  public func run(on profile: DeviceProfile, seed: UInt64) throws(SimulationError) -> RunResult {
    let workload = Workload(accessBytes: accessBytes)
    var configuration = SimulationConfiguration(
      profile: profile, threads: Array(repeating: ThreadPlan(workload), count: threadCount))
    configuration.scheme = .named(
      scheme, maximumDelay: .microseconds(100), period: .milliseconds(1))
    configuration.seed = seed
    var simulation = try Simulation(configuration)
    simulation.isRecordingSamples = false
    // A controller needs its periods to settle; the others only need full buffers.
    simulation.run(for: .milliseconds(scheme == .arbiter ? 12 : 3))
    simulation.beginMeasurement()
    simulation.run(for: .milliseconds(3))
    return simulation.result()
  }
}
