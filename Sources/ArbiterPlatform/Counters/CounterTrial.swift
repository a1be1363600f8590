// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice
internal import Glibc

/// What came of reading each source of counters once.
public struct CounterTrial: Sendable, Hashable {
  /// Why the modules' own counters cannot be read, as a clause; nil where they can.
  public var moduleRefusal: String?
  /// Why the memory controller's cannot, as a clause; nil where they can.
  public var controllerRefusal: String?

  /// Tries both sources of a machine and leaves nothing running.
  ///
  /// - Parameters:
  ///   - probe: What the machine could count.
  ///   - helper: The helper; nil where this program has none.
  ///   - nanosecondsMax: Longest wait for the modules' first reading.
  public init(
    of probe: CounterProbe, helper: HelperProgram? = .ofThisProgram,
    nanosecondsMax: Int64 = 5_000_000_000
  ) {
    do {
      var reader = ModuleCounters(feed: try probe.makeModuleFeed(helper: helper), handles: nil)
      moduleRefusal = Self.firstReading(of: &reader, within: nanosecondsMax)
    } catch {
      moduleRefusal = CounterProbe.clause(error)
    }
    do {
      var reader = try probe.makeControllerReader()
      // A unit that has just been opened has counted for no time yet.
      usleep(1_000)
      let snapshot = reader.snapshot()
      controllerRefusal =
        snapshot.source == .memoryController
        ? nil
        : reader.source == .unavailable
          ? reader.reasonForAbsence : "other programs hold the units' counters"
    } catch {
      controllerRefusal = CounterProbe.clause(error)
    }
  }

  /// The best source that worked.
  public var bestSource: CounterSource {
    if moduleRefusal == nil { return .module }
    return controllerRefusal == nil ? .memoryController : .unavailable
  }

  private static func firstReading(
    of reader: inout ModuleCounters, within nanosecondsMax: Int64
  ) -> String? {
    let until = SystemClock.monotonicRawNanoseconds() + nanosecondsMax
    while SystemClock.monotonicRawNanoseconds() < until {
      if reader.snapshot().source == .module { return nil }
      if let reason = reader.reasonForAbsence { return reason }
      usleep(5_000)
    }
    return "libipmctl gave no reading within \(nanosecondsMax / 1_000_000_000) s"
  }
}
