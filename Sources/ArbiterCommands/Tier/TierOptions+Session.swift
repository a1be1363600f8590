// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlacement
internal import ArbiterTiering
internal import CommandSpec

extension TierOptions {
  /// What the session is given.
  func configuration() throws -> TierConfiguration {
    guard let fast, let slow else { throw UsageError("--fast and --slow are missing", hint: "") }
    var configuration = TierConfiguration(
      fastBytes: UInt64(fast.bytes), slow: slow, policy: try policy.make(seed: seed))
    configuration.slowBytes = slowSize.map { UInt64($0.bytes) }
    configuration.usesHugePages = asksForHugePages
    configuration.managesHeaps = !leavesHeaps
    configuration.tracker = tracker.backEnd
    configuration.backEnd = backEnd.kind
    if let choice = try slowTiming(of: slow) {
      configuration.slowTiming = choice.timing
      configuration.slowTimingSource = choice.source
    }
    return configuration
  }

  private func slowTiming(of slow: SlowMemory) throws -> SlowTimingChoice? {
    if let profile { return try SlowTimingChoice(named: profile) }
    guard case .path(let path) = slow else { return nil }
    return SlowTimingChoice.measured(path)
  }

  /// Where the heat map goes; nil where nobody wants one.
  ///
  /// - Throws: ``Failure`` where it could not be written.
  func heatPlace(command: [String]) throws(Failure) -> HeatPlace? {
    guard let heat else { return nil }
    var options = HeatOptions()
    options.output.output = heat
    // What stands below the picture is in the summary already.
    options.output.isQuiet = true
    return try HeatPlace(
      options, command: command, leavesStandardOutput: true, option: "heat")
  }
}

extension TierPolicyWord {
  /// Makes the policy.
  func make(seed: UInt64) throws(Failure) -> any PlacementPolicy {
    guard let policy = PlacementPolicies.named(rawValue, seed: seed) else {
      throw Failure(ExitCode.ourFault, "there is no policy \(rawValue)")
    }
    return policy
  }
}
