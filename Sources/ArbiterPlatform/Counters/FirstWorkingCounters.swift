// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterDevice

/// Modules first, and another source where the modules cannot be read.
///
/// Loading libipmctl takes longer than a start may, so which source it will be is not known at
/// once. Until it is, snapshots hold no figure; then it is one source for good. A reader that went
/// back and forth would make periods between two sources' figures.
package struct FirstWorkingCounters: CounterReader {
  private enum Choice {
    case open
    case modules
    case other
  }

  private var modules: ModuleCounters
  private var other: any CounterReader
  private var choice = Choice.open

  package init(_ modules: ModuleCounters, otherwise other: any CounterReader) {
    self.modules = modules
    self.other = other
  }

  package var source: CounterSource { choice == .other ? other.source : modules.source }

  package var reasonForAbsence: String? {
    guard choice == .other else { return modules.reasonForAbsence }
    let reasons = [modules.reasonForAbsence, other.reasonForAbsence].compactMap { $0 }
    return reasons.isEmpty ? nil : reasons.joined(separator: "; ")
  }

  package mutating func snapshot() -> CounterSnapshot {
    if choice == .other { return other.snapshot() }
    let snapshot = modules.snapshot()
    if choice == .open {
      if snapshot.source == .module { choice = .modules }
      if modules.source == .unavailable {
        choice = .other
        return other.snapshot()
      }
    }
    return snapshot
  }
}
