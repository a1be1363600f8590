// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The controller of the scheme `arbiter`.
//
// A delay alone has two steady states from about 12 writers on: threads that once filled their
// store windows keep them full, and the delay passes while they wait anyway. A store fence at each
// media block empties the window, and with it the second state is gone. So every gate fences at
// block boundaries and spaces its blocks; the distance between two blocks of one thread is
//
//      spacing = headroom × writers × 256 B ÷ media write bandwidth
//
// An amplified block costs a media write like any other, so that random writers are spaced by the
// same rule. The bandwidth is the best that was measured lately, so the rule needs no model of the
// device. With headroom below 1 the gates press: a little more is asked than the medium gives, and
// a little more still while it keeps up. Once the bandwidth is known the gates ease (Easing.swift).
//
//             writers ≥ 2, amplified      gates store ≥ 2 % more, twice
//     open ───────────────────────► trial ───────────────────────► engaged
//      ▲ ▲                            │                              │
//      │ └── no gain: wait 50, 100 … ─┘                              │ rate fell, medium idle,
//      │     3200 periods, or until the load looks different         │ or the review is due
//      │                                                             ▼
//      └─────────────── one period open, then a trial ──────────── review
//
// Open because the others left, it goes straight back to engaged when a gate says that they return:
// what paid before is no longer in doubt, and a review follows should it not pay this time.
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
    /// Factor on that share per period in which the gates hold the medium back.
    public var climb = 0.85
    /// Factor on that share per period in which they do not.
    public var restore = 1.02
    /// The least such share: as good as no delay, and still something to multiply.
    public var leastHeadroom = 0.02
    /// Share of the best known media bandwidth below which the medium is held back.
    public var idleFloor = 0.97
    /// Share of the neutral spacing that is asked for while easing; above 1.
    public var easedHeadroom = 1.01
    /// Share of the pressed rate that easing must keep.
    public var easedRateFloor = 0.975
    /// Share of the load on the medium below which somebody else must have left it.
    public var easedLoadFloor = 0.93
    /// Periods of the first easing; each that holds is followed by one twice as long.
    public var firstEasedPeriods = 64
    /// Periods of the longest easing.
    public var lastEasedPeriods = 512
    /// Share of the neutral spacing in a trial, which starts from too much rather than too little.
    ///
    /// With a fence at every block that costs latency, not bandwidth.
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

  private let maximumDelayNanoseconds: Double
  private let tuning: Tuning
  private var tracker: CounterTracker
  private var state = State.open
  private var periodsInState = 0
  /// Periods of the trial that stored enough more.
  private var payingPeriods = 0
  /// Whether the trial repeats one that paid; reviews that confirm it become rarer.
  private var isReviewing = false
  /// What the gates had done at the time of the last snapshot that was news.
  private var lastActivity: GateActivity?
  private var lastTimeNanoseconds: Int64?
  private var mediaBandwidth: MovingAverage
  private var bestMediaBandwidth = 0.0
  /// Media writes + media reads ÷ 3, smoothed, in bytes per second.
  private var equivalentBandwidth = 0.0
  /// Bytes per second that a trial is measured against.
  private var openRate = 0.0
  /// What the gates store while open, smoothed, and how it is amplified.
  private var usualOpenRate: MovingAverage
  private var usualAmplification: MovingAverage
  /// What they store while engaged, smoothed.
  private var engagedRate: MovingAverage
  private var rejected: Signature?
  /// Whether the last trial paid.
  private var hasPaid = false
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
    usualOpenRate = MovingAverage(weight: tuning.weight)
    usualAmplification = MovingAverage(weight: tuning.weight)
    retryPeriods = tuning.firstRetryPeriods
    reviewPeriods = tuning.firstRetryPeriods
    headroom = tuning.headroom
  }

  /// The state in one word.
  public var phase: String {
    state == .engaged && easing.isEased ? "eased" : state.rawValue
  }

  /// Takes in the end of a period; see the file comment.
  public mutating func step(snapshot: CounterSnapshot, activity: GateActivity) -> GateSettings {
    let view = tracker.add(snapshot)
    registered = max(0, activity.registeredCount)
    // Gates that wrote and have left since count no longer.
    writers = min(max(0, activity.writerCount), registered)
    let last = exchangeActivity(activity, at: snapshot)
    if view != nil { periodsInState += 1 }
    if !snapshot.seesAmplification { hasPaid = false }
    if !snapshot.seesAmplification || writers < 2 {
      if state != .open { enter(.open) }
      return settings
    }
    guard let view, let media = view.mediaBandwidth, let last,
      activity.storedBytes >= last.storedBytes
    else { return settings }
    let rate = Double(activity.storedBytes - last.storedBytes) / view.seconds
    let average = mediaBandwidth.add(media)
    let load = media + (view.mediaReadBandwidth ?? 0) / 3
    equivalentBandwidth += tuning.weight * (load - equivalentBandwidth)
    bestMediaBandwidth = max(average, bestMediaBandwidth * 0.999)
    let wasEngaged = state == .engaged
    switch state {
    case .open: judgeOpen(rate: rate, amplification: view.writeAmplification)
    case .trial: judgeTrial(rate: rate, amplification: view.writeAmplification)
    case .engaged: judgeEngaged(rate: rate, media: average)
    case .review: judgeReview(rate: rate, amplification: view.writeAmplification)
    }
    if wasEngaged && state == .engaged {
      easing.step(
        rate: rate, openRate: openRate, media: average, load: equivalentBandwidth,
        isClimbing: headroom < tuning.headroom, tuning: tuning)
    }
    if state == .trial || state == .engaged {
      headroom = nextHeadroom(media: media, average: average)
      settings = engagedSettings()
    }
    return settings
  }

  /// Remembers what the gates have done, and returns what they had at the snapshot before.
  ///
  /// A snapshot that brings no new counters does not count, so that the bytes of the gates and
  /// those of the module always belong to the same span of time.
  private mutating func exchangeActivity(
    _ activity: GateActivity, at snapshot: CounterSnapshot
  ) -> GateActivity? {
    guard snapshot.source != .unavailable, snapshot.timeNanoseconds != lastTimeNanoseconds else {
      return lastActivity
    }
    defer { lastActivity = activity }
    lastTimeNanoseconds = snapshot.timeNanoseconds
    return lastActivity
  }

  /// Asks for more while the gates hold back what the medium could write.
  ///
  /// They do where it wrote all that the spacing in force let through, and where it wrote less than
  /// it is known to write: threads that also think do not use the turns that they are given.
  private func nextHeadroom(media: Double, average: Double) -> Double {
    if state == .trial { return tuning.trialHeadroom }
    if easing.isEased { return tuning.easedHeadroom }
    guard settings.delayNanoseconds > 0 else { return tuning.headroom }
    let asked = Double(writers) * 256 / settings.delayNanoseconds * 1e9
    if media > asked * 0.995 || average < bestMediaBandwidth * tuning.idleFloor {
      return max(headroom * tuning.climb, tuning.leastHeadroom)
    }
    return min(headroom * tuning.restore, tuning.headroom)
  }

  /// Rescales the spacing at once; the counters will confirm it later.
  public mutating func registrationChanged(registeredCount: Int) -> GateSettings {
    let before = registered
    registered = max(0, registeredCount)
    if registered < 2 {
      if state != .open { enter(.open) }
    } else if state == .open && before < 2 && hasPaid {
      writers = registered
      enter(.engaged)
      press()
    } else if (state == .trial || state == .engaged) && before > 0 {
      let scaled = Double(writers) * Double(registered) / Double(before)
      writers = max(2, Int(min(scaled, Double(Int32.max))))
      press()
    }
    return settings
  }

  /// Starts over with pressing: what other gates stored is no measure of these.
  private mutating func press() {
    easing = Easing()
    headroom = tuning.headroom
    settings = engagedSettings()
  }

  private mutating func judgeOpen(rate sample: Double, amplification shown: Double?) {
    // One period may show half a burst, and a trial must not win against a weak moment.
    let rate = usualOpenRate.add(sample)
    openRate = max(sample, rate)
    guard let shown else { return }
    let amplification = usualAmplification.add(shown)
    guard amplification >= tuning.amplificationFloor else { return }
    openAmplification = amplification
    if let rejected {
      let isOther =
        hasChanged(Double(writers), from: Double(rejected.writers))
        || hasChanged(rate, from: rejected.rate)
        || hasChanged(amplification, from: rejected.amplification)
      // A load that looks different is tried at once, one that always does ever more rarely too.
      let shortening = isOther ? tuning.firstRetryPeriods : 1
      if periodsInState < retryPeriods / shortening { return }
      let isSettled = periodsInState * tuning.firstRetryPeriods > tuning.lastRetryPeriods * 2
      retryPeriods =
        isOther && isSettled
        ? tuning.firstRetryPeriods : min(retryPeriods * 2, tuning.lastRetryPeriods)
    }
    isReviewing = false
    enter(.trial)
  }

  private func hasChanged(_ value: Double, from usual: Double) -> Bool {
    abs(value / usual - 1) > tuning.changeFloor
  }

  private mutating func judgeTrial(rate: Double, amplification: Double?) {
    // The first period still drains the windows that the open gates filled, and one good period
    // alone may be chance: two of three must pay.
    if rate >= openRate * tuning.gainFloor { payingPeriods += 1 }
    if payingPeriods >= 2 {
      rejected = nil
      hasPaid = true
      retryPeriods = tuning.firstRetryPeriods
      if !isReviewing { reviewPeriods = tuning.firstRetryPeriods }
      engagedRate = MovingAverage(weight: tuning.weight)
      engagedRate.add(rate)
      easing = Easing()
      headroom = tuning.headroom
      enter(.engaged)
    } else if periodsInState - payingPeriods >= 2 {
      rejected = Signature(
        writers: writers, rate: usualOpenRate.value ?? openRate, amplification: openAmplification)
      hasPaid = false
      enter(.open)
    }
  }

  private mutating func judgeEngaged(rate: Double, media: Double) {
    let usual = engagedRate.value ?? rate
    let hasFallen = rate < usual * (1 - tuning.changeFloor) && periodsInState >= 2
    let isMediumIdle = media < bestMediaBandwidth * 0.8 && periodsInState >= 4
    engagedRate.add(rate)
    if hasFallen || isMediumIdle || periodsInState >= reviewPeriods {
      isReviewing = !hasFallen
      if isReviewing { reviewPeriods = min(reviewPeriods * 2, tuning.lastRetryPeriods) }
      bestMediaBandwidth = media
      enter(.review)
    }
  }

  private mutating func judgeReview(rate: Double, amplification: Double?) {
    openRate = max(rate, usualOpenRate.add(rate))
    enter(.trial)
    settings = engagedSettings()
  }

  private mutating func enter(_ next: State) {
    state = next
    periodsInState = 0
    payingPeriods = 0
    if next == .open || next == .review { settings = .open }
  }

  private func engagedSettings() -> GateSettings {
    let isEased = state == .engaged && easing.isEased
    let bandwidth = isEased ? easing.mediaBandwidth : bestMediaBandwidth
    let spacing =
      bandwidth > 0 ? headroom * Double(writers) * 256 / bandwidth * 1e9 : 0
    return GateSettings(
      delayNanoseconds: min(max(0, spacing), maximumDelayNanoseconds), point: .block,
      anchor: .previous, isFencedAtBlocks: true)
  }
}
