// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterCore
public import ArbiterDevice
public import ArbiterScheduler
public import ArbiterWorkloads

/// What a thread does from some moment on.
public struct ThreadPhase: Sendable {
  /// When the phase begins, in virtual time.
  public var start: TimeSpan
  /// What the thread does; nil where it does nothing and its gate is not registered.
  public var workload: Workload?

  /// Makes a phase.
  public init(start: TimeSpan = .zero, workload: Workload?) {
    self.start = start
    self.workload = workload
  }
}

/// One thread of a simulation.
public struct ThreadPlan: Sendable {
  /// What the thread does, by ascending start; the first begins at 0.
  ///
  /// Empty of a recorded thread.
  public var phases: [ThreadPhase]
  /// The recording that the thread repeats until it ends; nil of a thread with phases.
  public var recorded: RecordedPlan?
  /// Whether the thread writes through a gate; a thread that does not is invisible to the scheme.
  public var isGated: Bool

  /// Makes a plan.
  public init(phases: [ThreadPhase], isGated: Bool = true) {
    self.phases = phases
    self.isGated = isGated
  }

  /// Makes the plan of a thread that does one thing for ever.
  public init(_ workload: Workload, isGated: Bool = true) {
    self.init(phases: [ThreadPhase(workload: workload)], isGated: isGated)
  }

  /// Makes the plan of a thread that repeats a recording and then ends.
  public init(_ recorded: RecordedPlan, isGated: Bool = true) {
    self.init(phases: [], isGated: isGated)
    self.recorded = recorded
  }
}

/// How the writers of a simulation are admitted.
public enum SimulatedScheme: Sendable {
  /// The same settings for all gates, for ever; `.open` is the baseline.
  case fixed(GateSettings)
  /// A semaphore.
  case lock(LockParameters)
  /// Rings and workers.
  case delegation(DelegationParameters)
  /// A controller that is asked once per period.
  case controlled(any Controller, period: TimeSpan)
}

/// What stands between the counters and the controller.
public struct CounterChannel: Sendable {
  /// Relative half-width of uniform noise on every difference that a snapshot reports.
  public var noiseRatio: Double
  /// How many periods old the reported counters are; 0 or 1.
  public var lagPeriods: Int

  /// Makes a channel.
  ///
  /// - Precondition: noise lies within 0..<1 and lag within 0...1.
  public init(noiseRatio: Double = 0, lagPeriods: Int = 0) {
    precondition(noiseRatio >= 0 && noiseRatio < 1, "counter noise out of range")
    precondition((0...1).contains(lagPeriods), "counter lag out of range")
    self.noiseRatio = noiseRatio
    self.lagPeriods = lagPeriods
  }
}

/// Everything that determines a simulation.
public struct SimulationConfiguration: Sendable {
  /// The kind of module.
  public var profile: DeviceProfile
  /// Modules of the interleave set, 1 to 12.
  public var moduleCount = 1
  /// The threads, 1 to 128.
  public var threads: [ThreadPlan]
  /// How writers are admitted.
  public var scheme = SimulatedScheme.fixed(.open)
  /// How long the threads run ungated before the scheme takes over; 0 is a clean start.
  public var saturation = TimeSpan.zero
  /// The longest delay of any access.
  public var maximumDelay = TimeSpan.microseconds(100)
  /// What the controller sees of the counters.
  public var channel = CounterChannel()
  /// The source of all randomness.
  public var seed: UInt64 = 1

  /// The most threads of a simulation.
  public static let threadCountMax = 128

  /// Makes a configuration with the defaults.
  public init(profile: DeviceProfile, threads: [ThreadPlan]) {
    self.profile = profile
    self.threads = threads
  }

  /// What makes the configuration impossible, as one clause; nil where it is sound.
  public var problem: String? {
    if !(1...12).contains(moduleCount) { return "\(moduleCount) modules are not within 1...12" }
    if !(1...Self.threadCountMax).contains(threads.count) {
      return "\(threads.count) threads are not within 1...128"
    }
    if maximumDelay < .zero { return "maximum delay is negative" }
    if saturation < .zero { return "saturation time is negative" }
    for parameter in ProfileParameter.all {
      let value = parameter.get(profile)
      if !parameter.range.contains(value) {
        return "profile parameter \(parameter.key) is \(value), not within \(parameter.range)"
      }
    }
    let recordedCount = threads.count { $0.recorded != nil }
    if recordedCount > 0 && recordedCount < threads.count {
      return "recorded threads and threads with workloads do not share a machine"
    }
    for plan in threads {
      if let recorded = plan.recorded {
        if let problem = recorded.problem { return problem }
        continue
      }
      guard let first = plan.phases.first, first.start == .zero else {
        return "a thread's first phase does not begin at 0"
      }
      for (before, after) in zip(plan.phases, plan.phases.dropFirst())
      where after.start <= before.start {
        return "a thread's phases do not begin one after the other"
      }
      for phase in plan.phases {
        if let problem = phase.workload?.problem { return problem }
      }
    }
    if case .controlled(_, let period) = scheme, period < .microseconds(1) {
      return "a controller's period of \(period) is shorter than 1us"
    }
    return nil
  }
}
