// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice
public import ArbiterPlatform

/// The counter sources of the interleave sets that a program controls.
public struct SetCounters: Sendable {
  private let profile: DeviceProfile?
  private let probe: CounterProbe?
  private let feed: ModuleCounterFeed?

  /// Looks at what the machine counts, and starts the one helper that serves all sets.
  ///
  /// - Parameters:
  ///   - sets: The sets that will ask; where none was found, nothing is looked at.
  ///   - profile: What kind of module to estimate with; nil forbids an estimate.
  public init(for sets: [PlannedSet], profile: DeviceProfile?) {
    self.profile = profile
    probe = sets.contains(where: \.isDetected) ? CounterProbe.read() : nil
    // Why there is none, the readers say.
    feed = try? probe?.makeModuleFeed()
  }

  /// The best source for a set: the machine's counters where it was found, else the estimate, else
  /// one without figures, which says why.
  ///
  /// - Parameters:
  ///   - set: The set; nil where another program has planned it.
  ///   - board: Its gates.
  /// - Returns: A reader of its own.
  /// - Throws: ``PlatformError`` where the system refuses the memory of an estimate.
  public func reader(
    for set: PlannedSet?, board: GateBoard
  ) throws(PlatformError) -> any CounterReader {
    var estimate: ShadowEstimate?
    if let profile {
      let modules = min(64, max(1, set?.moduleCount ?? 1))
      estimate = try ShadowEstimate(board: board, profile: profile, moduleCount: modules)
    }
    if let probe, let found = set?.interleaveSet {
      // The estimate stands in also where only the helper finds out that nothing can be read.
      return probe.choose(for: found, feed: feed, otherwise: estimate).reader
    }
    return estimate ?? UnavailableCounters(reason: "no profile is named")
  }
}
