// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice
public import ArbiterPlatform

/// The choice of a counter source for an interleave set.
public enum SetCounters {
  /// The counters of a set: the machine's, or an estimate from what the gates see.
  ///
  /// - Parameters:
  ///   - set: The set; nil where another program has planned it.
  ///   - board: Its gates.
  ///   - profile: What kind of module to estimate with; nil forbids an estimate.
  /// - Returns: The best source: the machine's counters for a set that was found, else the estimate,
  ///   else one without figures, which says why.
  public static func reader(
    for set: PlannedSet?, board: GateBoard, profile: DeviceProfile?
  ) -> any CounterReader {
    var reason = "no profile is named"
    if let set, set.isDetected {
      let probe = CounterProbe.read()
      let reader = probe.makeReader(for: probe.interleaveSets.first { $0.name == set.name })
      if reader.source != .unavailable || profile == nil { return reader }
      reason = reader.reasonForAbsence ?? "nothing counts"
    }
    guard let profile else { return UnavailableCounters(reason: reason) }
    do throws(PlatformError) {
      return try ShadowEstimate(
        board: board, profile: profile, moduleCount: min(64, max(1, set?.moduleCount ?? 1)))
    } catch {
      return UnavailableCounters(reason: "an estimate is impossible: \(error)")
    }
  }
}
