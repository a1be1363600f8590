// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// Where an engaged controller is between pressing (the medium is asked for a little more than it
// gives, so that it is always busy and a queue stands before it) and easing (for a little less, so
// that the queue is gone).
//
//      pressed ──── known bandwidth, not climbing ────► eased
//         ▲                                               │ stored less than while pressed,
//         └───────────────────────────────────────────────┘ others left the medium, or time is up
//
// Easing that held comes back after one pressed period, for twice as long. Easing that did not hold
// comes back after pressing for as long as it was meant to last.

/// The decision of an engaged controller between bandwidth to the last per cent and latency.
struct Easing: Sendable {
  /// Whether the spacing leaves the medium a little idle.
  private(set) var isEased = false
  /// Media write bandwidth, in bytes per second, when easing began.
  private(set) var mediaBandwidth = 0.0

  /// Periods since the last change between the two.
  private var periods = 0
  /// Periods that the present mode lasts; the first four settle the averages.
  private var length = 4
  /// Periods of the next easing.
  private var next = 0
  /// Equivalent write bandwidth when easing began.
  private var easedLoad = 0.0
  /// The most that the gates stored in a pressed period, in bytes per second.
  private var pressedRate = 0.0

  /// Decides whether to press or to ease in the next period.
  ///
  /// - Parameters:
  ///   - rate: Bytes per second that the gates stored in this period.
  ///   - openRate: The same while the gates were open.
  ///   - media: Media write bandwidth.
  ///   - load: Equivalent write bandwidth of everybody.
  ///   - isClimbing: Whether the medium keeps up with all that is asked of it.
  ///   - tuning: The numbers of the method.
  mutating func step(
    rate: Double, openRate: Double, media: Double, load: Double, isClimbing: Bool,
    tuning: AdaptiveController.Tuning
  ) {
    periods += 1
    if isEased {
      // Easing must keep what pressing had, and what made the trial worth while.
      let floor = max(pressedRate * tuning.easedRateFloor, openRate * tuning.gainFloor)
      let holds = rate >= floor
      let isRelieved = load < easedLoad * tuning.easedLoadFloor
      if holds && !isRelieved && periods < length { return }
      isEased = false
      length = holds ? 1 : max(tuning.firstEasedPeriods, next)
      next = min(max(next, tuning.firstEasedPeriods) * 2, tuning.lastEasedPeriods)
      pressedRate = 0
    } else {
      pressedRate = max(rate, pressedRate)
      guard periods >= length, !isClimbing else { return }
      isEased = true
      length = max(next, tuning.firstEasedPeriods)
      mediaBandwidth = media
      easedLoad = load
    }
    periods = 0
  }
}
