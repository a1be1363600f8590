// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Whether all is done as fast as can be, as what is hot has just become something else.
///
/// Begins with news and goes on for as long as it brings something, never longer than so many
/// seconds at a time, and for no more than a share of the time in the long run.
struct Haste: Sendable {
  private(set) var isOn = false
  /// Seconds for which it may last yet.
  private var left: Double
  /// Seconds for which it lasts without bringing anything.
  private var patience = 0.0
  private let secondsMax: Double
  private let share: Double

  init(secondsMax: Double, share: Double) {
    self.secondsMax = secondsMax
    self.share = share
    left = secondsMax
  }

  /// Time passes.
  ///
  /// - Parameters:
  ///   - seconds: Since the last step.
  ///   - news: With news, the seconds after which haste should have brought something; else nil.
  ///   - brings: Whether it does.
  mutating func advance(seconds: Double, news: Double?, brings: Bool) {
    left = min(secondsMax, left + seconds * share)
    if isOn { left -= seconds }
    patience = news ?? max(0, patience - seconds)
    isOn = left > 0 && (patience > 0 || (isOn && brings))
  }
}
