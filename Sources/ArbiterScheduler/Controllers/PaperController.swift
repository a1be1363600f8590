// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The controller of the scheme `arbiter-paper`: the loop of the Arbiter paper, section IV.
//
// The paper states: act once the write amplification and the number of threads both exceed a
// threshold; estimate the effective bandwidth by an exponentially weighted moving average; adjust
// the delay before each access by a PID controller whose parameters were tuned by hand. It states
// no number, no set point and no period. What is filled in here, and is ours:
//
//   - the error is the distance between consumed and effective bandwidth, both averaged, as a share
//     of the consumed, less the share that the amplification threshold allows; it may be negative;
//   - the delay is added before every access, from 0 on;
//   - with no more threads than the threshold, the delay decays by half per period.
//
// On the model the loop never settles. Raised from 0 it sees no gradient while the store windows
// stay full, overshoots the best delay two to three times, and comes down on the other branch until
// it falls off. On average it gains a few to some forty per cent, the more the more threads there
// are, which is what the paper reports and far from what the module could give.

public import ArbiterCore
public import ArbiterDevice
internal import ArbiterMetrics

/// The adaptive delay as the paper describes it.
public struct PaperController: Controller {
  /// The numbers that the paper leaves open.
  public struct Tuning: Sendable, Hashable {
    /// Amplification that the loop steers for.
    public var amplificationThreshold = 1.3
    /// Threads above which the loop acts.
    public var threadThreshold = 4
    /// Weight of a period in the bandwidth averages.
    public var weight = 0.5
    /// Nanoseconds per unit of error.
    public var proportional = 40.0
    /// Nanoseconds per unit of error and period.
    public var integral = 600.0
    /// Nanoseconds per unit of change of the error.
    public var derivative = 20.0

    /// Makes the default tuning.
    public init() {}
  }

  private let maximumDelayNanoseconds: Double
  private let tuning: Tuning
  private var tracker: CounterTracker
  private var effective: MovingAverage
  private var consumed: MovingAverage
  private var lastError = 0.0
  private var integralNanoseconds = 0.0

  /// The settings in force.
  public private(set) var settings = GateSettings.open

  /// The state in one word.
  public private(set) var phase = "open"

  /// Makes a controller that starts without a delay.
  ///
  /// - Parameters:
  ///   - maximumDelay: The longest delay it will ask for.
  ///   - tuning: The numbers that the paper leaves open.
  ///   - tracker: How counters are read.
  public init(
    maximumDelay: TimeSpan, tuning: Tuning = Tuning(), tracker: CounterTracker = CounterTracker()
  ) {
    precondition(maximumDelay >= .zero, "negative maximum delay")
    maximumDelayNanoseconds = maximumDelay.nanoseconds
    self.tuning = tuning
    self.tracker = tracker
    effective = MovingAverage(weight: tuning.weight)
    consumed = MovingAverage(weight: tuning.weight)
  }

  /// Takes in the end of a period; see the file comment.
  public mutating func step(snapshot: CounterSnapshot, activity: GateActivity) -> GateSettings {
    guard let view = tracker.add(snapshot), let bandwidth = view.effectiveBandwidth,
      let media = view.mediaBandwidth
    else {
      if !snapshot.seesAmplification {
        integralNanoseconds = 0
        set(0, phase: "open")
      }
      return settings
    }
    let average = effective.add(bandwidth)
    let mediaAverage = consumed.add(media)
    guard view.writeAmplification != nil, mediaAverage > 0 else { return settings }
    let error = 1 - average / mediaAverage - (1 - 1 / tuning.amplificationThreshold)
    if activity.writerCount > tuning.threadThreshold {
      integralNanoseconds = max(0, integralNanoseconds + tuning.integral * error)
      let correction = tuning.proportional * error + tuning.derivative * (error - lastError)
      set(integralNanoseconds + correction, phase: error > 0 ? "raise" : "lower")
    } else {
      integralNanoseconds /= 2
      set(integralNanoseconds < 1 ? 0 : integralNanoseconds, phase: "open")
    }
    lastError = error
    return settings
  }

  /// Leaves the delay as it is: the paper adapts once per period.
  public mutating func registrationChanged(registeredCount: Int) -> GateSettings { settings }

  private mutating func set(_ nanoseconds: Double, phase: String) {
    self.phase = phase
    integralNanoseconds = min(integralNanoseconds, maximumDelayNanoseconds)
    let delay = min(max(0, nanoseconds), maximumDelayNanoseconds)
    settings = GateSettings(delayNanoseconds: delay, point: .access, anchor: .arrival)
  }
}
