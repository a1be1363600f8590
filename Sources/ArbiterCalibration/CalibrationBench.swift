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

  /// Virtual time of ``steady(_:threads:modules:)``, the part before the measurement included.
  static let steadySeconds = 5.5e-3

  /// The steady state of equal threads that run for long enough.
  func steady(
    _ workload: Workload, threads: Int, modules: Int = 1, warmUp: TimeSpan = .microseconds(1500),
    span: TimeSpan = .milliseconds(4)
  ) -> RunResult {
    steady(
      Array(repeating: ThreadPlan(workload), count: threads), modules: modules, warmUp: warmUp,
      span: span)
  }

  /// The steady state of the given threads.
  func steady(
    _ plans: [ThreadPlan], modules: Int = 1, warmUp: TimeSpan = .microseconds(1500),
    span: TimeSpan = .milliseconds(4)
  ) -> RunResult {
    var configuration = SimulationConfiguration(profile: profile, threads: plans)
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

  /// Bandwidth or amplification of as many writers as the point says.
  func writeFigure(of workload: Workload, for point: CalibrationPoint, modules: Int = 1) -> Double {
    let run = steady(workload, threads: point.x, modules: modules)
    return point.quantity == .writeAmplification
      ? run.writeAmplification ?? 0 : run.effectiveBandwidth / 1e9
  }

  /// The bandwidth in GB/s of random stores in regions as close to 256 MiB as whole accesses come.
  func randomWrite(accessBytes: Int, threads: Int, modules: Int = 1) -> Double {
    let region = (256 << 20) / accessBytes * accessBytes
    return writeBandwidth(
      Workload(pattern: .random, accessBytes: accessBytes, regionBytes: region), threads: threads,
      modules: modules)
  }

  /// Read bandwidth in GB/s.
  func readBandwidth(
    _ pattern: Pattern = .random, accessBytes: Int, threads: Int, modules: Int = 1
  ) -> Double {
    let workload = Workload(
      pattern: pattern, accessBytes: accessBytes, regionBytes: 256 << 20, readShare: 1)
    return (steady(workload, threads: threads, modules: modules).imcReadBandwidth ?? 0) / 1e9
  }

  /// Time from the first store of an access until its fence has seen all stores accepted.
  func fencedLatency(_ store: Operation, accessBytes: Int) -> Double {
    let workload = Workload(
      store: store, accessBytes: accessBytes, fence: .every(bytes: UInt32(accessBytes)))
    let accessesPerNanosecond =
      steady(workload, threads: 1).effectiveBandwidth / 1e9 / Double(accessBytes)
    return 1 / accessesPerNanosecond - profile.fenceNanoseconds
  }

  /// One thread that rewrites a small region and fences every access.
  func hotSpot(
    bytes: Int, accessBytes: Int, milliseconds: Double, quantile: Double
  ) -> HotSpotRun {
    let workload = Workload(
      accessBytes: accessBytes, fence: .every(bytes: UInt32(accessBytes)), regionBytes: bytes)
    var configuration = SimulationConfiguration(profile: profile, threads: [ThreadPlan(workload)])
    configuration.seed = seed
    do {
      var simulation = try Simulation(configuration)
      simulation.isRecordingSamples = false
      simulation.run(for: .milliseconds(60))
      simulation.beginMeasurement()
      let stalls = simulation.wearStallCount
      simulation.run(for: .milliseconds(milliseconds))
      let stored = simulation.result().programWriteBytes
      return HotSpotRun(
        accesses: Double(stored) / Double(accessBytes),
        stalls: Double(simulation.wearStallCount - stalls),
        latencyMicroseconds: Double(simulation.latencyQuantile(quantile) ?? 0) / 1000)
    } catch {
      preconditionFailure("calibration experiment: \(error)")
    }
  }
}

/// What a run on a small region showed.
struct HotSpotRun {
  let accesses: Double
  let stalls: Double
  /// The wanted quantile of the latency of lines, in microseconds.
  let latencyMicroseconds: Double
}
