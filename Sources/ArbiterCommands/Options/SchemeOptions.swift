// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterScheduler
internal import CommandSpec

/// Options of every verb that makes one run for each scheme.
struct SchemeOptions: Equatable {
  var schemes: [SchemeName] = [.baseline, .arbiter]
  var delay: TimeSpan?
  var delayAt = DelayPlace.block
  var control: ControlOptions

  /// Options whose controller looks at the counters once in a period.
  init(period: TimeSpan) {
    control = ControlOptions(period: period)
  }

  /// The fixed delay as settings; nil where a scheme decides.
  func fixedSettings(isFenced: Bool = false) -> GateSettings? {
    delay.map {
      GateSettings(
        delayNanoseconds: $0.nanoseconds, point: delayAt.point, isFencedAtBlocks: isFenced)
    }
  }

  /// The options; schemes that leave room for a fixed delay are named in the help on it.
  static func group(fixedDelayWith allowed: [SchemeName]) -> OptionGroup<SchemeOptions> {
    let names = allowed.map(\.rawValue).joined(separator: " and ")
    return OptionGroup(
      "Scheme",
      [
        .init(
          "scheme", \.schemes, placeholder: "<SCHEME,...>",
          help: "How writers are admitted; each is a run."),
        .init(
          "delay", \.delay,
          help: "Fixed delay before accesses; goes with the "
            + "\(allowed.count > 1 ? "schemes" : "scheme") \(names)."),
        .init("delay-at", \.delayAt, help: "Where the fixed delay falls due."),
      ] + ControlOptions.options.map { $0.within(\.control) })
  }

  func validate(fixedDelayWith allowed: [SchemeName]) throws(UsageError) {
    try control.validate()
    try checkDelay(delay, with: schemes, allowed: allowed, maximum: control.maxDelay)
  }
}
