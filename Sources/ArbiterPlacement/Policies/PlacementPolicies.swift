// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// All policies, by the names that they have in options and reports.
public enum PlacementPolicies {
  /// The names, Arbiter's own first.
  public static let names = [
    "arbiter", "hemem-paper", "hemem-release", "scan", "first-touch", "random",
  ]

  /// Makes the policy of a name, the random one from the seed; nil where there is none.
  public static func named(_ name: String, seed: UInt64 = 1) -> (any PlacementPolicy)? {
    switch name {
    case "arbiter": AdaptivePlacement()
    case "hemem-paper": HeMemPlacement(.paper)
    case "hemem-release": HeMemPlacement(.release)
    case "scan": ScanPlacement()
    case "first-touch": FirstTouchPlacement()
    case "random": RandomPlacement(seed: seed)
    default: nil
    }
  }
}
