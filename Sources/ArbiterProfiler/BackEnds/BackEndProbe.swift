// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import Glibc

/// Which back-end is used, and why no better one.
public struct BackEndChoice: Sendable, Hashable {
  /// A better back-end that cannot be used here.
  public struct PassedOver: Sendable, Hashable {
    /// Which.
    public var backEnd: BackEnd
    /// Why, as a clause.
    public var reason: String
    /// What would help.
    public var nextStep: String
  }

  /// The back-end.
  public var backEnd: BackEnd
  /// Whether somebody asked for it by name.
  public var isAsked: Bool
  /// Better ones that were tried, best first.
  public var passedOver: [PassedOver]
}

/// Finds out which back-ends work, by trying them on this process.
public enum BackEndProbe {
  /// Chooses a back-end: the one that is wanted, else pebs where it works, else timer.
  ///
  /// Faults and gates are never chosen by themselves: what they see is too little to stand for all.
  ///
  /// - Parameters:
  ///   - wanted: The back-end; nil for the best.
  ///   - tree: Where the kernel describes the machine.
  /// - Returns: A back-end that works.
  /// - Throws: ``PlatformError`` where the wanted one does not work, or none does.
  public static func choose(
    wanted: BackEnd?, tree: SystemTree = SystemTree()
  ) throws(PlatformError) -> BackEndChoice {
    try choose(wanted: wanted) { backEnd throws(PlatformError) in
      try attempt(backEnd, tree: tree)
    }
  }

  /// The same with a trial of the caller's.
  package static func choose(
    wanted: BackEnd?, attempt: (BackEnd) throws(PlatformError) -> Void
  ) throws(PlatformError) -> BackEndChoice {
    if let wanted {
      try attempt(wanted)
      return BackEndChoice(backEnd: wanted, isAsked: true, passedOver: [])
    }
    do throws(PlatformError) {
      try attempt(.pebs)
      return BackEndChoice(backEnd: .pebs, isAsked: false, passedOver: [])
    } catch {
      let missed = BackEndChoice.PassedOver(
        backEnd: .pebs, reason: error.reason, nextStep: error.nextStep)
      try attempt(.timer)
      return BackEndChoice(backEnd: .timer, isAsked: false, passedOver: [missed])
    }
  }

  /// Samples this process for a moment.
  private static func attempt(_ backEnd: BackEnd, tree: SystemTree) throws(PlatformError) {
    let event: SampledEvent
    switch backEnd {
    case .gates: return
    case .pebs: event = SampledEvent(.stores, period: 1_000_000)
    case .timer: event = .clock(everyNanoseconds: 10_000_000)
    case .faults: event = .everyPageFault
    }
    let sampler = try Sampler([event], tree: tree)
    defer { sampler.detach() }
    try sampler.add(process: getpid())
  }
}
