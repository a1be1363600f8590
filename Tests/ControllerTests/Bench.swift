// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterProfiles
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads
import Glibc

/// The modelled module that the controllers are tried on, and how they are run.
enum Bench {
  /// Whether the long forms of the tests were asked for.
  static let isLong = unsafe getenv("ARBITER_LONG") != nil

  /// The seed of everything that is drawn, from the environment where it says one.
  static let seed: UInt64 = {
    guard let text = unsafe getenv("ARBITER_SEED") else { return 7 }
    return unsafe UInt64(String(cString: text)) ?? 7
  }()

  /// The module that options default to.
  static func profile() throws -> DeviceProfile {
    try ProfileLibrary.embedded.profile(named: ProfileLibrary.defaultName)
  }

  private static let defaultPeak = Result { try peak(of: profile()) }

  /// What the default module writes for one sequential writer, in bytes per second.
  static func peak() throws -> Double { try defaultPeak.get() }

  /// What a module writes for one sequential, non-temporal, unfenced writer, in bytes per second.
  static func peak(of profile: DeviceProfile) throws -> Double {
    var run = Run(threads: [ThreadPlan(Workload())])
    run.profile = profile
    run.scheme = .fixed(.open)
    run.skipped = 5
    run.periods = 20
    return try run.measured().result.effectiveBandwidth
  }

  /// The controller of the scheme `arbiter` as the command line makes it.
  static var adaptive: AdaptiveController {
    AdaptiveController(maximumDelay: .microseconds(100))
  }

  /// The controller of the scheme `arbiter-paper` as the command line makes it.
  static var paper: PaperController { PaperController(maximumDelay: .microseconds(100)) }

  /// So many threads that all do the same.
  static func crowd(_ count: Int, _ workload: Workload = Workload()) -> [ThreadPlan] {
    Array(repeating: ThreadPlan(workload), count: count)
  }
}

/// One simulation, told in periods of its controller.
struct Run: Sendable {
  enum Scheme: Sendable {
    case fixed(GateSettings)
    case controlled(any Controller)
  }

  var threads: [ThreadPlan]
  var profile: DeviceProfile?
  var scheme = Scheme.controlled(Bench.adaptive)
  var moduleCount = 1
  /// Whether the threads wrote ungated for one period before the scheme took over.
  var isSaturated = false
  var channel = CounterChannel()
  var seed: UInt64 = 1
  var period = TimeSpan.milliseconds(1)
  /// Periods under the scheme before the measuring window.
  var skipped = 0
  /// Periods of the measuring window.
  var periods = 30

  init(threads: [ThreadPlan]) { self.threads = threads }

  /// The same run under other settings or another controller.
  func under(_ scheme: Scheme) -> Run {
    var run = self
    run.scheme = scheme
    return run
  }

  /// The same run without any scheme.
  var baseline: Run { under(.fixed(.open)) }

  func configuration() throws -> SimulationConfiguration {
    var configuration = SimulationConfiguration(
      profile: try profile ?? Bench.profile(), threads: threads)
    configuration.moduleCount = moduleCount
    configuration.channel = channel
    configuration.seed = seed
    if isSaturated { configuration.saturation = .milliseconds(1) }
    switch scheme {
    case .fixed(let settings): configuration.scheme = .fixed(settings)
    case .controlled(let controller):
      configuration.scheme = .controlled(controller, period: period)
    }
    return configuration
  }

  /// Runs it.
  func measured() throws -> Outcome {
    let configuration = try configuration()
    var simulation = try Simulation(configuration)
    simulation.run(for: configuration.saturation)
    let before = simulation.threadBytes()
    simulation.run(for: times(skipped))
    simulation.beginMeasurement()
    simulation.run(for: times(periods))
    let bytes = zip(simulation.threadBytes(), before).map { $0 - $1 }
    return Outcome(
      result: simulation.result(), samples: simulation.samples, threadBytes: bytes,
      violations: simulation.violations())
  }

  /// iMC write bytes per second in windows of one period, counted from a moment on.
  func windows(from moment: TimeSpan, count: Int, in simulation: inout Simulation) -> [Double] {
    simulation.run(for: moment - simulation.now)
    return (0..<count).map { _ in
      let before = simulation.snapshot().imcWriteBytes ?? 0
      simulation.run(for: period)
      let after = simulation.snapshot().imcWriteBytes ?? 0
      return Double(after - before) / period.seconds
    }
  }

  private func times(_ count: Int) -> TimeSpan {
    TimeSpan(picoseconds: period.picoseconds * Int64(count))
  }
}

/// What a run showed.
struct Outcome: Sendable {
  /// The figures of the measuring window.
  var result: RunResult
  /// One entry per period since the scheme took over.
  var samples: [PeriodSample]
  /// Bytes that each thread moved since the scheme took over.
  var threadBytes: [UInt64]
  /// What the model lost or duplicated.
  var violations: [String]

  /// Bytes that all threads moved since the scheme took over.
  var bytes: Double { Double(threadBytes.reduce(0, +)) }

  /// Amplification of the measuring window; infinite where nothing was written.
  var amplification: Double { result.writeAmplification ?? .infinity }

  /// 99th percentile of the latency in nanoseconds; infinite where nothing was written.
  var p99: Double { result.latencyNanoseconds?.p99 ?? .infinity }

  /// The first period, counted from 1, that wrote as much; nil where none did.
  func firstPeriod(atLeast bandwidth: Double) -> Int? {
    samples.firstIndex { $0.effectiveBandwidth >= bandwidth }.map { $0 + 1 }
  }

  /// State and gigabytes per second of the first periods, for the reader of a failure.
  func trace(_ count: Int = 8) -> String {
    samples.prefix(count).map {
      "\($0.phase.prefix(1)) \(($0.effectiveBandwidth / 1e9).text(2))"
    }.joined(separator: ", ")
  }
}
