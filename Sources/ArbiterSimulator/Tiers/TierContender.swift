// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlacement

/// Something that decides where data lies, with what belongs to it.
public struct TierContender: Sendable {
  /// How it decides.
  public enum Kind: Sendable {
    /// By a policy, from samples or scans as it asks for them; made with a seed.
    case policy(@Sendable (UInt64) -> any PlacementPolicy, TierMechanism)
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

  /// The same decisions, carried out in another way; unchanged where no policy decides.
  public func moving(by mechanism: TierMechanism) -> TierContender {
    guard case .policy(let make, _) = kind else { return self }
    return TierContender(name, .policy(make, mechanism))
  }

  /// The oracle; moves as Arbiter does.
  public static let oracle = TierContender("oracle", .oracle)
  /// Fast memory as a direct-mapped cache.
  public static let memoryMode = TierContender("memory-mode", .memoryMode)
}

extension TierContender {
  /// Leaves everything where it was put first.
  public static let firstTouch = TierContender(
    "first-touch", .policy({ _ in FirstTouchPlacement() }, .arbiter))
  /// Arbiter's own policy.
  public static let arbiter = TierContender(
    "arbiter", .policy({ _ in AdaptivePlacement() }, .arbiter))
  /// HeMem with the numbers of its paper.
  public static let hememPaper = hemem(.paper)
  /// HeMem with the numbers of its release.
  public static let hememRelease = hemem(.release)
  /// Accessed bits in page tables, read and cleared once per second.
  public static let scan = TierContender(
    "scan", .policy({ _ in ScanPlacement() }, .hemem))

  /// HeMem with a set of parameters.
  public static func hemem(_ parameters: HeMemParameters) -> TierContender {
    TierContender(
      parameters.name,
      .policy({ _ in HeMemPlacement(parameters) }, .hemem))
  }
}
