// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterCore
public import ArbiterDevice
internal import ArbiterMetrics
public import ArbiterWorkloads

/// Executes a measurement plan on the modelled module, in virtual time.
public struct ModelMeasurement: MeasurementExecutor, Sendable {
  /// The kind of module.
  public var profile: DeviceProfile
  /// Modules of the interleave set.
  public var moduleCount: Int
  /// Virtual time of every measurement.
  public var span: TimeSpan
  /// Virtual time before it counts.
  public var warmUp: TimeSpan
  /// The source of all randomness of the first round; each round has the next.
  public var seed: UInt64

  /// Makes an executor.
  public init(
    profile: DeviceProfile, moduleCount: Int = 1, span: TimeSpan = .milliseconds(4),
    warmUp: TimeSpan = .microseconds(1500), seed: UInt64 = 1
  ) {
    self.profile = profile
    self.moduleCount = moduleCount
    self.span = span
    self.warmUp = warmUp
    self.seed = seed
  }

  /// Measures one point once.
  ///
  /// - Throws: ``SimulationError`` where the machine is impossible.
  public func measure(
    _ point: MeasurementPoint, repetition: Int, isCancelled: () -> Bool
  ) throws -> MeasuredRun? {
    var configuration = SimulationConfiguration(
      profile: profile,
      threads: Array(repeating: ThreadPlan(point.workload), count: point.threadCount))
    configuration.moduleCount = moduleCount
    configuration.seed = seed &+ UInt64(repetition)
    var simulation = try Simulation(configuration)
    simulation.isRecordingSamples = false
    // A chain is warm when it has gone round once, or has filled every table of the module.
    let isLong = point.isChain && point.sizeBytes > 1 << 20
    let warmUp = isLong ? max(warmUp, .milliseconds(20)) : warmUp
    guard run(&simulation, until: warmUp, isCancelled) else { return nil }
    let times = LatencyTimes()
    if point.aspect == .latency {
      simulation.startRecording { _, event in times.add(event, isLoad: point.isChain) }
    }
    simulation.beginMeasurement()
    guard run(&simulation, until: warmUp + span, isCancelled) else { return nil }
    let result = simulation.result()
    let (read, written) = Self.bytes(result, of: point)
    let cpu = result.cpuSecondsPerGiB.map { $0 * (read + written) / 1_073_741_824 }
    return MeasuredRun(
      seconds: result.seconds, readBytes: read, writtenBytes: written,
      latency: point.aspect == .latency ? times.latency : nil,
      processCPUSeconds: Figure(cpu, otherwise: "nothing was moved"),
      systemCPUSeconds: .unavailable("the model has no system beside its threads"),
      stolenSeconds: .unavailable("the model has no host"))
  }

  /// Runs to a moment, and looks up between slices; false where somebody asked to stop.
  private func run(
    _ simulation: inout Simulation, until end: TimeSpan, _ isCancelled: () -> Bool
  ) -> Bool {
    while simulation.now < end {
      if isCancelled() { return false }
      simulation.run(for: min(.milliseconds(1), end - simulation.now))
    }
    return true
  }

  /// Bytes that the program loaded and stored: loads that stores make of themselves do not count.
  private static func bytes(
    _ result: RunResult, of point: MeasurementPoint
  ) -> (read: Double, written: Double) {
    let written = Double(result.programWriteBytes)
    return (max(0, Double(result.requestCount) * 64 - written), written)
  }
}

/// Takes the latencies of one thread's accesses from what a recorder hears.
private final class LatencyTimes {
  private var histogram = Histogram()
  private var lastStart: UInt64?

  /// Takes in an access.
  ///
  /// The span of an event ends when the thread may go on. After a fence that is when all is done;
  /// a load that another one waits for has its data when that one begins.
  func add(_ event: TraceEvent, isLoad: Bool) {
    if isLoad {
      if let lastStart, event.startNanoseconds >= lastStart {
        histogram.record(event.startNanoseconds - lastStart)
      }
      lastStart = event.startNanoseconds
    } else if event.isFenced {
      histogram.record(UInt64(event.spanNanoseconds))
    }
  }

  var latency: AccessLatency? { AccessLatency(histogram, mean: histogram.mean) { Double($0) } }
}
