// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterCore
public import ArbiterScheduler

extension SimulatedScheme {
  /// The scheme that options and results call by a name.
  ///
  /// - Parameters:
  ///   - name: The name.
  ///   - maximumDelay: The longest delay of any access.
  ///   - period: How often a controller looks at the counters.
  /// - Returns: The scheme with its default parameters.
  public static func named(
    _ name: SchemeName, maximumDelay: TimeSpan, period: TimeSpan
  ) -> SimulatedScheme {
    switch name {
    case .baseline: .fixed(.open)
    case .lock: .lock(LockParameters())
    case .delegation: .delegation(DelegationParameters())
    case .fence: .fixed(GateSettings(isFencedAtBlocks: true))
    case .arbiter:
      .controlled(AdaptiveController(maximumDelay: maximumDelay), period: period)
    case .arbiterPaper:
      .controlled(PaperController(maximumDelay: maximumDelay), period: period)
    }
  }
}
