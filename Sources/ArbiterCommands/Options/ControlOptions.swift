// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import CommandSpec

/// Options of every verb in which a controller decides on delays.
struct ControlOptions: Equatable {
  var period: TimeSpan
  var maxDelay = TimeSpan.microseconds(100)

  /// Options whose controller looks at the counters once in a period.
  init(period: TimeSpan) {
    self.period = period
  }

  static let options: [OptionSpec<ControlOptions>] = [
    .init("period", \.period, help: "How often a controller looks at the counters."),
    .init("max-delay", \.maxDelay, help: "Longest delay of any access."),
  ]

  func validate() throws(UsageError) {
    try checkTime("period", period, .microseconds(10) ... .seconds(10))
    try checkTime("max-delay", maxDelay, .zero ... .seconds(1))
  }
}
