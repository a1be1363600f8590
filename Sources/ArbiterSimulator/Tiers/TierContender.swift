// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlacement

/// Something that decides where data lies, with what belongs to it.
public struct TierContender: Sendable {
  /// How it decides.
  public enum Kind: Sendable {
    /// By a policy, from samples; made with a seed.
    case policy(@Sendable (UInt64) -> any PlacementPolicy, TierSampling, TierMechanism)
    /// The processor's own cache of lines, Memory Mode.
    case memoryMode
    /// By knowing the stream.
    case oracle
  }

  /// Its name in results.
  public let name: String
  /// How it decides.
  public let kind: Kind

  /// Makes a contender.
  public init(_ name: String, _ kind: Kind) {
    self.name = name
    self.kind = kind
  }

  /// The oracle; moves as Arbiter does.
  public static let oracle = TierContender("oracle", .oracle)
  /// Fast memory as a direct-mapped cache.
  public static let memoryMode = TierContender("memory-mode", .memoryMode)
}
