// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice
internal import ArbiterWorkloads

/// The model's answer to a trace that VANS was run on.
public struct VANSAnswer: Sendable, Hashable {
  /// Bandwidth in GB/s of virtual time; nil where latency is the question.
  public let gigabytesPerSecond: Double?
  /// Time per request of 64 B, as `VANSResult.nanosecondsPerRequest`.
  public let nanosecondsPerRequest: Double
  /// Media write bytes ÷ iMC write bytes; nil for loads.
  public let writeAmplification: Double?
  /// Requests of 64 B that were simulated, those before the measurement included.
  public let requestCount: Double
}

extension VANSResult {
  /// Runs the same accesses on a modelled module, a stream of the trace as a thread.
  ///
  /// A trace has no threads, only an order that whoever wrote it chose. Here the threads run and
  /// the model finds the order, so that rows which differ in nothing but the order have one answer.
  ///
  /// - Parameters:
  ///   - profile: The module.
  ///   - seed: The source of randomness.
  /// - Returns: The steady state's figures.
  public func answer(of profile: DeviceProfile, seed: UInt64) -> VANSAnswer {
    var bench = CalibrationBench(profile: profile, seed: seed)
    var workload = Workload(regionBytes: 16 << 20)
    var threads = 1
    switch traffic {
    case .streams(let count, _): threads = count
    case .randomStores(let accessBytes, let regionBytes):
      workload = Workload(pattern: .random, accessBytes: accessBytes, regionBytes: regionBytes)
    case .hotLine: workload = Workload(regionBytes: 64)
    case .sequentialLoads: workload.readShare = 1
    case .dependentLoads(let regionBytes):
      if let regionBytes { workload = Workload(pattern: .random, regionBytes: regionBytes) }
      workload.readShare = 1
      // A thread that holds one load waits for each, which is what dependence means.
      var waiting = profile
      waiting.loadWindowLines = 1
      bench = CalibrationBench(profile: waiting, seed: seed)
    }
    let run = bench.steady(workload, threads: threads)
    let perSecond = Double(run.requestCount) / run.seconds
    let isLoad = workload.readShare == 1
    return VANSAnswer(
      gigabytesPerSecond: gigabytesPerSecond == nil ? nil : perSecond * 64 / 1e9,
      nanosecondsPerRequest: 1e9 / perSecond,
      writeAmplification: isLoad ? nil : run.writeAmplification,
      requestCount: perSecond * CalibrationBench.steadySeconds)
  }
}
