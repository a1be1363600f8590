// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The controller of the scheme `arbiter`.
//
// A delay alone has two steady states from about 12 writers on: threads that once filled their store
// windows keep them full, and the delay passes while they wait anyway. A store fence at each media
// block empties the window, and with it the second state is gone. So every gate fences at block
// boundaries and spaces its blocks; the distance between two blocks of one thread is
//
//      spacing = headroom × writers × 256 B ÷ media write bandwidth
//
// The bandwidth is the one measured while this very spacing was in force. With headroom below 1 the
// rule has one fixed point: as long as the medium keeps up, each period asks for a little more;
// once it does not, the measured bandwidth is the medium's own. No model of the device, no set
// point, no gain to tune. Once that bandwidth is known the spacing is eased to just above neutral:
// the medium stays 99 % busy and the queue in front of it empties, which about halves the latency.
// Every now and then the gates press again, to see whether there is more to be had. An amplified block costs a media write like any other, so that random
// writers are paced by the same rule.
//
//             writers ≥ 2, amplified        gates store ≥ 2 % more
//     open ───────────────────────► trial ───────────────────────► engaged
//      ▲  ◄───────────────────────────┘                              │
//      │        no gain: wait 50, 100 … 3200 periods                 │ rate fell, medium idle,
//      │        or until the load looks different                    │ or the review is due
//      └──────────────────────────────── review ◄────────────────────┘
//                 open was as good                (one period open; back to engaged if it was worse)
//
// Invariants
//   C1  the delay lies within 0...maximum
//   C2  without counters the gates are open
//   C3  a state other than open is left for open within one period when one writer remains
//   C4  what decides is what the gates stored, not a ratio: a scheme that helps the counters and
//       hurts its own writers is dropped

public import ArbiterCore
public import ArbiterDevice
internal import ArbiterMetrics

/// Fences at media-block boundaries, spaces the blocks, and checks that it pays.
public struct AdaptiveController: Controller {
  /// The numbers of the method; the defaults are used by the command line.
  public struct Tuning: Sendable, Hashable {
    /// Share of the neutral spacing that is asked for while pressing; below 1.
    public var headroom = 0.98
    /// The same while easing; above 1.
    public var easedHeadroom = 1.01
    /// Share of the pressed rate that easing must keep.
    public var easedRateFloor = 0.975
    /// Share of the load on the medium below which somebody else must have left it.
    public var easedLoadFloor = 0.93
    /// Periods of the first easing; each that holds is followed by one twice as long.
    public var firstEasedPeriods = 64
    /// Periods of the longest easing.
    public var lastEasedPeriods = 512
    /// The same while the medium still keeps up with what is asked of it.
    public var climb = 0.85
    /// The same in a trial, which starts from too much rather than too little: with a fence at
    /// every block that costs latency, not bandwidth.
    public var trialHeadroom = 0.5
    /// Weight of a period in the averages.
    public var weight = 0.5
    /// Amplification from which a trial is worth a period.
    public var amplificationFloor = 1.03
    /// Gain in stored bytes that a trial must show.
    public var gainFloor = 1.02
    /// Relative change of rate or amplification that counts as another load.
    public var changeFloor = 0.2
    /// Periods until the first retry after a trial that did not pay.
    public var firstRetryPeriods = 50
    /// Periods between retries at most.
    public var lastRetryPeriods = 3200

    /// Makes the default tuning.
    public init() {}
  }

  private enum State: String {
    case open
    case trial
    case engaged
    case review
  }

  /// What a load looks like from outside.
  private struct Signature {
    var writers: Int
    var rate: Double
    var amplification: Double
  }

  /// Where an engaged controller is between pressing and easing.
  private struct Easing {
    var isEased = false
    /// Periods since the last change between the two.
    var periods = 0
    /// Periods that the present mode lasts.
    var length = 2
    /// Periods of the next easing.
    var next = 0
    /// Media write bandwidth when easing began.
    var mediaBandwidth = 0.0
    /// Equivalent write bandwidth when easing began.
    var load = 0.0
    /// The most that the gates stored in a pressed period, in bytes per second.
    var rate = 0.0
  }

  private let maximumDelayNanoseconds: Double
  private let tuning: Tuning
  private var tracker: CounterTracker
  private var state = State.open
  private var periodsInState = 0
  private var lastActivity: GateActivity?
  private var mediaBandwidth: MovingAverage
  private var bestMediaBandwidth = 0.0
  /// Media writes + media reads ÷ 3, smoothed, in bytes per second.
  private var equivalentBandwidth = 0.0
  /// Bytes per second that the gates stored while open.
  private var openRate = 0.0
  /// The same while engaged, smoothed.
  private var engagedRate: MovingAverage
  private var rejected: Signature?
  private var retryPeriods: Int
  private var reviewPeriods: Int
  private var openAmplification = 0.0
  private var headroom: Double
  private var easing = Easing()
  private var writers = 0
  private var registered = 0

  /// The settings in force.
  public private(set) var settings = GateSettings.open

  /// Makes a controller that has seen nothing and leaves the gates open.
  ///
  /// - Parameters:
  ///   - maximumDelay: The longest delay it will ask for.
  ///   - tuning: The numbers of the method.
  ///   - tracker: How counters are read.
  public init(
    maximumDelay: TimeSpan, tuning: Tuning = Tuning(), tracker: CounterTracker = CounterTracker()
  ) {
    precondition(maximumDelay >= .zero, "negative maximum delay")
    maximumDelayNanoseconds = maximumDelay.nanoseconds
    self.tuning = tuning
    self.tracker = tracker
    mediaBandwidth = MovingAverage(weight: tuning.weight)
    engagedRate = MovingAverage(weight: tuning.weight)
    retryPeriods = tuning.firstRetryPeriods
    reviewPeriods = tuning.firstRetryPeriods * 4
    headroom = tuning.headroom
  }

  /// The state in one word.
  public var phase: String { state.rawValue }

  /// Takes in the end of a period; see the file comment.
  public mutating func step(snapshot: CounterSnapshot, activity: GateActivity) -> GateSettings {
    let view = tracker.add(snapshot)
    defer { lastActivity = activity }
    registered = activity.registeredCount
    // Gates that wrote and have left since count no longer.
    writers = min(activity.writerCount, activity.registeredCount)
    guard let view, let last = lastActivity, let media = view.mediaBandwidth else {
      if snapshot.source == .unavailable && state != .open { enter(.open) }
      return settings
    }
    periodsInState += 1
    let rate = Double(activity.storedBytes - last.storedBytes) / view.seconds
    let average = mediaBandwidth.add(media)
    let load = media + (view.mediaReadBandwidth ?? 0) / 3
    equivalentBandwidth += tuning.weight * (load - equivalentBandwidth)
    bestMediaBandwidth = max(average, bestMediaBandwidth * 0.999)
    if writers < 2 {
      if state != .open { enter(.open) }
      openRate = rate
      return settings
    }
    switch state {
    case .open: judgeOpen(rate: rate, amplification: view.writeAmplification)
    case .trial: judgeTrial(rate: rate, amplification: view.writeAmplification)
    case .engaged: judgeEngaged(rate: rate, media: average)
    case .review: judgeReview(rate: rate, amplification: view.writeAmplification)
    }
    if state == .trial || state == .engaged {
      if state == .engaged { ease(rate: rate) }
      headroom = nextHeadroom(media: media)
      settings = engagedSettings()
    }
    return settings
  }

  /// Decides whether to press or to ease in the next period.
  private mutating func ease(rate: Double) {
    easing.periods += 1
    if easing.isEased {
      // Easing must keep what pressing had, and what made the trial worth while.
      let floor = max(easing.rate * tuning.easedRateFloor, openRate * tuning.gainFloor)
      let holds = rate >= floor
      // Somebody else left the medium: there may be more to be had.
      let isRelieved = equivalentBandwidth < easing.load * tuning.easedLoadFloor
      if holds && !isRelieved && easing.periods < easing.length { return }
      // What did not hold is tried again only after pressing for as long as it might have lasted.
      press(for: holds ? 1 : max(tuning.firstEasedPeriods, easing.next))
      easing.next = min(max(easing.next, tuning.firstEasedPeriods) * 2, tuning.lastEasedPeriods)
    } else {
      easing.rate = max(rate, easing.rate)
      guard easing.periods >= easing.length, headroom >= tuning.headroom else { return }
      easing.isEased = true
      easing.periods = 0
      easing.length = max(easing.next, tuning.firstEasedPeriods)
      easing.mediaBandwidth = mediaBandwidth.value ?? 0
      easing.load = equivalentBandwidth
    }
  }

  private mutating func press(for periods: Int) {
    easing.isEased = false
    easing.periods = 0
    easing.length = periods
    easing.rate = 0
  }

  /// Asks for more while the medium wrote all that the spacing in force let through.
  private func nextHeadroom(media: Double) -> Double {
    if state == .trial { return tuning.trialHeadroom }
    if easing.isEased { return tuning.easedHeadroom }
    guard settings.delayNanoseconds > 0 else { return tuning.headroom }
    let asked = Double(writers) * 256 / settings.delayNanoseconds * 1e9
    return media > asked * 0.995 ? tuning.climb : tuning.headroom
  }

  /// Rescales the spacing at once; the counters will confirm it later.
  public mutating func registrationChanged(registeredCount: Int) -> GateSettings {
    let before = registered
    registered = registeredCount
    guard state == .trial || state == .engaged, before > 0 else { return settings }
    if registeredCount < 2 {
      enter(.open)
      return settings
    }
    writers = max(2, writers * registeredCount / before)
    // What the others stored is no measure any more.
    press(for: 2)
    headroom = tuning.headroom
    settings = engagedSettings()
    return settings
  }

  private mutating func judgeOpen(rate: Double, amplification: Double?) {
    openRate = rate
    guard let amplification, amplification >= tuning.amplificationFloor else { return }
    openAmplification = amplification
    if let rejected {
      let isOther =
        rejected.writers != writers
        || abs(rate / rejected.rate - 1) > tuning.changeFloor
        || abs(amplification / rejected.amplification - 1) > tuning.changeFloor
      if isOther { retryPeriods = tuning.firstRetryPeriods }
      if !isOther && periodsInState < retryPeriods { return }
      if !isOther { retryPeriods = min(retryPeriods * 2, tuning.lastRetryPeriods) }
    }
    enter(.trial)
  }

  private mutating func judgeTrial(rate: Double, amplification: Double?) {
    // The first period still drains the windows that the open gates filled.
    if rate >= openRate * tuning.gainFloor {
      rejected = nil
      retryPeriods = tuning.firstRetryPeriods
      reviewPeriods = tuning.firstRetryPeriods * 4
      engagedRate = MovingAverage(weight: tuning.weight)
      engagedRate.add(rate)
      easing = Easing()
      enter(.engaged)
    } else if periodsInState >= 2 {
      rejected = Signature(writers: writers, rate: openRate, amplification: openAmplification)
      enter(.open)
    }
  }

  private mutating func judgeEngaged(rate: Double, media: Double) {
    let usual = engagedRate.value ?? rate
    let hasFallen = rate < usual * (1 - tuning.changeFloor) && periodsInState >= 2
    let isMediumIdle = media < bestMediaBandwidth * 0.8 && periodsInState >= 4
    engagedRate.add(rate)
    if hasFallen || isMediumIdle || periodsInState >= reviewPeriods {
      if !hasFallen { reviewPeriods = min(reviewPeriods * 2, tuning.lastRetryPeriods) }
      bestMediaBandwidth = media
      enter(.review)
    }
  }

  private mutating func judgeReview(rate: Double, amplification: Double?) {
    openRate = rate
    enter(.trial)
    settings = engagedSettings()
  }

  private mutating func enter(_ next: State) {
    state = next
    periodsInState = 0
    if next == .open || next == .review { settings = .open }
  }

  private func engagedSettings() -> GateSettings {
    let isEased = state == .engaged && easing.isEased
    let bandwidth = isEased ? easing.mediaBandwidth : mediaBandwidth.value ?? 0
    let spacing =
      bandwidth > 0 ? headroom * Double(writers) * 256 / bandwidth * 1e9 : 0
    return GateSettings(
      delayNanoseconds: min(max(0, spacing), maximumDelayNanoseconds), point: .block,
      anchor: .previous, isFencedAtBlocks: true)
  }
}
