// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterSimulator
internal import ArbiterWorkloads

/// Runs the experiments of calibration targets on one profile.
struct CalibrationBench: Sendable {
  let profile: DeviceProfile
  let seed: UInt64

  /// The steady state of equal threads that run for long enough.
  func steady(
    _ workload: Workload, threads: Int, modules: Int = 1, warmUp: TimeSpan = .microseconds(1500),
    span: TimeSpan = .milliseconds(4)
  ) -> RunResult {
    var configuration = SimulationConfiguration(
      profile: profile, threads: Array(repeating: ThreadPlan(workload), count: threads))
    configuration.moduleCount = modules
    configuration.seed = seed
    do {
      var simulation = try Simulation(configuration)
      simulation.isRecordingSamples = false
      simulation.run(for: warmUp)
      simulation.beginMeasurement()
      simulation.run(for: span)
      return simulation.result()
    } catch {
      preconditionFailure("calibration experiment: \(error)")
    }
  }

  /// Effective write bandwidth in GB/s.
  func writeBandwidth(_ workload: Workload, threads: Int, modules: Int = 1) -> Double {
    steady(workload, threads: threads, modules: modules).effectiveBandwidth / 1e9
  }

  /// Read bandwidth in GB/s.
  func readBandwidth(accessBytes: Int, threads: Int) -> Double {
    var workload = Workload(pattern: .random, accessBytes: accessBytes, regionBytes: 256 << 20)
    workload.readShare = 1
    return (steady(workload, threads: threads).imcReadBandwidth ?? 0) / 1e9
  }

  /// Time from the first store of an access until its fence has seen all stores accepted.
  func fencedLatency(_ store: Operation, accessBytes: Int) -> Double {
    let workload = Workload(
      store: store, accessBytes: accessBytes, fence: .every(bytes: UInt32(accessBytes)))
    let accessesPerNanosecond =
      steady(workload, threads: 1).effectiveBandwidth / 1e9 / Double(accessBytes)
    return 1 / accessesPerNanosecond - profile.fenceNanoseconds
  }
}
